"""``GET /debug/tasks``: the tree of tasks of this process, and where each of them stands."""

from quart import Response

from service.http.exchange import Exchange
from service.http.replies import json_reply
from service.operators.tasks import task_tree


async def debug_tasks(_exchange: Exchange) -> Response:
    """Names and lines, no variables and no paths."""
    return json_reply(task_tree())

"""The tree of tasks: who started whom, and where each of them stands.

Names and lines only. A task's variables may hold prompts, and the path of a source file is nobody's business, so
neither is looked at: a line is told by module, function and number.
"""

import re
from collections.abc import Iterator
from types import FrameType

import msgspec
import trio

TASKS_MAX = 1000
"""Tasks that are shown [count]: each client has several, and there may be thousands of clients."""
_PLAIN_NAME = re.compile(r"[\w.<>\- ]{1,200}")


class TaskView(msgspec.Struct, frozen=True):
    """One task.

    Attributes:
        stands_in: the lines that wait for one another, the innermost last; empty for the task that looks.
        nurseries: its children, by the nursery that they are in; the outermost first.
        left_out: children that are not shown, nor what is below them [count].
    """

    name: str
    stands_in: tuple[str, ...]
    nurseries: tuple[tuple["TaskView", ...], ...]
    left_out: int = 0


class Room:
    """How many tasks may still be shown."""

    def __init__(self, tasks_max: int) -> None:
        self._left = tasks_max

    def take(self) -> bool:
        self._left -= 1
        return self._left >= 0


def task_tree(tasks_max: int = TASKS_MAX) -> TaskView:
    """Every task of this run, from its root."""
    root = trio.lowlevel.current_root_task()
    assert root is not None, "asked from within a run"
    return _view(root, Room(tasks_max))


def _view(task: trio.lowlevel.Task, room: Room) -> TaskView:
    nurseries, left_out = [], 0
    for nursery in task.child_nurseries:
        shown = []
        for child in sorted(nursery.child_tasks, key=_name):
            if room.take():
                shown.append(_view(child, room))
            else:
                left_out += 1
        nurseries.append(tuple(shown))
    return TaskView(_name(task), tuple(_lines(task)), tuple(nurseries), left_out)


def _name(task: trio.lowlevel.Task) -> str:
    """What it was started with: a function, unless somebody named it otherwise."""
    return task.name if _PLAIN_NAME.fullmatch(task.name) else "a task without a plain name"


def _lines(task: trio.lowlevel.Task) -> Iterator[str]:
    return (_line(frame, number) for frame, number in task.iter_await_frames())


def _line(frame: FrameType, number: int) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}:{number}"

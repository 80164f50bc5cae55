"""The tree of tasks shows names, nesting and lines, and nothing of what the tasks hold."""

import msgspec
import trio
import trio.testing

from service.operators.tasks import TaskView, task_tree


async def wait_with_a_secret(event: trio.Event) -> None:
    secret = "a prompt of somebody"
    await event.wait()
    assert secret


async def start_two(event: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_with_a_secret, event, name="runner 7")
        nursery.start_soon(wait_with_a_secret, event, name="/home/somebody/secret.gguf")


def find(view: TaskView, name: str) -> TaskView:
    """The one task of this name."""
    found = [one for one in everybody(view) if one.name == name]
    assert len(found) == 1, [one.name for one in everybody(view)]
    return found[0]


def everybody(view: TaskView) -> list[TaskView]:
    children = [child for nursery in view.nurseries for child in nursery]
    return [view, *(one for child in children for one in everybody(child))]


async def test_each_task_stands_below_who_started_it_in_the_line_that_it_waits_in() -> None:
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start_two, event)
        await trio.testing.wait_all_tasks_blocked()
        tree = task_tree()
        event.set()
    starter = find(tree, f"{__name__}.start_two")
    ((odd, runner),) = starter.nurseries
    assert (odd.name, runner.name) == ("a task without a plain name", "runner 7")
    line, *inner = runner.stands_in
    where, _, number = line.rpartition(":")
    assert where == f"{__name__}.wait_with_a_secret"
    assert int(number) == wait_with_a_secret.__code__.co_firstlineno + 2
    assert any("Event.wait:" in one for one in inner)


async def test_no_variable_and_no_path_is_in_it() -> None:
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(start_two, event)
        await trio.testing.wait_all_tasks_blocked()
        shown = msgspec.json.encode(task_tree()).decode()
        event.set()
    assert "secret.gguf" not in shown
    assert "prompt of somebody" not in shown
    assert "/" not in shown


async def test_of_thousands_some_are_shown_and_the_others_counted() -> None:
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(event.wait)
        await trio.testing.wait_all_tasks_blocked()
        whole, part = task_tree(), task_tree(20)
        event.set()
    assert sum(one.left_out for one in everybody(whole)) == 0
    assert len(everybody(part)) == 21
    left_out = sum(one.left_out for one in everybody(part))
    assert left_out + len(everybody(part)) == len(everybody(whole))


async def test_a_task_that_waits_within_a_generator_is_seen_to_its_end() -> None:
    event = trio.Event()

    async def pieces() -> object:
        await event.wait()
        yield 1

    async def read() -> None:
        async for _ in pieces():
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, name="reader")
        await trio.testing.wait_all_tasks_blocked()
        reader = find(task_tree(), "reader")
        event.set()
    assert [".pieces:" in line for line in reader.stands_in].count(True) == 1

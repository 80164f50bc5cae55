"""Writes the tables of docs/reference/wire.md from `statemachines.wire.link`: `python tools/draw_wire.py [--check]`."""

import sys
from pathlib import Path

from statemachines.wire.exits import ExitStatus
from statemachines.wire.link import LEASES, TABLES, LeaseState, LeaseStep, Phase, Side, Task
from statemachines.wire.messages import Message

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "wire.md"


def phases() -> str:
    """Per task and phase: who may say what, and which phase follows."""
    rows = [
        [*names, _sayings(task, phase, Side.SERVICE), _sayings(task, phase, Side.RUNNER)]
        for phase in Phase
        for task, names in _variants(phase)
    ]
    return _table(["phase", "tasks", "the service may send", "the runner may send"], rows)


def _variants(phase: Phase) -> list[tuple[Task, list[str]]]:
    """The tasks in which a phase differs; one entry for all where it does not."""
    tasks = [task for task in Task if phase in TABLES[task]]
    if all(TABLES[task][phase] == TABLES[tasks[0]][phase] for task in tasks):
        return [(tasks[0], [f"**{phase}**", ", ".join(tasks)])]
    return [(task, [f"**{phase}**", str(task)]) for task in tasks]


def _sayings(task: Task, phase: Phase, side: Side) -> str:
    found = [_saying(kind, phase, to) for (sender, kind), to in TABLES[task][phase].items() if sender is side]
    return "<br>".join(found) or "-"


def _saying(kind: type[Message], phase: Phase, target: Phase) -> str:
    return f"`{kind.__name__}`" if target is phase else f"`{kind.__name__}` -> **{target}**"


def leases() -> str:
    """Per state of a lease: what each step makes of it."""
    rows = [[f"**{state}**", *(str(LEASES.get((state, step), "-")) for step in LeaseStep)] for state in LeaseState]
    return _table(["lease", *LeaseStep], rows)


def exits() -> str:
    """The statuses with which a runner ends."""
    return _table(["status", "name"], [[str(int(status)), f"`{status.name}`"] for status in ExitStatus])


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def current(page: str) -> str:
    """The page with its tables as the code has them."""
    for name, table in (("phases", phases()), ("leases", leases()), ("exits", exits())):
        before, _, rest = page.partition(f"<!-- {name} -->")
        _, _, after = rest.partition("<!-- end -->")
        page = f"{before}<!-- {name} -->\n\n{table}\n\n<!-- end -->{after}"
    return page


def main(arguments: list[str]) -> int:
    """Write the tables, or with ``--check`` say whether they are current."""
    page = PAGE.read_text(encoding="utf-8")
    if arguments == ["--check"]:
        is_current = current(page) == page
        print("current" if is_current else f"{PAGE.name} is not current: run python tools/draw_wire.py")
        return 0 if is_current else 1
    PAGE.write_text(current(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A models folder, a store over it, and everything the store says."""

import os
from pathlib import Path

from service.config import Settings
from service.front import StoredModel
from service.logs import make_log
from service.ports import Clock
from service.state.folder import StateFolder
from service.state.owner import this_process
from service.store.models import ModelStore
from statemachines.facts import LoadKey, ModelFacts
from statemachines.units import NS_PER_S
from tests.fakes.clock import HandClock
from tests.fakes.front import facts
from tests.service.shell import LogLines


class CountingReader:
    """A `ReadFacts` that answers at once and counts.

    Attributes:
        fault: raised instead of an answer.
    """

    def __init__(self) -> None:
        self.questions: list[tuple[tuple[str, ...], bool]] = []
        self.fault: Exception | None = None

    async def __call__(self, paths: tuple[str, ...], with_arrays: bool) -> ModelFacts:
        self.questions.append((paths, with_arrays))
        if self.fault is not None:
            raise self.fault
        return facts(name=os.path.basename(paths[0]))


class Wall(HandClock):
    """Wall time by hand: at first it is long before every change of a file, so that no time of change is relied on."""

    wall = 0

    def wall_ns(self) -> int:
        return self.wall


class Shelf:
    """A folder of files that only look like models, for a reader that does not open them.

    Attributes:
        alive: load keys of which something lives.
        replaced: what `on_replaced` was told, in order.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / "models"
        self.state = root / "state"
        self.lines = LogLines()
        self.reader = CountingReader()
        self.alive: set[LoadKey] = set()
        self.replaced: list[LoadKey] = []
        self.log = make_log(log_format="json", level="debug", stream=self.lines)
        self.state_folder = StateFolder(self.state, self.log)
        self.wall = Wall()
        self.store = self.reopened()

    def reopened(self, clock: Clock | None = None) -> ModelStore:
        """A store of a later start over the same folders; without a clock it looks at no interval."""
        self.state_folder.close()
        self.state_folder.open(this_process("http://shelf", 0))
        store = ModelStore(
            Settings(models=self.folder, state=self.state),
            state=self.state_folder,
            read=self.reader,
            is_key_alive=self.alive.__contains__,
            on_replaced=self.replaced.append,
            clock=clock or self.wall,
            log=self.log,
        )
        store.open()
        return store

    def put(self, name: str, content: str = "GGUF weights", *, modified_s: int = 1_000) -> Path:
        """Copy a file in under another name first, as careful people do: it is replaced at one stroke."""
        fresh = self.folder / f"{name}.copying"
        fresh.write_text(content)
        os.utime(fresh, (modified_s, modified_s))
        return fresh.rename(self.folder / name)

    def settle(self, *, changed_ns: int = 1_000 * NS_PER_S, since_ns: int = 3_600 * NS_PER_S) -> None:
        """The folder was changed at that time, and it is so much later now."""
        os.utime(self.folder, ns=(changed_ns, changed_ns))
        self.wall.wall = changed_ns + since_ns

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.store.models()]

    def find(self, reference: str) -> StoredModel:
        return self.store.find(reference)

    def close(self) -> None:
        self.state_folder.close()

    def warnings(self) -> list[tuple[str, str]]:
        """File and reason of each warning so far."""
        return [(row.get("file", ""), row["why"]) for row in self.lines.rows() if row["level"] == "warning"]

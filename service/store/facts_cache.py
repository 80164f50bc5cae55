"""What model files say of themselves, read once for each state of a file.

An answer is filed under what the file system says of the file's parts, its change time included, so that a file that
is replaced, rewritten or made readable is read again. Refusals of broken files are kept as well: a file that is
costly to refuse costs that once.
"""

import os
from collections.abc import Awaitable, Callable

import trio

from service.front import StoredModel
from service.store.identity import identity_of
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.facts import FileIdentity, ModelFacts

ENTRIES_MAX = 256
"""Answers that are kept; the one that was not asked for longest goes first."""
READERS_MAX = 2
"""Files that are read at once, each in a process of its own."""

ReadFacts = Callable[[tuple[str, ...], bool], Awaitable[ModelFacts]]
"""Reads the files of one model, with or without the values of arrays.

Raises:
    FileRefused: the files are no model; asking again is pointless while they stay as they are.
    RequestRefused: they could not be read this time.
"""

State = tuple[tuple[FileIdentity, int], ...]
"""Of all parts: identity and change time [ns]."""


class FileRefused(RequestRefused):
    """The file itself is at fault, and will be until it changes."""


class _Reading:
    """One that is under way.

    Attributes:
        refusal: why nothing came of it this time; those who waited for it are told, and do not try one by one.
    """

    def __init__(self) -> None:
        self.over = trio.Event()
        self.refusal: Refusal | None = None


class FactsCache:
    """Answers by state of the files; one reading at a time for each."""

    def __init__(self, read: ReadFacts) -> None:
        self._read = read
        self._answers: dict[State, ModelFacts | Refusal] = {}
        self._readings: dict[State, _Reading] = {}
        self._readers = trio.CapacityLimiter(READERS_MAX)

    async def get(self, model: StoredModel, *, with_arrays: bool = False) -> ModelFacts:
        """What the model's file says.

        (1) Files that are not those that ``model`` was found with are refused as replaced.
        (2) Array values are large and seldom wanted: read each time, never kept.
        (3) A kept answer is given at once.
        (4) Who asks while somebody reads waits for that, and shares what comes of it; if that reader leaves, another
        one takes over.

        Raises:
            RequestRefused: the file is no model, cannot be read now, or was replaced.
        """
        state = _state_of(model)  # (1)
        if with_arrays:  # (2)
            return await self._read_now(model, with_arrays=True)
        while (answer := self._take(state)) is None:  # (3)
            if (reading := self._readings.get(state)) is None:
                answer = await self._fill(state, model)
                break
            await reading.over.wait()  # (4)
            if reading.refusal is not None:
                raise RequestRefused(reading.refusal)
        if isinstance(answer, Refusal):
            raise FileRefused(answer)
        return answer

    def _take(self, state: State) -> ModelFacts | Refusal | None:
        """The kept answer, which thereby becomes the youngest."""
        answer = self._answers.pop(state, None)
        if answer is not None:
            self._answers[state] = answer
        return answer

    async def _fill(self, state: State, model: StoredModel) -> ModelFacts | Refusal:
        self._readings[state] = reading = _Reading()
        try:
            answer = await self._answer(model)
            if _state_of(model) == state:
                self._keep(state, answer)
        except RequestRefused as refused:
            reading.refusal = refused.refusal
            raise
        finally:
            del self._readings[state]
            reading.over.set()
        return answer

    async def _answer(self, model: StoredModel) -> ModelFacts | Refusal:
        try:
            return await self._read_now(model, with_arrays=False)
        except FileRefused as refused:
            return refused.refusal

    async def _read_now(self, model: StoredModel, *, with_arrays: bool) -> ModelFacts:
        async with self._readers:
            return await self._read(model.paths, with_arrays)

    def _keep(self, state: State, answer: ModelFacts | Refusal) -> None:
        self._answers[state] = answer
        if len(self._answers) > ENTRIES_MAX:
            del self._answers[next(iter(self._answers))]


def _state_of(model: StoredModel) -> State:
    try:
        statuses = [os.stat(path) for path in model.paths]
    except OSError:
        raise _replaced(model) from None
    if tuple(map(identity_of, statuses)) != model.identities:
        raise _replaced(model)
    return tuple((identity_of(status), status.st_ctime_ns) for status in statuses)


def _replaced(model: StoredModel) -> RequestRefused:
    message = f"the file of model {model.name!r} was replaced or removed just now; ask again"
    return RequestRefused(Refusal(RefusalCode.MODEL_REPLACED, message))

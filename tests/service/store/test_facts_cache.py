"""Facts: read once for each state of a file, by one reader at a time, kept within bounds."""

import os

import pytest
import trio

from service.front import StoredModel
from service.store import facts_cache
from service.store.facts_cache import FactsCache, FileRefused
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.facts import ModelFacts
from tests.fakes.front import facts
from tests.service.store.shelf import CountingReader, Shelf

BAD = FileRefused(Refusal(RefusalCode.INVALID, "bad"))
SLOW = RequestRefused(Refusal(RefusalCode.LOAD_FAILED, "slow"))


@pytest.fixture
def model(shelf: Shelf) -> StoredModel:
    shelf.put("a.gguf")
    return shelf.find("a")


class GatedReader:
    """Reads when the test says so."""

    def __init__(self) -> None:
        self.gate = trio.Event()
        self.running = self.most = self.begun = 0

    async def __call__(self, paths: tuple[str, ...], with_arrays: bool) -> ModelFacts:
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
            return facts()
        finally:
            self.running -= 1


async def test_many_who_ask_at_once_share_one_reading(model: StoredModel) -> None:
    reader = GatedReader()
    cache = FactsCache(reader)
    answers: list[ModelFacts] = []

    async def ask() -> None:
        answers.append(await cache.get(model))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        reader.gate.set()
    assert reader.begun == 1
    assert all(answer is answers[0] for answer in answers)
    assert len(answers) == 5


async def test_a_reading_that_fails_fails_once_for_all_who_waited_for_it(model: StoredModel) -> None:
    gate, begun = trio.Event(), []

    async def read(paths: tuple[str, ...], with_arrays: bool) -> ModelFacts:
        begun.append(paths)
        await gate.wait()
        raise RequestRefused(Refusal(RefusalCode.LOAD_FAILED, "it took too long"))

    cache, refusals = FactsCache(read), []

    async def ask() -> None:
        with pytest.raises(RequestRefused, match="it took too long") as caught:
            await cache.get(model)
        refusals.append(caught.value.code)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    assert (len(begun), refusals) == (1, [RefusalCode.LOAD_FAILED] * 5)
    with pytest.raises(RequestRefused):
        await cache.get(model)
    assert len(begun) == 2  # nothing of it is kept


async def test_when_the_reader_leaves_another_one_takes_over(model: StoredModel) -> None:
    reader = GatedReader()
    cache = FactsCache(reader)
    async with trio.open_nursery() as nursery:
        leaving = trio.CancelScope()

        async def leave() -> None:
            with leaving:
                await cache.get(model)

        nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(cache.get, model)
        await trio.testing.wait_all_tasks_blocked()
        leaving.cancel()
        await trio.testing.wait_all_tasks_blocked()
        reader.gate.set()
    assert reader.begun == 2


async def test_few_files_are_read_at_once(shelf: Shelf) -> None:
    reader = GatedReader()
    cache = FactsCache(reader)
    for number in range(6):
        shelf.put(f"{number}.gguf")
    async with trio.open_nursery() as nursery:
        for model in shelf.store.models():
            nursery.start_soon(cache.get, model)
        await trio.testing.wait_all_tasks_blocked()
        reader.gate.set()
    assert (reader.begun, reader.most) == (6, facts_cache.READERS_MAX)


async def test_a_broken_file_is_read_once_and_refused_as_often_as_asked(model: StoredModel) -> None:
    reader = CountingReader()
    reader.fault = BAD
    cache = FactsCache(reader)
    for _ in range(2):
        with pytest.raises(FileRefused, match="bad"):
            await cache.get(model)
    assert len(reader.questions) == 1


async def test_a_reading_that_failed_is_tried_again(model: StoredModel) -> None:
    reader = CountingReader()
    reader.fault = SLOW
    cache = FactsCache(reader)
    with pytest.raises(RequestRefused, match="slow"):
        await cache.get(model)
    reader.fault = None
    assert (await cache.get(model)).name == "a.gguf"


async def test_a_file_that_is_another_one_by_now_is_refused_as_replaced(shelf: Shelf, model: StoredModel) -> None:
    cache = FactsCache(CountingReader())
    await cache.get(model)
    shelf.put("a.gguf", "other")
    with pytest.raises(RequestRefused) as refused:
        await cache.get(model)
    assert refused.value.code is RefusalCode.MODEL_REPLACED
    os.unlink(model.paths[0])
    with pytest.raises(RequestRefused) as refused:
        await cache.get(model, with_arrays=True)
    assert refused.value.code is RefusalCode.MODEL_REPLACED


async def test_a_file_replaced_during_the_reading_is_refused_and_not_remembered(
    shelf: Shelf, model: StoredModel
) -> None:
    async def replace(paths: tuple[str, ...], with_arrays: bool) -> ModelFacts:
        shelf.put("a.gguf", "other")
        return facts()

    cache = FactsCache(replace)
    with pytest.raises(RequestRefused) as refused:
        await cache.get(model)
    assert refused.value.code is RefusalCode.MODEL_REPLACED
    assert not cache._answers


async def test_a_changed_permission_is_a_reason_to_read_again(model: StoredModel) -> None:
    reader = CountingReader()
    cache = FactsCache(reader)
    await cache.get(model)
    os.chmod(model.paths[0], 0o600)
    os.chmod(model.paths[0], 0o644)
    await cache.get(model)
    assert len(reader.questions) == 2


async def test_the_answer_that_was_not_asked_for_longest_goes_first(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facts_cache, "ENTRIES_MAX", 2)
    reader = CountingReader()
    cache = FactsCache(reader)
    first, second, third = (shelf.find(shelf.put(f"{name}.gguf").stem) for name in "abc")
    for model in (first, second, first, third, first, second):
        await cache.get(model)
    asked = [os.path.basename(paths[0]) for paths, _ in reader.questions]
    assert asked == ["a.gguf", "b.gguf", "c.gguf", "b.gguf"]

"""The models that there are: a folder of files, with names, load keys, digests and facts (`service.front.Store`)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.front import StoredModel
from service.ports import Clock
from service.quoting import quoted
from service.state.folder import StateFolder
from service.store.digests import Digests
from service.store.facts_cache import FactsCache, ReadFacts
from service.store.folder import FoundModel, ModelFolder, are_all_there
from service.store.identity import Identities, key_by_digest, key_by_identity
from service.store.names import Name, NameKey, parse_name, split_source
from service.store.packaged import DEMO_FILE
from service.threads import NoThread, in_thread
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.facts import LoadKey, ModelFacts
from statemachines.units import NS_PER_S

LOOK_INTERVAL_NS = 5 * NS_PER_S
"""Pause between two looks at the files of loaded models: how long a runner of replaced weights may stay unnoticed."""


class ModelStore:
    """The real `Store`.

    Theory of operation. Nothing is remembered of the folder but what each file that was seen last is filed under: its
    load key. A key is that of the file's identity until the digest is known, and then changes only while nothing that
    was loaded under it lives, and nobody is about to load under it (a request asks for the facts first). When a file
    is gone or is another one, and no other path has its key, `on_replaced` is called once with that key. Requests look;
    because there may be none for days, the store looks by itself at the files of what is loaded.

    Args:
        state: where digests are kept.
        read: reads one model's files; see `service.store.facts_cache`.
        is_key_alive: whether a Load or runner of a key exists.
        on_replaced: told that a key's weights are not on disk any more.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        state: StateFolder,
        read: ReadFacts,
        is_key_alive: Callable[[LoadKey], bool],
        on_replaced: Callable[[LoadKey], None],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._is_key_alive = is_key_alive
        self._on_replaced = on_replaced
        self._log = log
        further = [DEMO_FILE] if settings.demo else []
        self._folder = ModelFolder(settings.models, log, wall_ns=clock.wall_ns, further=further)
        self._digests = Digests(state, log)
        self._facts = FactsCache(read)
        self._found: Sequence[FoundModel] = ()
        self._by_name: dict[NameKey, FoundModel] = {}
        self._keys: dict[Identities, LoadKey] = {}
        self._asked: Counter[LoadKey] = Counter()

    def open(self) -> None:
        """Read what is remembered, and make the models folder if this is the first start; that it cannot be is said."""
        self._digests.open()
        try:
            self._settings.models.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._log.warning("the models folder cannot be made", folder=str(self._settings.models), why=error.strerror)

    async def run(self) -> None:
        """Find out digests and notice replaced files in the background, until cancelled."""
        self._look()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._digests.run)
            nursery.start_soon(self._watch)

    def models(self) -> Sequence[StoredModel]:
        """See `service.front.Store.models`."""
        models = map(self._stored, self._look())
        return sorted(models, key=lambda model: (-model.modified_ns, model.name))

    def find(self, reference: str) -> StoredModel:
        """See `service.front.Store.find`.

        (1) An empty reference, one that contradicts itself, or one that is no name.
        (2) A model on disk, under the name as it was written (also one that looks like a word for a source).
        (3) The same without the word ``:local``; models on other machines are not served.
        """
        text = reference.strip()
        source = split_source(text)
        if not text:  # (1)
            raise _refused(RefusalCode.INVALID, "model is required")
        if source.is_contradictory:
            raise _refused(RefusalCode.INVALID, f'use either :local or :cloud, not both: "{quoted(reference)}"')
        name, local_name = parse_name(text), parse_name(source.text)
        if local_name is None:
            raise _refused(RefusalCode.INVALID, "invalid model name")
        names = [name, None if source.is_cloud else local_name]
        model = self._search([each.key for each in names if each])  # (2) (3)
        if model is None:
            raise _absent(local_name)
        return self._stored(model)

    def _search(self, keys: Sequence[NameKey]) -> FoundModel | None:
        """The first of these, from the last look where a new one could find nothing else."""
        model = _first(self._by_name, keys)
        if model is None or self._digests.of(model.identities) is None or not self._folder.is_as_it_was(model):
            return _first(_by_name(self._look()), keys)
        self._keys[model.identities] = self._key(model.identities)
        return model

    async def facts(self, model: StoredModel, *, with_arrays: bool = False) -> ModelFacts:
        """See `service.front.Store.facts`."""
        self._asked[model.key] += 1
        try:
            return await self._facts.get(model, with_arrays=with_arrays)
        finally:
            self._asked -= Counter({model.key: 1})

    async def _watch(self) -> None:
        """Look at the folder when a file of something that lives is not the same any more.

        The files are asked for in a thread, left behind if their disk hangs: nobody waits for this look. The folder's
        own look stays in the loop, as for a request; there is something to be told then.
        """
        while True:
            with trio.move_on_at(self._clock.deadline(self._clock.now_ns() + LOOK_INTERVAL_NS)):
                await trio.sleep_forever()
            loaded = [model for model in self._found if self._is_key_alive(self._keys[model.identities])]
            with suppress(NoThread):  # The next look is not far.
                if loaded and not await in_thread(partial(are_all_there, loaded)):
                    self._look()

    def _look(self) -> list[FoundModel]:
        """The folder as it is now; keys follow, and what was replaced is told.

        A folder that cannot be read replaces nothing: its models may still be there.
        """
        found = self._folder.look()
        if found is None:
            return []
        self._digests.want(found)
        before, self._keys = self._keys, {model.identities: self._key(model.identities) for model in found}
        here = dict.fromkeys(self._keys.values())
        for key in dict.fromkeys(key for identities, key in before.items() if identities not in self._keys):
            if key not in here:
                self._on_replaced(key)
        self._found, self._by_name = found, _by_name(found)
        return found

    def _key(self, identities: Identities) -> LoadKey:
        """The key that a file has, or may change to now that nothing lives under its old one."""
        by_identity = key_by_identity(identities)
        if (digest := self._digests.of(identities)) is None:
            return by_identity
        by_digest = key_by_digest(digest)
        is_in_use = by_identity in self._asked or self._is_key_alive(by_identity)
        is_settled = self._keys.get(identities) == by_digest or not is_in_use
        return by_digest if is_settled else by_identity

    def _stored(self, found: FoundModel) -> StoredModel:
        return StoredModel(
            name=str(found.name),
            paths=found.paths,
            identities=found.identities,
            size_bytes=found.size_bytes,
            modified_ns=found.modified_ns,
            digest=self._digests.of(found.identities),
            key=self._keys[found.identities],
        )


def _by_name(models: Sequence[FoundModel]) -> dict[NameKey, FoundModel]:
    return {model.name.key: model for model in models}


def _first(models: Mapping[NameKey, FoundModel], keys: Sequence[NameKey]) -> FoundModel | None:
    """The model of the first of these names that one of them has."""
    return next((models[key] for key in keys if key in models), None)


def _refused(code: RefusalCode, message: str) -> RequestRefused:
    return RequestRefused(Refusal(code, message))


def _absent(name: Name) -> RequestRefused:
    return _refused(RefusalCode.NOT_FOUND, f"model '{name}' not found; copy its file into the models folder")

"""What HTTP handlers may do with the service, and nothing more: find a model, lease a runner, look, stop.

`service.parts` builds the real one; handler tests use `tests/fakes/front.py`, which is checked against it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from service.config import Settings
from service.spare import SpareView
from statemachines.facts import FileIdentity, LoadedFacts, LoadKey, ModelFacts
from statemachines.snapshot import StateView
from statemachines.units import RequestId
from statemachines.wire.messages import Delta, Generate, LeaseEnded


class StoredModel(msgspec.Struct, frozen=True):
    """One model on disk.

    Attributes:
        name: as it is shown: ``demo:latest``.
        paths: the file, or all parts of a split one in order.
        identities: of each path.
        size_bytes: all parts together.
        modified_ns: of the newest part, wall time.
        digest: sha256 in hex, or None until it is known.
        key: what a load of it is filed under.
    """

    name: str
    paths: tuple[str, ...]
    identities: tuple[FileIdentity, ...]
    size_bytes: int
    modified_ns: int
    digest: str | None
    key: LoadKey


class Store(Protocol):
    """The models that there are."""

    def models(self) -> Sequence[StoredModel]:
        """All models, newest first; looks at the folder afresh."""

    def find(self, reference: str) -> StoredModel:
        """The model that a client's ``model`` field means.

        Raises:
            RequestRefused: INVALID (no valid name) or NOT_FOUND.
        """

    async def facts(self, model: StoredModel, *, with_arrays: bool = False) -> ModelFacts:
        """What the file says of itself, from the cache when the file is still the same.

        Raises:
            RequestRefused: the file cannot be read as a model.
        """


class Answer(msgspec.Struct, frozen=True):
    """A whole answer: its text and the runner's closing message."""

    text: str
    ended: LeaseEnded


class Lease(Protocol):
    """One request's hold on one slot. Ends with the `async with` that gave it."""

    @property
    def loaded(self) -> LoadedFacts: ...

    @property
    def load_ns(self) -> int:
        """How long the request waited for its lease [ns]."""

    def stream(self, generate: Generate) -> AsyncIterator[Delta | LeaseEnded]:
        """Ask now; pieces of the answer as they come, the last item is LeaseEnded.

        Everything that is yielded counts as sent to the client: after the first item a crash is an error, before it
        the request is tried once more on another runner without the caller noticing. The lease id in ``generate``
        is filled in here.

        Raises:
            RequestRefused: the prompt cannot be answered (too long, template failed) or no other runner was to be had.
            RunnerFailed: the runner ended in the middle of the answer.
        """

    async def collect(self, generate: Generate) -> Answer:
        """The whole answer at once; nothing counts as sent until it is complete. Raises as `stream`."""


class Front(Protocol):
    """The service as its handlers see it."""

    settings: Settings
    store: Store
    engine: str
    """Engine and version, or an empty string while unknown."""

    def next_request(self) -> RequestId:
        """A fresh id; `request_label` is what `X-Request-Id` shows."""

    def request_label(self, request: RequestId) -> str: ...

    def lease(
        self,
        request: RequestId,
        model: StoredModel,
        *,
        num_ctx: int | None,
        keep_alive_ns: int | None,
        gpu_layers: int | None = None,
    ) -> AbstractAsyncContextManager[Lease]:
        """Wait for a runner of ``model`` and hold one of its slots for as long as the context lasts.

        Leaving the context early (an exception, a cancelled handler) cancels the generation. A file that was
        replaced meanwhile is looked up again once, without the caller noticing.

        Args:
            num_ctx: context asked for [tokens], or None for the default.
            keep_alive_ns: None keeps what is there.
            gpu_layers: layers asked for on accelerators [count], or None to leave it to placement.

        Raises:
            RequestRefused: queue full, too large, draining, waited too long, load failed.
        """

    def stop(self, model: StoredModel, *, force: bool = False) -> None:
        """Unload when idle (or, with ``force``, within the drain limit). Never loads; nothing loaded is fine."""

    def wall_time_ns(self, core_ns: int) -> int:
        """The wall time of a moment in a `StateView`."""

    def snapshot(self) -> StateView:
        """The state of everything, now."""

    def spare(self) -> SpareView:
        """What there is of the spare, of which the core knows nothing."""

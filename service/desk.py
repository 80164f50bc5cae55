"""The front desk: what HTTP handlers may do with the service (`service.front.Front`).

It posts what requests want and passes on what the core says; it decides nothing. Each request that has arrived is
finished exactly once, on every path out of its handler.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from service.config import Settings
from service.context import context_default, wanted_options
from service.front import Store, StoredModel
from service.leases import Granted, HeldLease, PendingRequest
from service.ports import Clock, Ids
from service.reactor import Post
from service.spare import SpareView, no_spare
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.events import OperatorStop, RequestArrived, RequestFinished
from statemachines.facts import LoadKey
from statemachines.snapshot import StateView
from statemachines.units import RequestId

MODELS_KEPT = 64
"""Load keys whose files are remembered before those that nothing uses are forgotten [count]."""


def unnoticed(_model: str, _after_ns: int) -> None:
    """Nobody counts."""


class Wish(msgspec.Struct, frozen=True):
    """What a request asks for beside its model."""

    num_ctx: int | None
    keep_alive_ns: int | None
    gpu_layers: int | None


class Desk:
    """The real `Front`.

    Args:
        snapshot, is_key_alive: the core's read-only views.
        on_first_text: told the model and how long after its arrival a request has its first text [ns].
        spare: what there is of the spare.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        engine: str,
        post: Post,
        clock: Clock,
        ids: Ids,
        snapshot: Callable[[], StateView],
        is_key_alive: Callable[[LoadKey], bool],
        spare: Callable[[], SpareView] = no_spare,
        log: FilteringBoundLogger,
        on_first_text: Callable[[str, int], None] = unnoticed,
    ) -> None:
        self.settings = settings
        self.store = store
        self.engine = engine
        self.snapshot = snapshot
        self.spare = spare
        self.context_default = context_default(settings.context_length)
        self._post = post
        self._clock = clock
        self._ids = ids
        self._is_key_alive = is_key_alive
        self._log = log
        self._on_first_text = on_first_text
        self._open: dict[RequestId, PendingRequest] = {}
        self._models: dict[LoadKey, StoredModel] = {}
        self._waiting_for: dict[RequestId, LoadKey] = {}

    # What handlers do

    def next_request(self) -> RequestId:
        return self._ids.next_request()

    def request_label(self, request: RequestId) -> str:
        return self._ids.label(request)

    def stop(self, model: StoredModel, *, force: bool = False) -> None:
        self._post(OperatorStop(key=model.key, force=force))

    def wall_time_ns(self, core_ns: int) -> int:
        return self._clock.wall_ns() - self._clock.now_ns() + core_ns

    @asynccontextmanager
    async def lease(
        self,
        request: RequestId,
        model: StoredModel,
        *,
        num_ctx: int | None,
        keep_alive_ns: int | None,
        gpu_layers: int | None = None,
    ) -> AsyncIterator[HeldLease]:
        """See `service.front.Front.lease`."""
        wish, since = Wish(num_ctx, keep_alive_ns, gpu_layers), self._clock.now_ns()
        with ExitStack() as arrivals:
            try:
                pending, granted = await self._arrive(arrivals, request, model, wish)
            except RequestRefused as refused:
                if refused.code is not RefusalCode.MODEL_REPLACED:
                    raise
                arrivals.close()
                fresh = self.store.find(model.name)
                pending, granted = await self._arrive(arrivals, self.next_request(), fresh, wish)

            def note_first_text() -> None:
                self._on_first_text(model.name, self._clock.now_ns() - since)

            yield HeldLease(pending, granted, load_ns=self._clock.now_ns() - since, on_text=note_first_text)

    async def _arrive(
        self, arrivals: ExitStack, request: RequestId, model: StoredModel, wish: Wish
    ) -> tuple[PendingRequest, Granted]:
        """Post the request and wait for the core's word; leaving ``arrivals`` finishes it."""
        facts = await self.store.facts(model)
        options = wanted_options(
            self.context_default,
            num_ctx=wish.num_ctx,
            context_tokens_max=facts.sizes.context_tokens_max,
            gpu_layers=wish.gpu_layers,
        )
        arrival = RequestArrived(
            request=request,
            model=model.name,
            key=model.key,
            wanted=options,
            sizes=facts.sizes,
            keep_alive_ns=wish.keep_alive_ns,
        )
        pending = arrivals.enter_context(self._finishing(arrival, model))
        return pending, await pending.granted()

    @contextmanager
    def _finishing(self, arrival: RequestArrived, model: StoredModel) -> Iterator[PendingRequest]:
        """From `RequestArrived` to `RequestFinished`."""
        request = arrival.request
        self._remember(request, model)
        self._open[request] = pending = PendingRequest()
        self._post(arrival)
        try:
            yield pending
        except (trio.Cancelled, GeneratorExit):
            # Its client left: that is its right, and no error.
            self._log.debug("a request ended early", request=self.request_label(request), model=arrival.model)
            raise
        finally:
            del self._open[request], self._waiting_for[request]
            self._post(RequestFinished(request=request))

    # What the executor does

    def grant(self, request: RequestId, granted: Granted) -> None:
        """Hand a lease to its handler. One that has left has said so: the core will cancel the lease."""
        self._tell(request, granted)

    def refuse(self, request: RequestId, refusal: Refusal) -> None:
        self._tell(request, refusal)

    def _tell(self, request: RequestId, word: Granted | Refusal) -> None:
        pending = self._open.get(request)
        if pending is not None:
            pending.tell(word)

    def is_key_in_use(self, key: LoadKey) -> bool:
        """Whether a load, a runner or a request that the core may not know yet goes by this key."""
        return key in self._waiting_for.values() or self._is_key_alive(key)

    def find_model(self, key: LoadKey) -> StoredModel | None:
        """Where the weights of a load key lie, by the latest request that asked for it."""
        return self._models.get(key)

    def _remember(self, request: RequestId, model: StoredModel) -> None:
        self._waiting_for[request] = model.key
        self._models[model.key] = model
        if len(self._models) > MODELS_KEPT:
            self._models = {known: file for known, file in self._models.items() if self.is_key_in_use(known)}

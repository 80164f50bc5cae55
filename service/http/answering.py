"""From a checked wish to an answer: lease a runner, then collect the text or pass it on piece by piece.

Everything that can go wrong before the first piece of text still has its real status, because the head of an answer
waits for its first piece (`service.http.late_start`). What goes wrong later becomes the last frame of the stream.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from service.front import Answer, Lease, StoredModel
from service.http.errors import from_refusal, internal_error
from service.http.exchange import Exchange
from statemachines.errors import Refusal, RefusalCode, RequestRefused, RoundhouseError, RunnerFailed
from statemachines.wire.messages import Delta, EndReason, Generate, LeaseEnded

_CUT_SHORT = "the answer was cut short on the server's side: the model was stopped, or the server is shutting down"


class Wish(msgspec.Struct, frozen=True):
    """What a request wants of a runner, with nothing left to check."""

    model: StoredModel
    num_ctx: int | None
    keep_alive_ns: int | None
    gpu_layers: int | None = None


class Writer(Protocol):
    """How one API puts an answer into frames."""

    def text(self, text: str) -> Iterable[bytes]: ...

    def end(self, ended: LeaseEnded) -> Iterable[bytes]: ...

    def failed(self, message: str) -> Iterable[bytes]: ...


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that was asked for.

    Attributes:
        pieces: text, never empty, and at last how it ended.
        held: the lease and its stream; closed by the connection if nobody else does.
        load_ns: how long the request waited for its lease.
    """

    pieces: AsyncIterator[str | LeaseEnded]
    held: AsyncExitStack
    load_ns: int


async def load(exchange: Exchange, wish: Wish) -> None:
    """Have the model loaded, without a word from it."""
    async with _lease(exchange, wish):
        pass


async def collect(exchange: Exchange, wish: Wish, generate: Generate) -> tuple[Answer, int]:
    """The whole answer, and how long the request waited for its lease [ns].

    Raises:
        RoundhouseError: there is none.
    """
    async with _lease(exchange, wish) as lease:
        answer = await lease.collect(generate)
        _completed(answer.ended)
        return answer, lease.load_ns


async def begin(exchange: Exchange, wish: Wish, generate: Generate) -> Begun:
    """Lease a runner and ask it.

    Raises:
        RoundhouseError: no lease was granted.
        ApiError: it cannot be asked.
    """
    held = await exchange.stack.enter_async_context(AsyncExitStack())
    lease = await held.enter_async_context(_lease(exchange, wish))
    with _told_in_a_stream():
        stream = lease.stream(generate)
    if isinstance(stream, AsyncGenerator):
        held.push_async_callback(stream.aclose)
    pieces = _pieces(stream)
    held.push_async_callback(pieces.aclose)
    return Begun(pieces, held, lease.load_ns)


async def written(exchange: Exchange, begun: Begun, writer: Writer) -> AsyncGenerator[bytes, None]:
    """The frames of a begun answer.

    Raises:
        ApiError: there is no first piece. Later nothing is raised: nobody is left who could tell the client.
    """
    with _told_in_a_stream():
        first = await anext(begun.pieces)
    try:
        for frame in _frames(first, writer):
            yield frame
        async for piece in begun.pieces:
            for frame in _frames(piece, writer):
                yield frame
        await begun.held.aclose()
    except RoundhouseError as error:
        exchange.log.warning("an answer broke off", request=exchange.label, code=error.code, why=str(error))
        for frame in writer.failed(from_refusal(error.refusal).message):
            yield frame
    except Exception:
        exchange.log.exception("an answer failed", request=exchange.label)
        for frame in writer.failed(internal_error(exchange.label).message):
            yield frame


def metrics(exchange: Exchange, ended: LeaseEnded, load_ns: int) -> dict[str, int]:
    """Counts and durations [ns] of a finished answer; zeros are left out."""
    usage = ended.usage
    figures = {
        "total_duration": exchange.now_ns() - exchange.started_ns,
        "load_duration": load_ns,
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": usage.prompt_ns,
        "eval_count": usage.output_tokens,
        "eval_duration": usage.output_ns,
    }
    return {name: figure for name, figure in figures.items() if figure}


def _lease(exchange: Exchange, wish: Wish) -> AbstractAsyncContextManager[Lease]:
    return exchange.front.lease(
        exchange.request,
        wish.model,
        num_ctx=wish.num_ctx,
        keep_alive_ns=wish.keep_alive_ns,
        gpu_layers=wish.gpu_layers,
    )


@contextmanager
def _told_in_a_stream() -> Iterator[None]:
    try:
        yield
    except RoundhouseError as error:
        raise from_refusal(error.refusal, streamed=True) from error


def _frames(piece: str | LeaseEnded, writer: Writer) -> Iterable[bytes]:
    return writer.end(piece) if isinstance(piece, LeaseEnded) else writer.text(piece)


async def _pieces(stream: AsyncIterator[Delta | LeaseEnded]) -> AsyncGenerator[str | LeaseEnded, None]:
    """A lease's stream without its empty steps, its end checked."""
    async for item in stream:
        if isinstance(item, LeaseEnded):
            _completed(item)
            yield item
            return
        if item.text:
            yield item.text
    raise RunnerFailed(Refusal(RefusalCode.INTERNAL, "the answer broke off on the server's side; try again"))


def _completed(ended: LeaseEnded) -> None:
    """Pass an answer that came to its own end; raise for one that did not."""
    if ended.reason not in (EndReason.STOP, EndReason.LENGTH):
        raise RequestRefused(Refusal(RefusalCode.STOPPED_BY_OPERATOR, _CUT_SHORT))

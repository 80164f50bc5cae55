"""Loads a model: from the `Load` message to an engine that can take steps, or to a typed failure.

The file is compared with what the service saw when it planned, before and after the load: the engine opens it by
name, and the name may meanwhile mean another file. What a failure means is read from the engine's log, which is the
only place where it says so; the words that go to the service name no path and quote nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from runner.llama import grid, library
from runner.llama.failure import LoadError, classify
from runner.llama.log import EngineLog
from runner.llama.report import parse_offloaded, parse_report
from runner.llama.template import ChatTemplate
from statemachines.facts import AllocationReport, FileIdentity, LoadedFacts, LoadFailure, LoadKind, LoadOptions
from statemachines.wire.messages import Load

SLOTS_MAX = 1
"""Continuous batching comes later; a larger setting is refused by name."""

CONTEXT_TOKENS_MIN = 2
"""One token of a prompt and one of an answer."""

_ALL_LAYERS = -1


class LoadAborted(Exception):
    """The service asked the runner to stop while it was loading."""


@dataclass(frozen=True)
class Loaded:
    """A model ready for steps, with what the service wants to know about it. Closed once, context first."""

    model: library.Model
    context: library.Context
    template: ChatTemplate
    facts: LoadedFacts
    report: AllocationReport
    chunk_tokens: int

    def close(self) -> None:
        self.context.close()
        self.model.close()


def load(request: Load, log: EngineLog, on_progress: Callable[[float], bool]) -> Loaded:
    """Load what `request` names.

    Args:
        on_progress: told how much is done (0 to 1); returns False to give up.
    Raises:
        LoadError: it cannot be loaded, or is no longer the file that was meant.
        LoadAborted: `on_progress` said so.
    """
    _check_options(request.options)
    check_identity(request)
    _check_permission(request)
    model = _load_model(request, log, on_progress)
    try:
        check_identity(request)
        _check_model(model)
        return _with_context(request, model, log)
    except BaseException:
        model.close()
        raise


def check_identity(request: Load) -> None:
    """Raise `LoadError` unless every part still is the file that the service means."""
    try:
        found = tuple(identity_of(os.stat(path)) for path in request.paths)
    except OSError:
        found = ()
    if found != request.identities:
        raise LoadError(
            LoadFailure.REPLACED,
            "the model file was replaced or removed since this load was planned; ask again to get the new one",
        )


def _check_permission(request: Load) -> None:
    """Name what the engine would call a damaged file."""
    if not all(os.access(path, os.R_OK) for path in request.paths):
        raise LoadError(LoadFailure.BAD_FILE, "the service has no permission to read the model file")


def identity_of(stat: os.stat_result) -> FileIdentity:
    return FileIdentity(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def _check_options(options: LoadOptions) -> None:
    """Name what this runner does not do, before any work."""
    if options.context_tokens < CONTEXT_TOKENS_MIN:
        _unsupported(f"a context of {options.context_tokens} tokens has no room for a prompt and an answer")
    if options.slots > SLOTS_MAX:
        _unsupported(f"{options.slots} slots were asked for, and a runner has {SLOTS_MAX} in this version")
    if options.kind is not LoadKind.COMPLETION:
        _unsupported(f"loading for {options.kind.value} is not served in this version")
    if options.shift:
        _unsupported("shifting a full context is not served in this version; set shift to false")
    if options.cache_type not in library.CACHE_TYPES:
        known = ", ".join(library.CACHE_TYPES)
        _unsupported(f"cache type {options.cache_type!r} is not served; choose one of {known}")


def _unsupported(message: str) -> NoReturn:
    raise LoadError(LoadFailure.UNSUPPORTED, message)


def _load_model(request: Load, log: EngineLog, on_progress: Callable[[float], bool]) -> library.Model:
    aborted = False

    def keep_on(done: float) -> bool:
        nonlocal aborted
        aborted = aborted or not on_progress(done)
        return not aborted

    layers = _layers_to_offload(request.options)
    model = library.Model.load(request.paths, gpu_layers=layers, main_gpu=request.options.main_gpu, on_progress=keep_on)
    if model is not None:
        return model
    if aborted:
        raise LoadAborted
    raise classify(log.kept_texts("error"), LoadFailure.BAD_FILE)


def _layers_to_offload(options: LoadOptions) -> int:
    """All layers where the engine has an accelerator and nobody asked otherwise; a CPU build has nowhere to put any."""
    if not library.can_offload():
        return 0
    return _ALL_LAYERS if options.gpu_layers is None else options.gpu_layers


def _check_model(model: library.Model) -> None:
    if not model.is_decoder_only:
        _unsupported("this model is no decoder-only language model, and only those are served in this version")
    if model.vocabulary.is_empty:
        raise LoadError(LoadFailure.BAD_FILE, "the model file has no tokenizer; convert it again with one")


def _with_context(request: Load, model: library.Model, log: EngineLog) -> Loaded:
    options = request.options
    chunk = grid.chunk_tokens(model.weights_bytes)
    context = library.Context.create(
        model,
        context_tokens=options.context_tokens,
        sequences=options.slots,
        batch_tokens=max(chunk, options.slots),
        cache_type=options.cache_type,
        threads=request.threads,
    )
    if context is None:
        raise classify(log.kept_texts("error"), LoadFailure.ENGINE)
    texts = log.kept_texts()
    facts = loaded_facts(options, parse_offloaded(texts))
    return Loaded(model, context, _template(model), facts, parse_report(texts), chunk)


def loaded_facts(options: LoadOptions, gpu_layers: int) -> LoadedFacts:
    """What was asked for, with what became of it; the engine's own rounding of the context stays invisible."""
    return LoadedFacts(
        context_tokens=options.context_tokens,
        slots=options.slots,
        kind=options.kind,
        shift=options.shift,
        cache_type=options.cache_type,
        gpu_layers=gpu_layers,
        main_gpu=options.main_gpu,
    )


def _template(model: library.Model) -> ChatTemplate:
    words = model.vocabulary
    return ChatTemplate(model.chat_template, bos=words.text(words.bos), eos=words.text(words.eos))

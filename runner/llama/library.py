"""The engine's functions that Roundhouse uses, as a few small objects; the only module that uses the engine.

Each object owns one native thing and frees it once, in `close`. Nothing here decides anything: a null pointer becomes
None, a status stays a number. The functions and the layouts of their structures belong to the pinned release
(docs/decisions/0001-dependencies.md); no other module sees a pointer.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple, Self

from runner.llama.bindings import import_bindings
from runner.llama.tokenizer import Word

engine: Any = import_bindings()

CACHE_TYPES: dict[str, int] = {
    "f16": engine.GGML_TYPE_F16,
    "f32": engine.GGML_TYPE_F32,
}
"""Cache element types by name. Quantised ones need flash attention, which is off (docs/decisions/0004)."""

_SPECIAL = engine.LLAMA_TOKEN_ATTR_UNKNOWN | engine.LLAMA_TOKEN_ATTR_CONTROL | engine.LLAMA_TOKEN_ATTR_USER_DEFINED
_STRIPS = engine.LLAMA_TOKEN_ATTR_LSTRIP | engine.LLAMA_TOKEN_ATTR_RSTRIP
_PIECE_BYTES = 64
_ALL_POSITIONS = -1
_TOKENS_PER_BYTE_GUESS = 3


def start(on_log: Callable[[int, bytes], None]) -> None:
    """Start the engine and send its log to `on_log`; a second call only redirects the log."""
    callback = engine.llama_log_callback(lambda level, text, _data: on_log(level, text or b""))
    engine.llama_log_set(callback, None)
    _log_callback[:] = [callback]  # the engine keeps the pointer: the one before it may go only now
    engine.llama_backend_init()


_log_callback: list[Any] = []


def on_abort(callback: Callable[[str], None]) -> None:
    """Call `callback` with the reason when the engine is about to abort the process; it may end it otherwise.

    The package does not bind this function of ggml; it is found through the library that links to it.
    """
    native = _ABORT_CALLBACK(lambda message: callback((message or b"").decode("utf-8", "replace")))
    engine._lib.ggml_set_abort_callback(native)
    _abort_callback[:] = [native]


_ABORT_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_abort_callback: list[Any] = []


def can_offload() -> bool:
    """Whether this build of the engine can put layers on an accelerator that is there."""
    return bool(engine.llama_supports_gpu_offload())


class Model:
    """Loaded weights."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer
        self.vocabulary = Vocabulary(engine.llama_model_get_vocab(pointer))

    @classmethod
    def load(
        cls,
        paths: Sequence[str],
        *,
        gpu_layers: int,
        main_gpu: int | None,
        on_progress: Callable[[float], bool],
    ) -> Self | None:
        """Load a file, or all parts of a split one; None when the engine gave up or `on_progress` said no.

        Args:
            gpu_layers: layers for accelerators [count]; -1 for all.
            main_gpu: the only accelerator to use; None for any.
            on_progress: told how much is done (0 to 1); returns whether to go on.
        """
        failures: list[BaseException] = []
        params = _model_params(gpu_layers, main_gpu)
        params.progress_callback = _progress_callback(on_progress, failures)
        pointer = _load(paths, params)
        if failures:
            raise failures[0]
        return cls(pointer) if pointer else None

    @property
    def weights_bytes(self) -> int:
        return int(engine.llama_model_size(self.pointer))

    @property
    def is_decoder_only(self) -> bool:
        """Whether text goes in and the next token comes out, with nothing before it and nothing else."""
        decodes = engine.llama_model_has_decoder(self.pointer) and not engine.llama_model_has_encoder(self.pointer)
        return bool(decodes and not engine.llama_model_is_diffusion(self.pointer))

    @property
    def chat_template(self) -> str | None:
        text = engine.llama_model_chat_template(self.pointer, None)
        return None if text is None else text.decode("utf-8", "replace")

    def close(self) -> None:
        pointer, self.pointer = self.pointer, 0
        if pointer:
            engine.llama_model_free(pointer)


def _model_params(gpu_layers: int, main_gpu: int | None) -> Any:
    params = engine.llama_model_default_params()
    params.n_gpu_layers = gpu_layers
    if main_gpu is not None:
        params.split_mode = engine.LLAMA_SPLIT_MODE_NONE
        params.main_gpu = main_gpu
    return params


def _progress_callback(on_progress: Callable[[float], bool], failures: list[BaseException]) -> Any:
    """A callback that stops the load and keeps the exception: one may not cross native code."""

    def report(done: float, _data: object) -> bool:
        try:
            return on_progress(done)
        except BaseException as failure:
            failures.append(failure)
            return False

    return engine.llama_progress_callback(report)


def _load(paths: Sequence[str], params: Any) -> Any:
    encoded = [os.fsencode(path) for path in paths]
    if len(encoded) == 1:
        return engine.llama_model_load_from_file(encoded[0], params)
    array = (ctypes.c_char_p * len(encoded))(*encoded)
    return engine.llama_model_load_from_splits(array, len(encoded), params)


class Vocabulary:
    """A model's tokens; lives as long as its model."""

    def __init__(self, pointer: int) -> None:
        self._pointer = pointer
        self.size = int(engine.llama_vocab_n_tokens(pointer))
        self.bos = int(engine.llama_vocab_bos(pointer))
        self.eos = int(engine.llama_vocab_eos(pointer))
        self.adds_bos = bool(engine.llama_vocab_get_add_bos(pointer))
        self.adds_eos = bool(engine.llama_vocab_get_add_eos(pointer))
        self.is_sentencepiece = engine.llama_vocab_type(pointer) == engine.LLAMA_VOCAB_TYPE_SPM
        self.is_bytepair = engine.llama_vocab_type(pointer) == engine.LLAMA_VOCAB_TYPE_BPE

    @property
    def is_empty(self) -> bool:
        """Whether the file brought no tokenizer."""
        return bool(engine.llama_vocab_type(self._pointer) == engine.LLAMA_VOCAB_TYPE_NONE)

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        """Token ids of `text`; special tokens written out in it are recognised.

        Args:
            add_special: put the tokens around it that the model file asks for.
        """
        encoded = text.encode("utf-8", "replace")
        capacity = len(encoded) // _TOKENS_PER_BYTE_GUESS + _PIECE_BYTES
        count, tokens = self._tokenize(encoded, capacity, add_special)
        if count < 0:  # the answer is how many there would have been
            count, tokens = self._tokenize(encoded, -count, add_special)
        return list(tokens[:count])

    def _tokenize(self, encoded: bytes, capacity: int, add_special: bool) -> tuple[int, Any]:
        tokens = (engine.llama_token * capacity)()
        count = engine.llama_tokenize(self._pointer, encoded, len(encoded), tokens, capacity, add_special, True)
        return count, tokens

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; none for a control token."""
        return self._piece(token, _PIECE_BYTES, special=False)

    def text(self, token: int) -> str:
        """A token as it is written in a template, such as ``<s>``; empty for a token the model does not have."""
        if not 0 <= token < self.size:
            return ""
        text: bytes = engine.llama_vocab_get_text(self._pointer, token) or b""
        return text.decode("utf-8", "replace")

    def has_byte_tokens(self) -> bool:
        """Whether a character without a token can be spelled in bytes: there are 256 tokens for them."""
        attributes = (engine.llama_vocab_get_attr(self._pointer, token) for token in range(self.size))
        found = (token for token in attributes if token & engine.LLAMA_TOKEN_ATTR_BYTE)
        return next(islice(found, 255, None), None) is not None

    def word(self, token: int) -> Word:
        """A token as a tokenizer's user has to know it."""
        attributes = int(engine.llama_vocab_get_attr(self._pointer, token))
        return Word(
            text=engine.llama_vocab_get_text(self._pointer, token) or b"",
            piece=self._piece(token, _PIECE_BYTES, special=True),
            is_special=bool(attributes & _SPECIAL),
            strips=bool(attributes & _STRIPS),
        )

    def _piece(self, token: int, capacity: int, *, special: bool) -> bytes:
        buffer = ctypes.create_string_buffer(capacity)
        count = engine.llama_token_to_piece(self._pointer, token, buffer, capacity, 0, special)
        return self._piece(token, -count, special=special) if count < 0 else buffer.raw[:count]

    def is_end(self, token: int) -> bool:
        """Whether the token ends a turn or an answer."""
        return bool(engine.llama_vocab_is_eog(self._pointer, token))


class BatchEntry(NamedTuple):
    """One token of one step. ``has_logits``: the next token will be chosen from what comes out here."""

    token: int
    position: int
    sequence: int
    has_logits: bool


class Context:
    """Key-value cache and compute buffers over a model; what steps run on."""

    def __init__(self, pointer: int, batch_tokens: int) -> None:
        self.pointer = pointer
        self._batch = engine.llama_batch_init(batch_tokens, 0, 1)
        self._abort_callback: Any = None

    @classmethod
    def create(
        cls, model: Model, *, context_tokens: int, sequences: int, batch_tokens: int, cache_type: str, threads: int
    ) -> Self | None:
        """Allocate for `sequences` of `context_tokens` each; None when the engine could not."""
        params = engine.llama_context_default_params()
        params.n_ctx = context_tokens * sequences
        params.n_seq_max = sequences
        params.n_batch = params.n_ubatch = batch_tokens
        params.n_outputs_max = sequences
        params.type_k = params.type_v = CACHE_TYPES[cache_type]
        params.n_threads = params.n_threads_batch = threads
        _ask_for_text_identity(params)
        pointer = engine.llama_init_from_model(model.pointer, params)
        return cls(pointer, batch_tokens) if pointer else None

    def decode(self, entries: Sequence[BatchEntry]) -> int:
        """Run one step; the engine's status, 0 for success."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for index, entry in enumerate(entries):
            batch.token[index] = entry.token
            batch.pos[index] = entry.position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = entry.sequence
            batch.logits[index] = entry.has_logits
        return int(engine.llama_decode(self.pointer, batch))

    def forget(self, sequence: int) -> None:
        """Empty the sequence's cache."""
        engine.llama_memory_seq_rm(engine.llama_get_memory(self.pointer), sequence, 0, _ALL_POSITIONS)

    def set_threads(self, threads: int) -> None:
        engine.llama_set_n_threads(self.pointer, threads, threads)

    @property
    def threads(self) -> int:
        return int(engine.llama_n_threads(self.pointer))

    def on_node(self, callback: Callable[[], None]) -> None:
        """Call `callback` before each node of a graph that the CPU computes."""

        def count(_data: object) -> bool:
            callback()
            return False  # True would abort the step

        self._abort_callback = engine.ggml_abort_callback(count)
        engine.llama_set_abort_callback(self.pointer, self._abort_callback, None)

    def close(self) -> None:
        pointer, self.pointer = self.pointer, 0
        if pointer:
            engine.llama_batch_free(self._batch)
            engine.llama_free(pointer)


def _ask_for_text_identity(params: Any) -> None:
    """Text may depend on weights, options and prompt only (docs/decisions/0004-text-identity.md)."""
    params.flash_attn_type = engine.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.kv_unified = False
    params.swa_full = False


class SamplerChain:
    """Samplers applied one after the other; the last one chooses."""

    def __init__(self) -> None:
        self.pointer: int = engine.llama_sampler_chain_init(engine.llama_sampler_chain_default_params())

    def penalties(self, vocabulary_tokens: int, last_tokens: int, repeat: float) -> None:
        self._add(engine.llama_sampler_init_penalties(vocabulary_tokens, last_tokens, repeat, 0.0, 0.0))

    def top_k(self, count: int) -> None:
        self._add(engine.llama_sampler_init_top_k(count))

    def top_p(self, probability: float) -> None:
        self._add(engine.llama_sampler_init_top_p(probability, 1))

    def min_p(self, probability: float) -> None:
        self._add(engine.llama_sampler_init_min_p(probability, 1))

    def temperature(self, temperature: float) -> None:
        self._add(engine.llama_sampler_init_temp(temperature))

    def draw(self, seed: int) -> None:
        self._add(engine.llama_sampler_init_dist(seed))

    def greedy(self) -> None:
        self._add(engine.llama_sampler_init_greedy())

    def _add(self, sampler: int) -> None:
        engine.llama_sampler_chain_add(self.pointer, sampler)

    def accept(self, token: int) -> None:
        """Let the penalties know of a token of the prompt."""
        engine.llama_sampler_accept(self.pointer, token)

    def sample(self, context: Context, index: int) -> int:
        """Choose from the logits of the batch's entry `index` (-1: its last one), and accept the choice."""
        return int(engine.llama_sampler_sample(self.pointer, context.pointer, index))

    def close(self) -> None:
        pointer, self.pointer = self.pointer, 0
        if pointer:
            engine.llama_sampler_free(pointer)

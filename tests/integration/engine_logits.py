"""A prompt evaluated by the engine, without a lease around it: its logits, and samplers on them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from runner.llama import library
from runner.llama.grid import chunk_end
from runner.llama.library import BatchEntry, Context, Model
from runner.llama.log import EngineLog
from runner.llama.sampling import accept_prompt, sampler_chain
from statemachines.wire.messages import Sampling

CONTEXT_TOKENS = 512
Floats = npt.NDArray[np.float32]


class Evaluated:
    """A model with a prompt evaluated, to be looked at and drawn from as often as one likes; close it."""

    def __init__(self, path: Path, prompt: str, *, chunk_tokens: int = 64, threads: int = 1) -> None:
        library.start(EngineLog(lambda _line: None).take)
        model = Model.load([str(path)], gpu_layers=0, main_gpu=None, on_progress=lambda _done: True)
        assert model is not None
        context = Context.create(
            model,
            context_tokens=CONTEXT_TOKENS,
            sequences=1,
            batch_tokens=chunk_tokens,
            cache_type="f16",
            threads=threads,
        )
        assert context is not None
        self.model, self.context = model, context
        self.tokens = model.vocabulary.tokenize(prompt, add_special=True)
        self._evaluate(chunk_tokens)

    def _evaluate(self, chunk_tokens: int) -> None:
        position, last = 0, len(self.tokens) - 1
        while position <= last:
            end = chunk_end(position, last + 1, chunk_tokens)
            tokens = enumerate(self.tokens[position:end], position)
            assert self.context.decode([BatchEntry(token, at, 0, at == last) for at, token in tokens]) == 0
            position = end

    def logits(self) -> Floats:
        row = library.engine.llama_get_logits_ith(self.context.pointer, -1)
        return np.ctypeslib.as_array(row, (self.model.vocabulary.size,)).copy()

    def draw(self, wanted: Sampling) -> int:
        """The first token of an answer."""
        chain = sampler_chain(wanted, vocabulary_tokens=self.model.vocabulary.size, context_tokens=CONTEXT_TOKENS)
        accept_prompt(chain, wanted, self.tokens)
        token = chain.sample(self.context, -1)
        chain.close()
        return token

    def close(self) -> None:
        self.context.close()
        self.model.close()

"""Scripted models: real llama.cpp runs them and says exactly the text that was chosen.

How: a token's embedding is one-hot, attention and feed-forward are zero, and the output matrix is a table "after
token i comes token j". So the next token depends on the last one alone. An answer is a chain of tokens, one per
*piece*; the last leads to the end token, or back to the first for an answer that never ends. Every token that is no
piece leads to the first answer.

The chat template ends with a control token of its own for each answer, chosen by what the last message contains; in a
raw prompt the same token can be typed: ``<|answer-1|>``.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, TokenType

from tests.factory.model_file import Scalar, Shape, Tensor, tensor_shapes, write_model
from tests.factory.vocabulary import EOS, SPACE, spm

BASE_SIZE = 3 + 256 + 95
"""Specials, bytes and printable ASCII: what prompts are made of."""
CERTAINTY = np.float32(16)
"""Factor on all logits: the scripted token beats every other one at any usual temperature."""

Step = tuple[bytes, TokenType]


@dataclass(frozen=True)
class Answer:
    """What the model says, one token per piece.

    Attributes:
        pieces: the bytes of each token; they need not be whole characters.
        endless: begin again after the last piece, for ever.
        exact: a piece that cannot be one token is an error; otherwise it becomes one token per byte.
    """

    pieces: tuple[bytes, ...]
    endless: bool = False
    exact: bool = True

    def text(self) -> str:
        """The whole answer, once."""
        return b"".join(self.pieces).decode()


Chain = tuple[list[Step], Answer]


def say(text: str, *, endless: bool = False) -> Answer:
    """An answer split about as a tokenizer would: words with the space before them, everything else into bytes."""
    head, *rest = text.split(" ")
    words = [head, *(" " + word for word in rest)]
    return Answer(tuple(word.encode() for word in words if word), endless, exact=False)


def scripted_model(
    path: Path,
    answers: str | Answer | Mapping[str, str | Answer],
    *,
    chat_template: str | None = None,
    context_tokens: int = 2048,
    name: str = "scripted",
    metadata: Mapping[str, Scalar] | None = None,
) -> Path:
    """Writes a model that says `answers`.

    Args:
        answers: one answer, or a mapping: given is the first answer whose key (unless it is empty) is in the last
            message, otherwise the mapping's first one.
        chat_template: instead of the one made here; let it end with ``<|answer-N|>``.
    Raises:
        ValueError: a piece is empty, contains U+2581, or (`exact`) is used more often than it can be spelled.
    """
    script = answers if isinstance(answers, Mapping) else {"": answers}
    chains = _chains([answer if isinstance(answer, Answer) else say(answer) for answer in script.values()])
    starts = [(answer_token(i).encode(), TokenType.CONTROL) for i in range(len(chains))]
    vocabulary = spm(size=BASE_SIZE, extra=[*starts, *chain.from_iterable(steps for steps, _ in chains)])
    size = len(vocabulary)
    width = -(-size // 32) * 32
    shape = Shape(1, width, 1, 1, 32, 32, context_tokens)
    return write_model(
        path,
        shape=shape,
        vocabulary=vocabulary,
        tensors=_tensors(shape, size, _successors(chains, size)),
        weights=GGMLQuantizationType.F16,
        chat_template=chat_template or template(list(script)),
        name=name,
        metadata=metadata,
    )


def answer_token(index: int) -> str:
    """The control token after which answer `index` is said."""
    return f"<|answer-{index}|>"


def template(keys: Sequence[str]) -> str:
    """A chat template that shows every turn and ends with the token of the answer that the last turn asks for."""
    turns = "{%- for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    last = "{%- set last = messages[-1]['content'] if messages else '' %}{%- if false %}"
    cases = [f"{{%- elif {json.dumps(key)} in last %}}{answer_token(index)}" for index, key in enumerate(keys) if key]
    return turns + last + "".join(cases) + "{%- else %}" + answer_token(0) + "{%- endif %}"


def _chains(answers: Sequence[Answer]) -> list[Chain]:
    """One token of its own for every piece of every answer; exact answers choose their spellings first."""
    taken = {*spm(size=BASE_SIZE).texts, *(answer_token(i).encode() for i in range(len(answers)))}
    steps: dict[int, list[Step]] = {}
    for index in sorted(range(len(answers)), key=lambda i: not answers[i].exact):
        answer = answers[index]
        steps[index] = [step for piece in answer.pieces for step in _steps(piece, answer, taken)]
    return [(steps[index], answer) for index, answer in enumerate(answers)]


def _steps(piece: bytes, answer: Answer, taken: set[bytes]) -> list[Step]:
    """The token of one piece, or a token per byte where that is allowed and a single one is not possible."""
    if len(piece) == 1:
        return [_byte(piece[0], taken)]
    text = _free_spelling(piece, taken)
    if text is not None and (answer.exact or piece.isascii()):
        taken.add(text)
        return [(text, TokenType.NORMAL)]
    if answer.exact:
        raise ValueError(f"{piece!r} cannot be one token again: split it, single bytes are unlimited")
    return [_byte(value, taken) for value in piece]


def _byte(value: int, taken: set[bytes]) -> Step:
    # llama.cpp reads the two digits and ignores what follows, which keeps the texts apart.
    text = b"<0x%02X>#%d" % (value, len(taken))
    taken.add(text)
    return text, TokenType.BYTE


def _free_spelling(piece: bytes, taken: set[bytes]) -> bytes | None:
    """A text that llama.cpp prints as `piece` and no token has yet: each space can be written in two ways."""
    if not piece or SPACE.encode() in piece:
        raise ValueError(f"{piece!r} cannot be a piece: it is empty or contains U+2581")
    head, *rest = piece.split(b" ")
    for spaces in product((b" ", SPACE.encode()), repeat=len(rest)):
        text = head + b"".join(space + part for space, part in zip(spaces, rest, strict=True))
        if text not in taken:
            return text
    return None


def _successors(chains: Sequence[Chain], size: int) -> list[int]:
    """For each token the one that comes after it."""
    step = BASE_SIZE + len(chains)
    successors = [step] * size
    for index, (steps, answer) in enumerate(chains):
        end = step + len(steps)
        successors[BASE_SIZE + index] = step
        successors[step:end] = [*range(step + 1, end), step if answer.endless else EOS]
        step = end
    return successors


def _tensors(shape: Shape, vocab_size: int, successors: Sequence[int]) -> Iterator[Tensor]:
    for name, rows in tensor_shapes(shape, vocab_size).items():
        values = np.zeros(rows, np.float32)
        if name == "token_embd.weight":
            np.fill_diagonal(values, 1)
        elif name == "output.weight":
            values[successors, range(vocab_size)] = 1
        elif len(rows) == 1:
            values[:] = CERTAINTY if name == "output_norm.weight" else 1
        yield Tensor(name, values, GGMLQuantizationType.F16 if len(rows) == 2 else GGMLQuantizationType.F32)

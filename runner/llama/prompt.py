"""From what a request says to the tokens that the engine evaluates: rendered, tokenised, and cut if need be.

How a prompt that is too long is cut:
- a conversation loses its oldest turns, never a system turn and never the last one;
- what still does not fit loses its middle: the first `num_keep` tokens stay (one more for a begin token), and so do
  the last ones, half of the remaining room.
A prompt fits when at least one token of an answer fits behind it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from runner.llama.template import ChatTemplate, TemplateFailed
from statemachines.errors import Refusal, RefusalCode, RequestRefused
from statemachines.wire.messages import ChatMessage, ChatPrompt, Generate, TextPrompt


class Tokenizer(Protocol):
    """What prompts need of `runner.llama.tokenizer.PromptTokenizer`."""

    size: int
    bos: int

    def tokenize(self, text: str, *, add_special: bool) -> list[int]: ...

    def least_tokens(self, text: str) -> int: ...

    def shortened(self, text: str, *, first_tokens: int, last_tokens: int) -> str: ...


def prompt_tokens(request: Generate, template: ChatTemplate, tokenizer: Tokenizer, context_tokens: int) -> list[int]:
    """The tokens to evaluate: at least one, and fewer than `context_tokens`.

    Raises:
        RequestRefused: the template failed, a token id of `context` is none of the model's, there is nothing to
            evaluate, or the prompt does not fit and must not be cut.
    """
    before = _earlier_context(request.context, tokenizer)
    tokens_of = partial(_tokens_of, request=request, before=before, tokenizer=tokenizer, context_tokens=context_tokens)
    match request.prompt:
        case TextPrompt(text=text):
            tokens = tokens_of(text, add_special=not before)
        case ChatPrompt() as chat:
            tokens = _chat_tokens(chat, template, tokens_of, context_tokens)
    if not tokens:
        raise _refused(RefusalCode.INVALID, "the prompt is empty: this model needs at least one token; send some text")
    if len(tokens) < context_tokens:
        return tokens
    if not request.prompt.truncate:
        raise too_long(str(len(tokens)), context_tokens)
    keep = request.num_keep + (tokens[0] == tokenizer.bos) if request.num_keep >= 0 else len(tokens)
    return cut_middle(tokens, keep, context_tokens)


def cut_middle(tokens: list[int], keep: int, context_tokens: int) -> list[int]:
    """Drop what lies after the first `keep` tokens until half of the room behind them is free."""
    keep = min(keep, context_tokens - 2)  # at least one token from the end, and one for the answer
    left = context_tokens - max((context_tokens - keep) // 2, 1)
    return tokens[:keep] + tokens[len(tokens) - (left - keep) :]


def _tokens_of(
    text: str, *, add_special: bool, request: Generate, before: list[int], tokenizer: Tokenizer, context_tokens: int
) -> list[int]:
    """The tokens of a text behind an earlier context.

    A text that is certainly too long is refused before it is tokenised, or most of its middle is left out: only its
    ends can come to be used.
    """
    if (least := tokenizer.least_tokens(text)) >= context_tokens:
        if not request.prompt.truncate:
            raise too_long(f"at least {least}", context_tokens)
        keep = min(request.num_keep, context_tokens) if request.num_keep >= 0 else context_tokens
        text = tokenizer.shortened(text, first_tokens=keep, last_tokens=context_tokens)
    return before + _without_second_bos(tokenizer.tokenize(text, add_special=add_special), before, tokenizer)


def too_long(prompt: str, context: int) -> RequestRefused:
    """The refusal of a prompt that may not be cut; clients know the words of its first part."""
    return _refused(
        RefusalCode.PROMPT_TOO_LONG,
        "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust "
        "the context length in settings, or use a model with a longer context length "
        f"(prompt: {prompt} tokens, context: {context} tokens)",
    )


def _earlier_context(context: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    if any(not 0 <= token < tokenizer.size for token in context):
        raise _refused(
            RefusalCode.INVALID, "context has a number that is no token of this model; send what it answered, or none"
        )
    return list(context)


def _chat_tokens(chat: ChatPrompt, template: ChatTemplate, tokens_of: "_TokensOf", context_tokens: int) -> list[int]:
    """Tokens of the conversation with as few turns dropped as the context needs.

    Dropping more never makes a prompt longer, so the number is found by halving: a long conversation is rendered a
    few times, not once per turn.
    """
    attempt = partial(_render, chat.messages, template, tokens_of)
    tokens = attempt(0)
    droppable = sum(_is_droppable(chat.messages, index) for index in range(len(chat.messages)))
    if len(tokens) < context_tokens or not chat.truncate or not droppable:
        return tokens
    too_few, enough = 0, droppable
    fitting, refused = _fewest_turns(attempt, droppable)
    if len(fitting) >= context_tokens:
        return fitting
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        dropped, candidate = _first_that_renders(attempt, middle, enough)
        if len(candidate) < context_tokens and dropped < enough:
            enough, fitting, refused = dropped, candidate, None
        else:
            too_few = middle
    if refused is not None:
        raise refused
    return fitting


class _TokensOf(Protocol):
    def __call__(self, text: str, /, *, add_special: bool) -> list[int]: ...


class _Attempt(Protocol):
    def __call__(self, drop: int, /) -> list[int]: ...


def _fewest_turns(attempt: "_Attempt", droppable: int) -> tuple[list[int], RequestRefused | None]:
    """Without all that may be dropped; a template may refuse what is left, and render more of it."""
    try:
        return attempt(droppable), None
    except RequestRefused as refused:
        return [], refused


def _first_that_renders(attempt: _Attempt, drop: int, enough: int) -> tuple[int, list[int]]:
    """`drop` turns fewer, or one more where the template insists that user and assistant alternate."""
    try:
        return drop, attempt(drop)
    except RequestRefused:
        pass
    try:
        return drop + 1, attempt(drop + 1)
    except RequestRefused:
        return enough, []


def _render(messages: Sequence[ChatMessage], template: ChatTemplate, tokens_of: _TokensOf, drop: int) -> list[int]:
    """A model's own template writes its special tokens itself; the fallback leaves them to the vocabulary."""
    try:
        text = template.render(_without_oldest(messages, drop))
    except TemplateFailed as failure:
        raise RequestRefused(failure.refusal) from None
    return tokens_of(text, add_special=template.is_fallback)


def _without_oldest(messages: Sequence[ChatMessage], drop: int) -> list[ChatMessage]:
    droppable = [index for index in range(len(messages)) if _is_droppable(messages, index)]
    dropped = frozenset(droppable[:drop])
    return [message for index, message in enumerate(messages) if index not in dropped]


def _is_droppable(messages: Sequence[ChatMessage], index: int) -> bool:
    return messages[index].role != "system" and index < len(messages) - 1


def _without_second_bos(tokens: list[int], before: list[int], tokenizer: Tokenizer) -> list[int]:
    """A begin token belongs at position 0 only: behind an earlier context it is dropped."""
    return tokens[1:] if before and tokens[:1] == [tokenizer.bos] else tokens


def _refused(code: RefusalCode, message: str) -> RequestRefused:
    return RequestRefused(Refusal(code, message))

"""Prompts by a tokenizer of one token per byte: what is kept and what is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.llama.prompt import cut_middle, prompt_tokens
from runner.llama.template import ChatTemplate
from statemachines.errors import RefusalCode, RequestRefused
from statemachines.units import LeaseId
from statemachines.wire.messages import ChatMessage, ChatPrompt, Generate, TextPrompt

BOS = 256
LEASE = LeaseId(1)
TURN = "{% for m in messages %}{{ m.role[0] }}{{ m.content }};{% endfor %}"
ALTERNATING = (
    "{% for m in messages if m.role != 'system' %}"
    "{% if (m.role == 'user') != loop.index0 is even %}{{ raise_exception('alternate') }}{% endif %}{% endfor %}" + TURN
)


class Bytes:
    """A tokenizer of one token per byte, with a begin token written ``^``."""

    size = 257
    bos = BOS

    def tokenize(self, text: str, *, add_special: bool) -> list[int]:
        tokens = [BOS if byte == ord("^") else byte for byte in text.encode()]
        return [BOS, *tokens] if add_special else tokens

    def least_tokens(self, text: str) -> int:
        """As with real ones nothing is known of short texts."""
        return len(text) if len(text) > 1_000 else 0

    def shortened(self, text: str, *, first_tokens: int, last_tokens: int) -> str:
        return text[:first_tokens] + text[-last_tokens:]


def tokens_of(request: Generate, context_tokens: int, template: str | None = TURN) -> list[int]:
    return prompt_tokens(request, ChatTemplate(template), Bytes(), context_tokens)


def text_of(request: Generate, context_tokens: int, template: str | None = TURN) -> str:
    tokens = tokens_of(request, context_tokens, template)
    return "".join("^" if token == BOS else chr(token) for token in tokens)


def chat(*roles: str, size: int = 5, truncate: bool = True, num_keep: int = 4) -> Generate:
    """Turns whose content is their number, `size` characters wide."""
    messages = tuple(ChatMessage(role, f"{index:0{size}}") for index, role in enumerate(roles))
    return Generate(LEASE, ChatPrompt(messages, truncate), num_keep=num_keep)


def test_raw_text_gets_the_tokens_that_the_file_asks_for() -> None:
    assert text_of(Generate(LEASE, TextPrompt("abc")), 100) == "^abc"


def test_a_template_writes_its_own_special_tokens() -> None:
    assert text_of(chat("user"), 100, "^" + TURN) == "^u00000;"
    assert text_of(chat("user"), 100) == "u00000;"


def test_the_fallback_template_leaves_the_begin_token_to_the_vocabulary() -> None:
    assert text_of(chat("user"), 100, None).startswith("^<|im_start|>user")


def test_an_earlier_context_goes_first_and_no_second_begin_token_follows() -> None:
    assert text_of(Generate(LEASE, TextPrompt("^c"), context=(BOS, 97, 98)), 100) == "^abc"
    prompt = ChatPrompt((ChatMessage("user", "x"),))
    assert text_of(Generate(LEASE, prompt, context=(BOS, 97)), 100, "^" + TURN) == "^aux;"


@pytest.mark.parametrize("token", [-1, 257])
def test_a_context_of_another_model_is_refused(token: int) -> None:
    with pytest.raises(RequestRefused) as caught:
        tokens_of(Generate(LEASE, TextPrompt("a"), context=(97, token)), 100)
    assert caught.value.code is RefusalCode.INVALID


def test_nothing_to_evaluate_is_refused() -> None:
    with pytest.raises(RequestRefused) as caught:
        tokens_of(chat("user"), 100, "{# silent #}")
    assert caught.value.code is RefusalCode.INVALID


def test_a_template_that_fails_is_refused() -> None:
    with pytest.raises(RequestRefused) as caught:
        tokens_of(chat("user"), 100, "{{ raise_exception('no') }}")
    assert caught.value.code is RefusalCode.TEMPLATE_FAILED


@pytest.mark.parametrize(
    ("context_tokens", "kept"), [(43, "012345"), (42, "02345"), (35, "0345"), (28, "045"), (15, "05")]
)
def test_the_oldest_turns_go_and_system_turns_and_the_last_one_stay(context_tokens: int, kept: str) -> None:
    text = text_of(chat("system", "user", "assistant", "user", "assistant", "user"), context_tokens)
    assert [turn[-1] for turn in text.split(";")[:-1]] == list(kept)


def test_as_few_turns_go_as_the_context_needs() -> None:
    request = chat(*["user", "assistant"] * 20, "user")
    full = len(tokens_of(request, 10_000))
    for context_tokens in range(8, full + 2, 3):
        kept = tokens_of(request, context_tokens)
        assert len(kept) == (min(full, context_tokens - 1) // 7) * 7


def test_turns_go_in_pairs_where_the_template_wants_them_to_alternate() -> None:
    request = chat("system", *["user", "assistant"] * 20, "user")
    for context_tokens in range(15, 300, 4):
        text = text_of(request, context_tokens, ALTERNATING)
        assert len(text) < context_tokens
        assert len(text) + 14 >= min(context_tokens, 42 * 7)
        assert text.split(";")[1][0] == "u"


def test_where_the_last_turn_alone_is_none_more_of_them_stay() -> None:
    """The client has begun the answer itself, and the template begins with a user."""
    request = chat(*["user", "assistant"] * 20)
    for context_tokens in range(15, 280, 4):
        text = text_of(request, context_tokens, ALTERNATING)
        assert len(text) < context_tokens
        assert text.split(";")[0][0] == "u"
    with pytest.raises(RequestRefused, match="alternate"):
        text_of(request, 14, ALTERNATING)


def test_a_template_that_takes_nothing_in_between_gets_the_last_turn_alone() -> None:
    picky = "{% if messages | length not in (1, 9) %}{{ raise_exception('no') }}{% endif %}" + TURN
    assert text_of(chat(*["user"] * 9), 60, picky) == "u00008;"


@pytest.mark.parametrize("template", [TURN, ALTERNATING])
def test_what_may_not_be_cut_is_refused_with_the_counts(template: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        tokens_of(chat("user", "assistant", "user", truncate=False), 20, template)
    assert caught.value.code is RefusalCode.PROMPT_TOO_LONG
    assert caught.value.refusal.message == (
        "the prompt is longer than the context length currently available to the model; shorten the prompt, adjust "
        "the context length in settings, or use a model with a longer context length "
        "(prompt: 21 tokens, context: 20 tokens)"
    )


def test_a_text_that_is_certainly_too_long_is_refused_without_its_count() -> None:
    with pytest.raises(RequestRefused, match=r"\(prompt: at least 3000 tokens, context: 20 tokens\)"):
        tokens_of(Generate(LEASE, TextPrompt("x" * 3_000, truncate=False)), 20)


@pytest.mark.parametrize("num_keep", [-1, 0, 4, 7, 50])
def test_a_text_that_is_certainly_too_long_is_cut_to_the_same_tokens(
    num_keep: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(chr(0x40 + index * index % 30) for index in range(2_000))
    requests = [Generate(LEASE, prompt, num_keep=num_keep) for prompt in (TextPrompt(text), ChatPrompt(said(text)))]
    cut_early = [text_of(request, 30) for request in requests]
    monkeypatch.setattr(Bytes, "least_tokens", lambda _self, _text: 0)
    assert cut_early == [text_of(request, 30) for request in requests]


def said(text: str) -> tuple[ChatMessage, ...]:
    return ChatMessage("user", "gone"), ChatMessage("user", text)


def test_a_turn_that_is_too_long_alone_loses_its_middle() -> None:
    request = Generate(LEASE, ChatPrompt((ChatMessage("user", "gone"), ChatMessage("user", "0123456789abcdef"))))
    assert text_of(request, 12) == "u012" + "def;"


def test_a_begin_token_is_kept_besides_num_keep() -> None:
    request = Generate(LEASE, TextPrompt("0123456789abcdefghij"), num_keep=3)
    assert text_of(request, 12) == "^012" + "ghij"


def test_a_negative_num_keep_keeps_as_much_as_there_is_room_for() -> None:
    request = Generate(LEASE, TextPrompt("0123456789abcdefghij"), num_keep=-1)
    assert text_of(request, 12) == "^012345678" + "j"


@given(st.integers(2, 300), st.integers(0, 400), st.integers(0, 300))
def test_a_cut_prompt_fits_and_keeps_its_ends(context_tokens: int, keep: int, excess: int) -> None:
    tokens = list(range(context_tokens + excess))
    cut = cut_middle(tokens, keep, context_tokens)
    kept = min(keep, context_tokens - 2)
    assert cut[:kept] == tokens[:kept]
    assert cut[-1] == tokens[-1]
    assert len(cut) == context_tokens - max((context_tokens - kept) // 2, 1) < context_tokens
    assert cut == sorted(set(cut))

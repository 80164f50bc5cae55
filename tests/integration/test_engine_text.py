"""Characters, stop strings and ends of answers, with real llama.cpp saying exactly the chosen text."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from statemachines.units import LeaseId
from statemachines.wire.messages import ChatMessage, ChatPrompt, EndReason, Tokens, ToService
from tests.factory.scripted import Answer, scripted_model
from tests.integration.engine_runs import ask, chat, deltas_of, drive, end_of, load_of, text_of
from tests.integration.texts import SPLITS, STOPS

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scripted_model(tmp_path_factory.mktemp("script") / "script.gguf", STOPS)


def run(script: Path, answer: str, **fields: object) -> list[ToService]:
    return drive(load_of(script), [chat(answer, **fields)])


def test_every_character_split_at_every_byte_arrives_whole(tmp_path: Path) -> None:
    for index, (character, pieces) in enumerate(SPLITS):
        model = scripted_model(tmp_path / f"{index}.gguf", Answer((b"<", *pieces, b">")))
        sent = drive(load_of(model), [chat("say it")])
        expected = ["<", *[""] * (len(pieces) - 1), character, ">"]
        assert deltas_of(sent) == expected, (character, pieces)
        assert text_of(sent) == f"<{character}>"
        assert end_of(sent).reason is EndReason.STOP


def test_half_a_character_at_the_end_becomes_the_replacement_character(script: Path) -> None:
    sent = run(script, "cutoff")
    assert deltas_of(sent) == ["caf", ""]
    assert end_of(sent).rest == "\ufffd"


def test_half_a_character_that_a_limit_cut_off_is_left_out(script: Path) -> None:
    sent = run(script, "cutoff", num_predict=2)
    assert deltas_of(sent) == ["caf", ""]
    assert (end_of(sent).reason, end_of(sent).rest) == (EndReason.LENGTH, "")


def test_a_byte_of_no_character_becomes_the_replacement_character(script: Path) -> None:
    assert text_of(run(script, "bad")) == "x\ufffdy"


def test_a_stop_string_over_three_tokens_is_never_seen(script: Path) -> None:
    sent = run(script, "three", stop=("END.",))
    assert deltas_of(sent) == ["One ", "", ""]
    assert (end_of(sent).reason, end_of(sent).rest, end_of(sent).usage.output_tokens) == (EndReason.STOP, "", 3)


def test_one_that_almost_comes_is_given_back(script: Path) -> None:
    sent = run(script, "almost", stop=("END.",))
    assert deltas_of(sent) == ["Won ", "", "END, ", ""]
    assert (end_of(sent).reason, end_of(sent).rest) == (EndReason.STOP, "EN")


def test_a_stop_string_may_begin_with_a_character_in_two_tokens(script: Path) -> None:
    assert text_of(run(script, "emoji", stop=("\U0001f682 gone",))) == ""
    assert text_of(run(script, "emoji", stop=("gone!", "neither"))) == "\U0001f682 gone"


def test_num_predict_ends_an_answer_with_length(script: Path) -> None:
    sent = run(script, "endless", num_predict=3)
    assert text_of(sent) == "again andagain"
    assert (end_of(sent).reason, end_of(sent).usage.output_tokens) == (EndReason.LENGTH, 3)


def test_no_token_may_be_asked_for(script: Path) -> None:
    sent = run(script, "endless", num_predict=0)
    end = end_of(sent)
    assert (deltas_of(sent), end.reason, end.usage.output_tokens) == ([], EndReason.LENGTH, 0)
    assert end.usage.prompt_tokens > 0


@pytest.mark.parametrize("num_predict", [-1, 100_000])
def test_a_full_context_ends_an_answer_with_length(script: Path, num_predict: int) -> None:
    sent = drive(load_of(script, context_tokens=40), [chat("endless", num_predict=num_predict)])
    usage = end_of(sent).usage
    assert end_of(sent).reason is EndReason.LENGTH
    assert usage.prompt_tokens + usage.output_tokens == 40
    assert len(deltas_of(sent)) == usage.output_tokens


def test_an_answer_that_ends_exactly_with_the_context_is_cut_before_its_end_token(script: Path) -> None:
    tokens = end_of(run(script, "three")).usage.prompt_tokens + 3
    assert end_of(drive(load_of(script, context_tokens=tokens), [chat("three")])).reason is EndReason.LENGTH
    assert end_of(drive(load_of(script, context_tokens=tokens + 1), [chat("three")])).reason is EndReason.STOP


def test_the_last_turn_survives_a_conversation_that_is_too_long(script: Path) -> None:
    turns = tuple(ChatMessage("user", "almost " * 4) for _ in range(30))
    long = ask(ChatPrompt((*turns, ChatMessage("user", "three"))))
    sent = drive(load_of(script, context_tokens=100), [long])
    assert text_of(sent) == "One END. Two"
    assert 60 < end_of(sent).usage.prompt_tokens < 100


def test_a_conversation_that_may_not_be_cut_is_refused(script: Path) -> None:
    prompt = ChatPrompt((ChatMessage("user", "three " * 50),), truncate=False)
    end = end_of(drive(load_of(script, context_tokens=100), [ask(prompt)]))
    assert end.reason is EndReason.REFUSED
    assert end.refusal is not None
    assert end.refusal.code == "prompt_too_long"
    assert "context: 100 tokens" in end.refusal.message


def test_the_answer_follows_a_refused_one(script: Path) -> None:
    prompt = ChatPrompt((ChatMessage("user", "three " * 50),), truncate=False)
    refused = ask(prompt, lease=LeaseId(7))
    assert text_of(drive(load_of(script, context_tokens=100), [refused, chat("three")])) == "One END. Two"


def test_tokens_come_one_frame_per_step_and_steps_grow(script: Path) -> None:
    steps = steps_of(drive(load_of(script), [chat("almost"), chat("three", lease=LeaseId(2))]))
    assert steps == sorted(set(steps))


def steps_of(sent: Sequence[ToService]) -> list[int]:
    return [message.step for message in sent if isinstance(message, Tokens)]

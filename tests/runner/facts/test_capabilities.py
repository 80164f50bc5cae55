"""What a model can be asked for: one file for each capability that a model file can show."""

from pathlib import Path

import pytest

from tests.factory.raw import Key, RawFile, number, text, valid
from tests.runner.facts.files import read


def renamed(architecture: str) -> RawFile:
    """The valid model under another architecture's name."""
    file = valid()
    keys = (Key(key.name.replace(b"llama.", architecture.encode() + b"."), key.kind, key.value) for key in file.keys)
    return RawFile(tuple(keys), file.tensors, file.data).having(text("general.architecture", architecture))


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (valid(), ("completion",)),
        (valid().having(number("llama.pooling_type", 1)), ("embedding",)),
        (valid().having(number("llama.vision.block_count", 1)), ("completion", "vision")),
        (valid().having(number("llama.audio.block_count", 1)), ("completion", "audio")),
        (renamed("gpt-oss"), ("completion", "thinking")),
        (
            renamed("nemotron_h_omni").having(
                number("nemotron_h_omni.audio.block_count", 1), number("nemotron_h_omni.vision.block_count", 1)
            ),
            ("completion", "vision"),
        ),
    ],
)
def test_capabilities_come_from_the_metadata(file: RawFile, wanted: tuple[str, ...], tmp_path: Path) -> None:
    assert read(tmp_path, file).capabilities == wanted


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{ messages }}", ()),
        ("{% if tools %}", ("tools",)),
        ("{{ message.tool_call }}", ("tools",)),
        ("<think>{{ x }}</think>", ("thinking",)),
        ("<think>", ()),
        ("{{ content.split('</think>')[-1] }}", ("thinking",)),
        ('{{ content.split( "</think>") }}', ("thinking",)),
        ("{{ content.split('</think>') }}{{ reasoning_content }}", ()),
        ("{{ tools }}<think></think>", ("tools", "thinking")),
    ],
)
def test_capabilities_come_from_the_template(template: str, wanted: tuple[str, ...], tmp_path: Path) -> None:
    file = valid().having(text("tokenizer.chat_template", template))
    assert read(tmp_path, file).capabilities == ("completion", *wanted)

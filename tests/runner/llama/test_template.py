"""Chat templates: rendered as Hugging Face's tokenizers do it, and harmless whatever they contain."""

import re
import sys

import pytest

from runner.llama import template as template_module
from runner.llama.template import CHATML, ChatTemplate, TemplateFailed
from statemachines.errors import RefusalCode
from statemachines.wire.messages import ChatMessage

pytestmark = pytest.mark.usefixtures("no_collection")

TURNS = (ChatMessage("system", "Be kind."), ChatMessage("user", "Hi <b>"))


def render(source: str | None, *messages: ChatMessage) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages or TURNS)


def test_turns_and_words_are_there() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}] {{ m.content | trim }}{{ eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    assert render(source) == "<s>[system] Be kind.</s>[user] Hi <b></s>[assistant]"


def test_without_a_template_the_form_is_chatml() -> None:
    assert render(None) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi <b><|im_end|>\n<|im_start|>assistant\n"
    )
    assert ChatTemplate(None).is_fallback
    assert not ChatTemplate(CHATML).is_fallback


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("  {% if true %}\na\n  {% endif %}\nb", "a\nb"),
        (
            "{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% break %}{% endfor %}",
            "user",
        ),
        ("{% generation %}x{% endgeneration %}", "x"),
        ("{{ messages[1] | tojson }}", '{"role": "user", "content": "Hi <b>"}'),
        ("{{ {'é': 1} | tojson(indent=2) }}", '{\n  "é": 1\n}'),
        ("{{ tools is none }} {{ missing is defined }}", "True False"),
        ("{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        ("{{ 2 ** 10 }} {{ 3 * 'ab' }} {{ '%s!' % 'x' }}", "1024 ababab x!"),
    ],
)
def test_dialect(source: str, text: str) -> None:
    assert render(source) == text


def test_the_date_can_be_asked_for() -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", render("{{ strftime_now('%Y-%m-%d') }}"))


def test_a_template_may_refuse_in_its_own_words() -> None:
    with pytest.raises(TemplateFailed, match="roles must alternate") as caught:
        render("{{ raise_exception('roles must alternate') }}")
    assert caught.value.refusal.code is RefusalCode.TEMPLATE_FAILED
    assert caught.value.refusal.status_hint == 400


@pytest.mark.parametrize(
    "source",
    [
        "{% for m in messages %}",
        "{{ messages[7].role }}",
        "{{ nothing() }}",
        "{{ messages | random }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ raise_exception.__globals__.os.name }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ 1 // 0 }}",
        "(" * 3 + "{{ " + "(" * 4000 + "1" + ")" * 4000 + " }}",
    ],
)
def test_a_template_that_breaks_is_a_refusal(source: str) -> None:
    with pytest.raises(TemplateFailed):
        render(source)


BOMBS = {
    "nested loops": "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "large range": "{{ range(1000000000) | list | length }}",
    "product": "{{ ('x' * 10000000000) | length }}",
    "product of a list": "{{ ([0] * 10000000000) | length }}",
    "power": "{{ 10 ** 10000000 % 7 }}",
    "tower": "{{ (((((10 ** 64) ** 64) ** 64) ** 64) ** 64) % 7 }}",
    "doubling": "{% set n = namespace(s='x') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "centred": "{{ ('x' | center(10000000000)) | length }}",
    "padded": "{{ 'x'.ljust(10000000000) | length }}",
    "formatted": "{{ '%10000000000d' % 1 }}",
    "format method": "{{ '{:>10000000000}'.format(1) | length }}",
    "indented": "{{ 'x\n\n' | indent(10000000000, blank=true) | length }}",
    "json": "{{ [1] | tojson(indent=10000000000) | length }}",
    "batch": "{{ [1] | batch(10000000000, 0) | list | length }}",
    "folded at compile time": "{{ 'x' | center(10000000000) }}",
    "output": "{% for i in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is Linux's")
def test_a_bomb_is_a_refusal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_module, "CPU_S_MAX", 0.2)
    with pytest.raises(TemplateFailed):
        render(BOMBS[name])


def test_an_endless_template_names_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_module, "CPU_S_MAX", 0.05)
    with pytest.raises(TemplateFailed, match="more time than a template may"):
        render(BOMBS["nested loops"])


def test_a_template_of_a_megabyte_is_refused_unread() -> None:
    with pytest.raises(TemplateFailed, match="more than"):
        render("x" * (1 << 20))


def test_a_template_renders_again_after_one_that_failed() -> None:
    chat = ChatTemplate(
        "{% if messages | length > 1 %}{{ raise_exception('one only') }}{% endif %}{{ messages[0].content }}"
    )
    with pytest.raises(TemplateFailed):
        chat.render(TURNS)
    assert chat.render(TURNS[:1]) == "Be kind."


def test_a_long_reason_is_cut_and_kept_on_one_line() -> None:
    with pytest.raises(TemplateFailed) as caught:
        render("{{ raise_exception('a\nb' * 1000) }}")
    assert len(caught.value.refusal.message) < 500
    assert "\n" not in caught.value.refusal.message

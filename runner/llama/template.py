"""The model's own chat template: Jinja, as Hugging Face's tokenizers render it, inside a sandbox with limits.

The template is data from a model file and may be hostile. It sees the turns, a few words and pure filters; it cannot
reach attributes that lead out, cannot change what it is given, cannot draw random numbers, and is stopped at a limit
of processor time, of memory and of output (`runner.llama.bounds`). Whatever goes wrong is one typed error for that
request; the runner lives on.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.llama.bounds import OutOfBounds, run_bounded
from statemachines.errors import Refusal, RefusalCode
from statemachines.units import KIB, MIB
from statemachines.wire.messages import ChatMessage

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"  # as an expression: Jinja drops a newline at the end of a template
)
"""For a file without a template; llama.cpp falls back on the same form (ChatML)."""

TEMPLATE_CHARS_MAX = 512 * KIB
"""The largest templates of published models have some 30,000 characters."""
CPU_S_MAX = 2.0
MEMORY_BYTES_MAX = 256 * MIB
MEMORY_BYTES_PER_CHAR = 16
OUTPUT_CHARS_SLACK = MIB
OUTPUT_CHARS_PER_CHAR = 4
EXPONENT_MAX = 64
REASON_CHARS_MAX = 200

_NOT_PURE_OR_NOT_BOUNDED = ("random", "urlize", "wordwrap", "pprint", "xmlattr", "filesizeformat")


class TemplateFailed(Exception):
    """The template did not render."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(
            RefusalCode.TEMPLATE_FAILED,
            f"the model's chat template cannot render these messages: {_shorten(reason)}; check the roles and their "
            "order, or send the prompt with raw and without a template",
        )


class ChatTemplate:
    """Renders conversations.

    Args:
        source: the file's template; None for `CHATML`.
        bos, eos: how the model writes its first and last token.
    """

    def __init__(self, source: str | None, *, bos: str = "", eos: str = "") -> None:
        self.is_fallback = source is None
        self._source = CHATML if source is None else source
        self._words = {"bos_token": bos, "eos_token": eos}
        self._compiled: jinja2.Template | None = None

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """The prompt for these turns, up to where the answer begins.

        Raises:
            TemplateFailed: it is no template, refused the turns, or took more than its limits.
        """
        given = sum(len(message.content) for message in messages)
        memory_bytes = MEMORY_BYTES_MAX + MEMORY_BYTES_PER_CHAR * given
        try:
            return run_bounded(partial(self._render, messages, given), cpu_s=CPU_S_MAX, memory_bytes=memory_bytes)
        except OutOfBounds as limit:
            raise TemplateFailed(f"it took more {limit} than a template may") from None
        except TemplateFailed:
            raise
        except Exception as failure:  # anything: the template is a foreign program
            raise TemplateFailed(str(failure) or type(failure).__name__) from None

    def _render(self, messages: Sequence[ChatMessage], given: int) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        parts = self._template().generate(
            messages=turns, add_generation_prompt=True, tools=None, documents=None, **self._words
        )
        return _join(parts, OUTPUT_CHARS_SLACK + OUTPUT_CHARS_PER_CHAR * given)

    def _template(self) -> jinja2.Template:
        if self._compiled is None:
            if len(self._source) > TEMPLATE_CHARS_MAX:
                raise TemplateFailed(f"it has more than {TEMPLATE_CHARS_MAX} characters")
            self._compiled = Environment().from_string(self._source)
        return self._compiled


def _join(parts: Iterable[str], chars_max: int) -> str:
    kept: list[str] = []
    total = 0
    for part in parts:
        total += len(part)
        if total > chars_max:
            raise TemplateFailed("its output is many times longer than the messages")
        kept.append(part)
    return "".join(kept)


class Environment(ImmutableSandboxedEnvironment):
    """The sandbox: Hugging Face's settings, fewer filters, and powers of a bounded size."""

    intercepted_binops = frozenset(
        {"*", "**", "%"}
    )  # besides the check below: these are then not folded at compile time

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, GenerationTag])
        self.filters["tojson"] = to_json
        for name in _NOT_PURE_OR_NOT_BOUNDED:
            del self.filters[name]
        del self.globals["lipsum"]
        self.globals.update(raise_exception=_raise, strftime_now=_strftime_now)

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and abs(right) > EXPONENT_MAX:
            raise TemplateFailed("it raises a number to a very large power")
        return super().call_binop(context, operator, left, right)


class GenerationTag(jinja2.ext.Extension):
    """``{% generation %}`` marks what a trainer learns from; for rendering its body counts as if unmarked."""

    tags = {"generation"}  # noqa: RUF012 - declared like this by the base class

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as templates expect it; Jinja's own filter escapes for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: object = "") -> NoReturn:
    raise TemplateFailed(str(message))


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _shorten(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= REASON_CHARS_MAX else line[:REASON_CHARS_MAX] + "..."

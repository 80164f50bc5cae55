"""What a model can be asked for, as far as its file says so."""

import re

from runner.facts.keys import Keys

SPLITS_THINKING = re.compile(r"""split\(\s*['"]</think>['"]""")
THINKING_FAMILIES = frozenset({"gptoss", "gpt-oss"})
SILENT_ARCHITECTURES = frozenset({"nemotron_h_omni"})
"""Architectures whose sound encoder cannot be used."""


def capabilities(keys: Keys, template: str | None) -> tuple[str, ...]:
    """Names that clients know, in the order in which `/api/show` lists them."""
    found = ["embedding" if keys.has("pooling_type") else "completion"]
    if keys.has("vision.block_count"):
        found.append("vision")
    if keys.has("audio.block_count") and keys.architecture not in SILENT_ARCHITECTURES:
        found.append("audio")
    if template is not None and ("tools" in template or "tool_call" in template):
        found.append("tools")
    if keys.architecture in THINKING_FAMILIES or (template is not None and _thinks(template)):
        found.append("thinking")
    return tuple(found)


def _thinks(template: str) -> bool:
    """The template writes both tags, or cuts earlier thoughts out of an answer by the closing one."""
    if "<think>" in template and "</think>" in template:
        return True
    return SPLITS_THINKING.search(template) is not None and "reasoning_content" not in template

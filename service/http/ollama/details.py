"""``details``: what a model is, in a few words, as three endpoints show it."""

from statemachines.facts import ModelFacts

_THOUSAND, _MILLION, _BILLION, _TRILLION = 10**3, 10**6, 10**9, 10**12


def details(facts: ModelFacts | None) -> dict[str, object]:
    """The short description of a model; empty words when its file cannot be read."""
    return {
        "parent_model": "",
        "format": facts.format if facts else "gguf",
        "family": facts.architecture if facts else "",
        "families": [facts.architecture] if facts else None,
        "parameter_size": human_number(facts.parameter_count) if facts else "",
        "quantization_level": facts.quantization if facts else "unknown",
    }


def widths(facts: ModelFacts) -> dict[str, int]:
    """What ``/api/tags`` adds to the details."""
    sizes = {"context_length": facts.sizes.context_tokens_max, "embedding_length": facts.sizes.embedding_length}
    return {name: size for name, size in sizes.items() if size}


def human_number(count: int) -> str:
    """A count in two to four digits: ``7B``, ``2.9B``, ``500.50M``, ``135K``."""
    for size, letter, digits in ((_TRILLION, "T", 1), (_BILLION, "B", 1), (_MILLION, "M", 2)):
        if count >= size:
            return f"{count // size}{letter}" if count % size == 0 else f"{count / size:.{digits}f}{letter}"
    return f"{count / _THOUSAND:.0f}K" if count >= _THOUSAND else str(count)

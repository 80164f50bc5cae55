"""Model names as clients write them: ``[host/][namespace/]model[:tag]``, matched without regard to case."""

import re

import msgspec

DEFAULT_HOST = "registry.ollama.ai"
"""Clients write or leave out this host and namespace for the same model; nothing is ever fetched from it."""
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_SCHEME = re.compile(r"[A-Za-z]++://")
NAME_CHARS_MAX = 640
"""More than all parts with a scheme before them can have; a longer text is not even looked at."""

NameKey = tuple[str, str, str, str]


class Name(msgspec.Struct, frozen=True):
    """A valid name with all its parts, spelled as it was written."""

    model: str
    tag: str = DEFAULT_TAG
    namespace: str = DEFAULT_NAMESPACE
    host: str = DEFAULT_HOST

    @property
    def key(self) -> NameKey:
        """What is equal for names that mean the same model."""
        return (self.host.lower(), self.namespace.lower(), self.model.lower(), self.tag.lower())

    def __str__(self) -> str:
        """The shortest form, which always keeps its tag."""
        short = f"{self.model}:{self.tag}"
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{short}"
        return short if self.namespace.lower() == DEFAULT_NAMESPACE else f"{self.namespace}/{short}"


def parse_name(text: str) -> Name | None:
    """The name that ``text`` spells, or None when it is no valid name.

    Read from the right: a tag is what follows the last colon, if that comes after the last slash; then model,
    namespace and host. A part that is there and empty makes the name invalid.
    """
    if len(text) > NAME_CHARS_MAX:
        return None
    scheme = _SCHEME.match(text)
    rest, tag = _split_tag(text[scheme.end() :] if scheme else text)
    parts = rest.split("/", 2)
    host, namespace, model = (DEFAULT_HOST, DEFAULT_NAMESPACE, "")[: 3 - len(parts)] + tuple(parts)
    is_valid = (
        _PART.fullmatch(model) and _PART.fullmatch(tag) and _NAMESPACE.fullmatch(namespace) and _HOST.fullmatch(host)
    )
    return Name(model, tag, namespace, host) if is_valid else None


def _split_tag(text: str) -> tuple[str, str]:
    head, colon, tag = text.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (text, DEFAULT_TAG)


class Source(msgspec.Struct, frozen=True):
    """A reference without the word that says where its model is to be found.

    Attributes:
        is_cloud: the client wants a model on somebody else's machines.
        is_contradictory: it says both ``:cloud`` and ``:local``.
    """

    text: str
    is_cloud: bool = False
    is_contradictory: bool = False


def split_source(text: str) -> Source:
    """Take ``:cloud``, ``-cloud`` (at the end of a tag) or ``:local`` off a reference."""
    stripped, word = _strip_word(text)
    _, further = _strip_word(stripped)
    both = {word, further} == {"cloud", "local"}
    return Source(stripped, is_cloud=word == "cloud", is_contradictory=both)


def _strip_word(text: str) -> tuple[str, str]:
    head, colon, tail = text.rpartition(":")
    word = tail.lower()
    if colon and word in ("cloud", "local"):
        return head, word
    if colon and "/" not in tail and word.endswith("-cloud"):
        return text[: -len("-cloud")], "cloud"
    return text, ""


def shown_file(path: str) -> str:
    """A file's name for a log line: without its folder, and without what would break the line or its encoding."""
    name = path.rpartition("/")[2]
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)

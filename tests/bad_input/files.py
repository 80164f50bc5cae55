"""Files that are no models, whatever they are called: how each is made, and what whoever asks for it is told."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.factory.broken import crash_model, f64_model, header_bytes, truncated
from tests.factory.hostile import hostile_files
from tests.factory.random_model import random_model
from tests.factory.raw import text, valid

HEADER_CUT = "it ends in the middle of its header"
NOT_WHOLE = "its tensors reach beyond its end; it is probably not complete"
NO_GGUF = "it is not a GGUF file"
TOO_MANY_TENSORS = "it claims more tensors than it can hold"
TOO_MUCH_METADATA = "it claims more metadata than it can hold"
LONG_ARRAY = "an array in it is longer than the file"
BAD_KEY = "the name of a metadata value is empty or too long"
BAD_NAME = "a name in it is not valid text"
BAD_ALIGNMENT = "its alignment is not a power of two"
IMPOSSIBLE = "a tensor in it has an impossible size"


def _no_size(key: str) -> str:
    return f"its value 'llama.{key}' is not a whole number that can be a size"


HOSTILE: dict[str, str] = {
    "empty": HEADER_CUT,
    "only magic": HEADER_CUT,
    "other magic": NO_GGUF,
    "version 0": "it is GGUF version 0; versions 2 and 3 are served",
    "version 1": "it is GGUF version 1; versions 2 and 3 are served",
    "version from the future": "it is a big-endian GGUF file; only little-endian ones are served",
    "big endian": "it is a big-endian GGUF file; only little-endian ones are served",
    "header cut in half": HEADER_CUT,
    "no data": NOT_WHOLE,
    "one byte of data missing": NOT_WHOLE,
    "huge key count": TOO_MUCH_METADATA,
    "huge tensor count": TOO_MANY_TENSORS,
    "wrapping key count": TOO_MUCH_METADATA,
    "wrapping tensor count": TOO_MANY_TENSORS,
    "one too many key count": BAD_KEY,
    "one too many tensor count": "the name of a tensor in it is empty or too long",
    "no tensors": "it holds no weights",
    "huge string": "a text in its metadata is too long",
    "wrapping string": "a text in its metadata is too long",
    "longer than the file string": HEADER_CUT,
    **{
        f"{size} array{of}": LONG_ARRAY
        for size in ("huge", "wrapping", "longer than the file")
        for of in ("", " of strings")
    },
    **{f"{size} key": BAD_KEY for size in ("huge", "wrapping", "longer than the file")},
    "deep array": "it holds arrays of arrays",
    "array of an unknown kind": "it holds a value of the unknown type 99",
    "unknown kind": "it holds a value of the unknown type 99",
    "key twice": "a metadata value in it appears twice",
    "key not UTF-8": BAD_NAME,
    "no architecture": "it does not name its architecture",
    "architecture is a number": "its value 'general.architecture' is not text",
    "architecture not UTF-8": "it does not state its block count",
    "no block count": "it does not state its block count",
    "block count is a text": _no_size("block_count"),
    "negative block count": _no_size("block_count"),
    "huge block count": _no_size("block_count"),
    "no heads": "a layer in it attends without heads",
    "no width": "it does not state its embedding length",
    "negative width": _no_size("embedding_length"),
    "chat template is a number": "its value 'tokenizer.chat_template' is not text",
    **{f"{name} alignment": BAD_ALIGNMENT for name in ("zero", "odd", "huge")},
    "alignment is a text": BAD_ALIGNMENT,
    "no dimensions, huge count": "a tensor in it has 4294967295 dimensions; at most 4 are possible",
    "five dimensions": "a tensor in it has 5 dimensions; at most 4 are possible",
    "sizes that overflow": IMPOSSIBLE,
    "negative size": IMPOSSIBLE,
    "unknown tensor type": "a tensor in it has the unknown type 999",
    "offset behind the end": NOT_WHOLE,
    "offset that wraps": NOT_WHOLE,
    "offset between alignments": "a tensor in it is not aligned",
    "larger than the file": NOT_WHOLE,
    "row that is no whole block": "the rows of a tensor in it do not divide into blocks of Q4_0",
    "tensor name too long": "the name of a tensor in it is empty or too long",
    "tensor name not UTF-8": BAD_NAME,
    "tensor twice": "a tensor in it appears twice",
}
"""Why the reader refuses each file of `tests.factory.hostile`."""

HOSTILE_PARTS = 4

OTHER_KINDS: dict[str, bytes] = {
    "a text": b"hello, I am a model\n",
    "a web page": b"<!DOCTYPE html><title>404</title>",
    "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "an archive": b"PK\x03\x04" + bytes(64),
    "a compressed file": b"\x1f\x8b\x08\x00" + bytes(64),
    "a pickle": b"\x80\x02csystem\nid\n(tR.",
    "safetensors": b"\x02\0\0\0\0\0\0\0{}" + bytes(64),
    "a program": b"\x7fELF" + bytes(64),
    "zeros": bytes(4096),
}
"""Files of other kinds that people call models."""

INSIDE_FIXED_PART = (0, 1, 3, 4, 7, 8, 15, 16, 23)
"""Bytes: within and between magic, version and both counts."""


@dataclass(frozen=True)
class BadFile:
    """One file and its answer.

    Attributes:
        make: makes it at a path that ends in ``.gguf``.
        shows: whether `/api/show` is told the same; what only the engine finds out is none of its business.
    """

    about: str
    make: Callable[[Path], object]
    status: int
    message: str
    shows: bool = True

    @property
    def name(self) -> str:
        """A valid name for it."""
        return self.about.replace(" ", "-").replace(",", "")


def unusable(what: str) -> str:
    """A refusal of the reader in all its words."""
    return f"the model file cannot be used: {what}; fetch or convert it again"


def _hostile(part: int) -> Callable[[Path], list[BadFile]]:
    """Every fourth of them: each costs a process, and a test should not take minutes on a busy machine."""
    some = list(HOSTILE.items())[part::HOSTILE_PARTS]
    return lambda _good: [BadFile(about, _writes(hostile_files()[about]), 400, unusable(why)) for about, why in some]


def _cut(good: Path) -> list[BadFile]:
    return [BadFile(f"cut at {kept}", _cuts_at(good, kept), 400, unusable(why)) for kept, why in _cuts(good).items()]


def _of_other_kinds(good: Path) -> list[BadFile]:
    files = [BadFile(about, _writes(data), 400, unusable(NO_GGUF)) for about, data in OTHER_KINDS.items()]
    clip = valid().having(text("general.architecture", "clip")).encode()
    adapter = valid().having(text("general.type", "adapter")).encode()
    beside = "(it belongs beside a model), not a language model"
    return [
        *files,
        *_of_the_kernel(),
        BadFile(
            "doubles", f64_model, 400, unusable("a tensor in it is of type F64, with which the engine cannot compute")
        ),
        BadFile("a projector", _writes(clip), 400, unusable(f"it is a projector {beside}")),
        BadFile("an adapter", _writes(adapter), 400, unusable(f"it is an adapter {beside}")),
        BadFile("passwords", _links("/etc/passwd"), 400, unusable(NO_GGUF)),
        BadFile(
            "locked", _locked(good), 500, "the model file cannot be read: the service has no permission to read it"
        ),
    ]


def _of_the_kernel() -> list[BadFile]:
    """A file that is regular and has no size (Linux)."""
    if sys.platform != "linux":
        return []
    return [BadFile("environment", _links("/proc/self/environ"), 400, unusable(HEADER_CUT))]


def _cuts(good: Path) -> dict[int, str]:
    header, size = header_bytes(good), good.stat().st_size
    return {
        **dict.fromkeys(INSIDE_FIXED_PART, HEADER_CUT),
        **dict.fromkeys((24, 100), TOO_MANY_TENSORS),
        header // 2: LONG_ARRAY,
        header - 100: HEADER_CUT,
        **dict.fromkeys((header, header + 1, size // 2, size - 1), NOT_WHOLE),
    }


def _not_there(_good: Path) -> list[BadFile]:
    """Names in the folder behind which is no file that could be a model."""

    def absent(about: str, make: Callable[[Path], object]) -> BadFile:
        return BadFile(about, make, 404, f"model '{about}' not found", shows=False)

    return [
        absent("folder", Path.mkdir),
        absent("pipe", os.mkfifo),
        absent("loop", lambda path: path.symlink_to(path)),
        absent("dangling", lambda path: path.symlink_to("nowhere")),
        absent("endless", _links("/dev/zero")),
        absent("nothing", _links("/dev/null")),
        absent("terminal", _links("/dev/tty")),
        absent("upwards", _links("..")),
    ]


def _refused_by_the_engine(_good: Path) -> list[BadFile]:
    """What no header shows."""
    unknown = "the model could not be loaded: this engine does not know the model's architecture or tokenizer; "
    rejected = "the model could not be loaded: the engine rejected the model file as damaged or incomplete; "
    crashed = "the model's runner ended unexpectedly while it answered; the server's log says how it ended"
    template = (
        "the model's chat template cannot render these messages: Unexpected end of template. Jinja was looking for the "
        "following tags: 'endfor' or 'else'. The innermost block that needs to be closed is 'for'.; check the roles "
        "and their order, or send the prompt with raw and without a template"
    )
    other = valid().encode().replace(b"llama", b"lamma")
    tokenizer = valid().having(text("tokenizer.ggml.model", "nonsense")).encode()
    tensor = valid().encode().replace(b"blk.0.attn_q.weight", b"blk.0.attn_X.weight")
    engine = "use a newer engine or another model"
    return [
        BadFile("unknown architecture", _writes(other), 500, unknown + engine, shows=False),
        BadFile("unknown tokenizer", _writes(tokenizer), 500, unknown + engine, shows=False),
        BadFile("tensor missing", _writes(tensor), 500, rejected + "get the file again", shows=False),
        BadFile("crash", crash_model, 500, crashed, shows=False),
        BadFile(
            "template",
            lambda path: random_model(path, chat_template="{% for m in messages %}"),
            400,
            template,
            shows=False,
        ),
    ]


def _writes(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _cuts_at(good: Path, kept: int) -> Callable[[Path], object]:
    return lambda path: truncated(path, good, keep_bytes=kept)


def _links(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def _locked(good: Path) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        path.write_bytes(good.read_bytes())
        path.chmod(0)

    return make


KINDS: dict[str, Callable[[Path], list[BadFile]]] = {
    **{f"hostile {part}": _hostile(part) for part in range(HOSTILE_PARTS)},
    "cut": _cut,
    "of other kinds": _of_other_kinds,
    "not there": _not_there,
    "refused by the engine": _refused_by_the_engine,
}
"""All of them, each kind made with a good model to cut and to copy."""

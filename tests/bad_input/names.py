"""Names of models: hostile ones, impossible ones, and possible ones that are not there."""

from collections.abc import Iterator

from tests.bad_input.rows import GOOD, Row, row

HOSTILE = {
    "a path upwards": "../../../../etc/passwd",
    "a path upwards in the middle": "library/../../etc/passwd",
    "two dots": "..",
    "one dot": ".",
    "a path upwards as a tag": "demo:../../etc/passwd",
    "an absolute path": "/etc/passwd",
    "an absolute path of a model": "/home/somebody/models/demo.gguf",
    "a path of this user": "~/demo",
    "a path of Windows": "C:\\models\\demo.gguf",
    "a path upwards of Windows": "..\\..\\demo",
    "a share of Windows": "\\\\host\\share\\demo",
    "a file URL": "file:///etc/passwd",
    "an address of the cloud": "http://169.254.169.254/latest/meta-data/iam",
    "escaped dots": "%2e%2e%2fetc%2fpasswd",
    "escaped NUL": "demo%00",
    "NUL": "demo\0",
    "NUL and an ending": "demo\0.gguf",
    "a line break": "de\nmo",
    "a line break and a header": "demo\r\nX-Evil: 1",
    "an escape sequence": "\x1b[31mdemo",
    "a character that turns the line": "demo\u202egguf",
    "a character of no width": "de\u200bmo",
    "a letter that looks like another": "d\u0435mo",
    "a full-width letter": "\uff44emo",
    "a ligature": "\ufb01le",
    "a dot that is none": "\u2024\u2024/demo",
    "a slash that is none": "..\u2215demo",
    "a character beyond the plane": "\U0001f682",
    "a digest": "demo@sha256:" + "a" * 64,
    "a bare digest": "sha256-" + "a" * 200,
    "a name of a blob": "sha256:" + "a" * 64 + "/demo:x:y",
    "a space": "de mo",
    "an option": "--model=demo",
    "a command": "demo; rm -rf /",
    "a substitution": "$(id)",
    "a template": "{{ 7 * 7 }}",
    "a quote": "demo'--",
    "an empty tag": "demo:",
    "a tag without a name": ":latest",
    "only slashes": "///",
    "too many parts": "a/b/c/d",
    "81 letters": "a" * 81,
    "a megabyte": "a" * (1 << 20),
    "a megabyte of slashes": "/" * (1 << 20),
    "a megabyte of colons": ":" * (1 << 20),
    "a megabyte of schemes": "a://" * (1 << 18),
}
"""None of these is a valid name."""

ABSENT = {
    "a name that is not there": "nope",
    "one with a tag": "nope:7b",
    "one with a host": "registry.ollama.ai/library/nope",
    "a word for another machine": "demo:cloud",
    "an ending that is no part of the name": "demo.gguf",
    "a name that ends in a dot": "demo.",
    "a name of dots and letters": "a..b",
}
"""Valid names of which there is no model."""

BLANK = {"an empty name": "", "only spaces": "   ", "a space of another alphabet": "\u2003\u00a0"}
CUT_OFF = "\u2026"


def rows() -> Iterator[Row]:
    """Each name on each route."""
    for path in GOOD:
        for about, name in HOSTILE.items():
            yield row(about, path, {"model": name}, 400, "invalid model name")
        for about, name in BLANK.items():
            yield row(about, path, {"model": name}, *_blank(path, name))
        for about, name in ABSENT.items():
            yield row(about, path, {"model": name}, 404, f"model '{_shown(path, name)}' not found")
    yield row("5,000 spaces", "/api/generate", {"model": " " * 5_000}, *_blank("/api/generate", " " * 640 + CUT_OFF))
    for path in GOOD:
        yield row("a name among spaces", path, {"model": "demo" + " " * 5_000}, 400, "invalid model name")
    twice = b'{"model":"demo","model":"nope","prompt":"hi"}'
    yield Row("two names, of which the later one counts", "/api/generate", twice, 404, "model 'nope' not found")
    yield row("its old field", "/api/show", {"model": "", "name": "../x"}, 400, "invalid model name")


def _blank(path: str, name: str) -> tuple[int, str]:
    return (404, f"model '{name}' not found") if path == "/api/generate" else (400, "model is required")


def _shown(path: str, name: str) -> str:
    """As it was sent, or as ``/api/show`` has always shown it."""
    if path != "/api/show":
        return name
    short = name.removeprefix("registry.ollama.ai/library/").removesuffix(":cloud")
    return short if ":" in short else f"{short}:latest"

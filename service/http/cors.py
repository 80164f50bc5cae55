"""Which web pages may call the API: the allowed origins, and the headers that tell a browser so."""

import re
from collections.abc import Iterable
from functools import cache

MAX_AGE_S = 43_200
METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_STAINLESS = (
    "arch async custom-poll-interval helper-method lang os package-version poll-helper retry-count runtime "
    "runtime-version timeout"
)
REQUEST_HEADERS = ",".join(
    [
        *("Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With", "OpenAI-Beta"),
        *(f"x-stainless-{name}" for name in _STAINLESS.split()),
    ]
)

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")
_EXTENSION_SCHEMES = ("chrome-extension", "moz-extension", "safari-extension", "safari-web-extension")
DEFAULT_ORIGINS = (
    *(f"{scheme}://{host}{port}" for host in _LOCAL_HOSTS for port in ("", ":*") for scheme in ("http", "https")),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
    *(f"{scheme}://*" for scheme in (*_EXTENSION_SCHEMES, "ms-browser-extension")),
)


class Origins:
    """The allowed origins: those of the settings, then those of programs on the same machine."""

    def __init__(self, extra: Iterable[str]) -> None:
        self._patterns = (*extra, *DEFAULT_ORIGINS)
        self._all = "*" in self._patterns

    def allow(self, origin: str) -> bool:
        return self._all or any(_matches(pattern, origin) for pattern in self._patterns)

    def headers(self, origin: str) -> dict[str, str]:
        """What every answer to an allowed origin carries."""
        if self._all:
            return {"Access-Control-Allow-Origin": "*"}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def preflight_headers(self, origin: str) -> dict[str, str]:
        """What the answer to a preflight adds to them."""
        return {
            **self.headers(origin),
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE_S),
        }


def is_same_origin(origin: str, host: str) -> bool:
    """Whether a page that this server itself delivered sends the request: then CORS does not apply."""
    return origin in (f"http://{host}", f"https://{host}")


def _matches(pattern: str, origin: str) -> bool:
    return origin == pattern or ("*" in pattern and _compiled(pattern).fullmatch(origin) is not None)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """``*`` stands for anything, at the end of ``scheme://host:*`` for digits only: a port is a number."""
    stem, port = (pattern[:-2], ":[0-9]{1,5}") if re.fullmatch(r"[a-z]+://.+:\*", pattern) else (pattern, "")
    return re.compile(".*".join(re.escape(piece) for piece in stem.split("*")) + port)

"""Which origins may call, and what a browser is told."""

import pytest

from service.http.cors import METHODS, Origins, is_same_origin


@pytest.mark.parametrize(
    "origin",
    [
        "http://localhost",
        "https://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://127.0.0.1",
        "http://0.0.0.0:1",
        "app://obsidian.md",
        "file://",
        "tauri://localhost",
        "vscode-webview://1a2b",
        "vscode-file://vscode-app",
        "chrome-extension://abcdef",
        "moz-extension://1-2-3",
        "safari-web-extension://x",
    ],
)
def test_programs_of_this_machine_may_call(origin: str) -> None:
    assert Origins(()).allow(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://example.com",
        "null",
        "http://localhost.example.com",
        "http://localhost:80.example.com",
        "http://localhost:",
        "http://localhost:abc",
        "http://localhost:123456",
        "http://127.0.0.1.example.com",
        "http://127.0.0.2",
        "http://LOCALHOST:3000",
        "ftp://localhost",
        "xapp://a",
        "http://evil/?app://",
    ],
)
def test_other_pages_may_not(origin: str) -> None:
    assert not Origins(()).allow(origin)


@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        ("https://ui.example.com", "https://ui.example.com", True),
        ("https://ui.example.com", "http://ui.example.com", False),
        ("https://*.example.com", "https://a.b.example.com", True),
        ("https://*.example.com", "https://example.com", False),
        ("https://*.example.com", "https://a.example.com.evil.net", False),
        ("https://ui.example.com:*", "https://ui.example.com:8443", True),
        ("https://ui.example.com:*", "https://ui.example.com:8443.evil.net", False),
        ("*", "https://anything.example", True),
        ("*", "null", True),
    ],
)
def test_the_settings_add_origins(pattern: str, origin: str, expected: bool) -> None:
    assert Origins((pattern,)).allow(origin) is expected


def test_an_allowed_origin_is_named_and_caches_are_told() -> None:
    assert Origins(()).headers("http://localhost") == {
        "Access-Control-Allow-Origin": "http://localhost",
        "Vary": "Origin",
    }


def test_where_all_are_allowed_nobody_is_named() -> None:
    assert Origins(("*",)).headers("http://localhost") == {"Access-Control-Allow-Origin": "*"}


def test_a_preflight_says_methods_headers_and_for_how_long() -> None:
    headers = Origins(()).preflight_headers("http://localhost")
    assert headers["Access-Control-Allow-Methods"] == METHODS == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
    assert headers["Access-Control-Max-Age"] == "43200"
    listed = headers["Access-Control-Allow-Headers"].split(",")
    assert len(listed) == 6 + 12
    assert {"Authorization", "Content-Type", "OpenAI-Beta", "x-stainless-runtime-version"} <= set(listed)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("http://box:11434", True), ("https://box:11434", True), ("http://box", False), ("http://box:114345", False)],
)
def test_a_page_of_this_server_is_of_the_same_origin(origin: str, expected: bool) -> None:
    assert is_same_origin(origin, "box:11434") is expected

import pytest

from service.cli.addresses import Address, is_loopback, parse_address, parse_address_leniently

FORMS = [
    ("1.2.3.4", "http", "1.2.3.4", None, ""),
    ("1.2.3.4:5678", "http", "1.2.3.4", 5678, ""),
    (":1234", "http", "", 1234, ""),
    (":0", "http", "", 0, ""),
    ("1.2.3.4:0", "http", "1.2.3.4", 0, ""),
    ("example.org", "http", "example.org", None, ""),
    ("example.org:80", "http", "example.org", 80, ""),
    ("http://1.2.3.4", "http", "1.2.3.4", 80, ""),
    ("https://1.2.3.4", "https", "1.2.3.4", 443, ""),
    ("https://1.2.3.4:4321", "https", "1.2.3.4", 4321, ""),
    ("ollama.com", "https", "ollama.com", 443, ""),
    ("http://ollama.com", "http", "ollama.com", 80, ""),
    ("[::1]", "http", "::1", None, ""),
    ("::1", "http", "::1", None, ""),
    ("[::1]:1337", "http", "::1", 1337, ""),
    ("[::]", "http", "::", None, ""),
    ("http://example.org:1/ollama/", "http", "example.org", 1, "/ollama"),
    ("example.org/a/b", "http", "example.org", None, "/a/b"),
    ("example.org:65535", "http", "example.org", 65535, ""),
]


@pytest.mark.parametrize(("text", "scheme", "host", "port", "path"), FORMS)
def test_every_form_of_an_address_is_read(text: str, scheme: str, host: str, port: int | None, path: str) -> None:
    expected = Address(scheme, host, port, path)
    assert parse_address(text) == expected
    assert parse_address_leniently(text) == expected


@pytest.mark.parametrize("text", [":66000", ":-1", "host:x", "host:", "1.2.3.4:٣"])
def test_a_bad_port_is_refused_unless_it_is_ollamas(text: str) -> None:
    with pytest.raises(ValueError, match="port"):
        parse_address(text)
    assert parse_address_leniently(text).port == 11434


def test_a_bad_port_behind_a_scheme_becomes_that_schemes_port() -> None:
    assert parse_address_leniently("https://host:66000").port == 443


@pytest.mark.parametrize("text", ["ftp://host", "://host", "my host"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|no host"):
        parse_address(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("0.0.0.0:1", "http://127.0.0.1:1"),
        ("[::]:1", "http://[::1]:1"),
        (":1", "http://127.0.0.1:1"),
        ("https://h/x", "https://h:443/x"),
    ],
)
def test_a_client_reaches_a_server_on_every_address_through_loopback(text: str, url: str) -> None:
    address = parse_address(text)
    assert address.port is not None
    assert address.url(address.port) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "LOCALHOST"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org"])
def test_what_others_can_reach_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)

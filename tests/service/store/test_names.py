"""Names: what is valid, what is equal, and how they are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.store.names import Name, Source, parse_name, split_source

LONG_PART, LONG_HOST = "p" * 80, "h" * 350


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("demo", "demo:latest"),
        ("Demo:Q4", "Demo:Q4"),
        ("a.b-c_d:1.5b", "a.b-c_d:1.5b"),
        ("library/demo", "demo:latest"),
        ("LIBRARY/demo", "demo:latest"),
        ("mine/demo:x", "mine/demo:x"),
        ("registry.ollama.ai/library/demo", "demo:latest"),
        ("https://registry.ollama.ai/library/demo", "demo:latest"),
        ("host:8080/ns/demo", "host:8080/ns/demo:latest"),
        ("host/library/demo", "host/library/demo:latest"),
        ("h/n/m:t", "h/n/m:t"),
        ("_why/_the/_lucky:_stiff", "_why/_the/_lucky:_stiff"),
        (f"{LONG_HOST}/{LONG_PART}/{LONG_PART}:{LONG_PART}", f"{LONG_HOST}/{LONG_PART}/{LONG_PART}:{LONG_PART}"),
    ],
)
def test_a_valid_name_is_shown_in_its_shortest_form(text: str, shown: str) -> None:
    assert str(parse_name(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mm:",
        ":tag",
        "/",
        "//",
        "/demo",
        "ns/",
        "a/b/c/d",
        "host/name:space/model:tag",
        "na.me/model",
        "-demo",
        ".demo",
        "demo:-x",
        "demo:.x",
        "-ns/demo",
        "de mo",
        "demö",
        "demo@sha256:abc",
        "demo\n",
        "../demo",
        "p" * 81,
        f"demo:{'t' * 81}",
        f"{'n' * 81}/demo",
        f"{'h' * 351}/n/m",
        "ns/http://demo",
        "a" * 10_000_000,
        "a://" * 1_000_000,
    ],
)
def test_an_invalid_name_is_none(text: str) -> None:
    assert parse_name(text) is None


@given(st.text(alphabet="aA1_-.:/@ ", max_size=12))
def test_what_is_shown_means_the_same_model(text: str) -> None:
    name = parse_name(text)
    if name is not None:
        again = parse_name(str(name))
        assert again is not None
        assert again.key == name.key


def test_case_makes_no_difference_to_what_is_meant() -> None:
    assert Name("Demo", "Q4").key == Name("dEMO", "q4").key != Name("demo", "q5").key


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("demo", Source("demo")),
        ("demo:latest", Source("demo:latest")),
        ("demo:cloud", Source("demo", is_cloud=True)),
        ("demo:CLOUD", Source("demo", is_cloud=True)),
        ("demo:7b-cloud", Source("demo:7b", is_cloud=True)),
        ("demo:7b:cloud", Source("demo:7b", is_cloud=True)),
        ("demo-cloud", Source("demo-cloud")),
        ("host:80/n/m-cloud", Source("host:80/n/m-cloud")),
        ("demo:local", Source("demo")),
        ("demo:7b:local", Source("demo:7b")),
        ("demo:cloud:local", Source("demo:cloud", is_contradictory=True)),
        ("demo:local:cloud", Source("demo:local", is_cloud=True, is_contradictory=True)),
        ("demo:7b-cloud:local", Source("demo:7b-cloud", is_contradictory=True)),
    ],
)
def test_words_for_the_source_are_taken_off(text: str, wanted: Source) -> None:
    assert split_source(text) == wanted

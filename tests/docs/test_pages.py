"""The documentation hangs together: links lead somewhere, and every page can be found."""

import re
from pathlib import Path

import pytest

from tests.checkout import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[tuple[Path, str]]:
    """Files of this checkout that a page links to, each with the heading it names (or an empty string)."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    return [((page.parent / path).resolve() if path else page, heading) for path, heading in LINK.findall(text)]


def anchors(page: Path) -> set[str]:
    """What links can name in a page: its headings, spelled as browsers get them."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for target, heading in links(page):
        assert target.exists(), f"{page.name} links to {target}, which is not there"
        assert not heading or heading in anchors(target), f"{page.name} links to a heading {heading} that is not there"


def test_every_page_can_be_reached_from_the_index() -> None:
    found, left = set(), [DOCS / "index.md"]
    while left:
        page = left.pop()
        if page not in found:
            found.add(page)
            left += [target for target, _ in links(page) if target.suffix == ".md" and target.is_relative_to(DOCS)]
    assert set(PAGES) - found == set()


def test_every_dependency_has_its_paragraph() -> None:
    page = (DOCS / "decisions" / "0001-dependencies.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\*\*([a-z0-9-]+)\*\*", page))
    requirements = re.findall(r'^ *"([A-Za-z0-9-]+)[^"]*",?$', _dependencies(), re.MULTILINE)
    assert {name.lower() for name in requirements} <= named


def _dependencies() -> str:
    """The part of pyproject.toml that lists requirements, one on each line."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(r"^(?:dependencies|llama|test|check) = \[(.*?)\]$", text, re.DOTALL | re.MULTILINE)
    return "\n".join(item.strip() for found in lists for item in found.split(", ") for item in item.splitlines())


def test_glossary_has_every_word_once_and_in_order() -> None:
    words = re.findall(r"^\| \*\*(.+?)\*\* \|", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(words) > 50
    assert words == sorted(set(words), key=str.lower)

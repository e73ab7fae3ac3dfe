"""Whoever follows a link in the documentation arrives."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

pytestmark = pytest.mark.unit

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    return [link for link in _LINK.findall(_CODE.sub("", page.read_text(encoding="utf-8"))) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as code hosts make them."""
    headings = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


RELATIVE = [(str(page.relative_to(ROOT)), link) for page in PAGES for link in links(page)]
TARGETS = {
    (ROOT / page).parent.joinpath(link.partition("#")[0]).resolve() if link.partition("#")[0] else ROOT / page
    for page, link in RELATIVE
}
FRAGMENTS = [(page, link) for page, link in RELATIVE if "#" in link]


def test_the_pages_are_found() -> None:
    assert {"README.md", "docs/architecture.md", "docs/adr/README.md"} <= {
        str(page.relative_to(ROOT)) for page in PAGES
    }
    assert len(RELATIVE) > 20
    assert FRAGMENTS


@pytest.mark.parametrize(("page", "link"), RELATIVE)
def test_a_relative_link_leads_to_something_inside_the_project(page: str, link: str) -> None:
    target = (ROOT / page).parent.joinpath(link.partition("#")[0]).resolve()

    assert target.exists()
    assert target.is_relative_to(ROOT)


@pytest.mark.parametrize(("page", "link"), FRAGMENTS)
def test_a_link_into_a_page_finds_its_heading(page: str, link: str) -> None:
    path, _, fragment = link.partition("#")

    assert fragment in anchors((ROOT / page).parent / path if path else ROOT / page)


def test_every_page_of_the_documentation_is_linked_from_somewhere() -> None:
    documentation = {path for path in (ROOT / "docs").rglob("*") if path.suffix in {".md", ".svg"}}

    assert {str(path.relative_to(ROOT)) for path in documentation - TARGETS} == set()


def test_the_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 70

"""The written pages of the project, and how to find things in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")])
COMMANDS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")] + [
    page for page in PAGES if page.is_relative_to(ROOT / "docs")
]
"""The pages that tell people what to type and set."""


def text(name: str) -> str:
    """A page by its path in the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text(name), re.MULTILINE | re.DOTALL)


def found(pattern: str) -> list[tuple[str, str]]:
    """Every match of a pattern's group in the pages that tell people what to type: page and match."""
    return sorted(
        {
            (str(page.relative_to(ROOT)), match)
            for page in COMMANDS
            for match in re.findall(pattern, page.read_text(encoding="utf-8"))
        }
    )

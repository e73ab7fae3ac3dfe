"""`make docs`: write every page, and remove those of subjects that are gone."""

from pathlib import Path

from docs.reference.pages import pages
from docs.reference.toolset_settings import PAGE, filled

FOLDER = Path(__file__).parent

if __name__ == "__main__":
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, content in made.items():
        (FOLDER / name).write_text(content, encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

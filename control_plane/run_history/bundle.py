"""The files of Prefect's pages, with the path filled in at which they are served. They stay in memory."""

import gzip
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_TEXTS: Final = frozenset({".html", ".js", ".css", ".json", ".svg", ".txt", ".webmanifest"})
_TYPES: Final = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}
"""What some machines have other types for."""
INDEX: Final = "index.html"


@dataclass(frozen=True, slots=True)
class File:
    """One file, and the same compressed if that makes it smaller."""

    content: bytes
    compressed: bytes | None
    media_type: str


class Bundle:
    """All files by their path below the folder."""

    def __init__(self, files: dict[str, File]) -> None:
        self._files = files

    @classmethod
    def read(cls, folder: Path, *, placeholder: str, served_at: str) -> Self:
        """Read a folder: 6 MB in a quarter of a second, so not in the event loop."""
        found = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                content = path.read_bytes()
                compressed = None
                if path.suffix in _TEXTS:
                    content = content.replace(placeholder.encode(), served_at.encode())
                    compressed = gzip.compress(content, compresslevel=6, mtime=0)
                media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                found[path.relative_to(folder).as_posix()] = File(content, compressed, media_type)
        return cls(found)

    def get(self, path: str) -> File | None:
        """The file at a path or, where the pages have a page of their own, the one that shows it. None: there is none.

        The pages find their way by the path, and no page of theirs has a dot in its last part.
        """
        found = self._files.get(path)
        if found is None and "." not in path.rpartition("/")[2] and not path.startswith("assets/"):
            found = self._files.get(INDEX)
        return found

"""Bodies of answers, read up to a bound however well they were compressed."""

import zlib
from dataclasses import dataclass

import httpx

from toolsets.failures import ToolFailed

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Body:
    """What was read, and whether there was more."""

    content: bytes
    charset: str
    is_cut: bool

    def told(self) -> dict[str, object]:
        """For the model: text, or how large what isn't text is."""
        if b"\0" in self.content[:4096]:
            return {"body": f"(not text: {'more than ' if self.is_cut else ''}{len(self.content)} bytes)"}
        try:
            text = self.content.decode(self.charset, errors="replace")
        except LookupError:
            text = self.content.decode(errors="replace")
        note = f"… (cut: the first {len(self.content)} bytes)" if self.is_cut else ""
        return {"body": text + note}


async def read_body(response: httpx.Response, most: int) -> Body:
    """The beginning of a body, at most `most` bytes. Raises `ToolFailed` if its encoding isn't known."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise ToolFailed(f"The answer is encoded as {encoding!r}, which was not asked for. Try another URL.")
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding not in {"identity", ""} else None
    content = bytearray()
    async for part in response.aiter_raw():
        try:
            # One byte more tells whether there is more.
            content += unpack.decompress(part, most + 1 - len(content)) if unpack else part
        except zlib.error as error:
            raise ToolFailed(f"The answer says that it is {encoding}, but isn't.") from error
        if len(content) > most:
            break
    return Body(bytes(content[:most]), response.charset_encoding or "utf-8", is_cut=len(content) > most)

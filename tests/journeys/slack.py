"""A Slack on this machine that repeats the token it was sent, and looks around while it is asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any


class IndiscreetSlack:
    """`tokens` are those it was sent."""

    def __init__(self) -> None:
        self.url = ""
        self.tokens: list[str] = []
        self._environments = b""

    def saw(self, text: str) -> bool:
        """Whether any process of the machine had this in its environment meanwhile."""
        return text.encode() in self._environments

    def answer(self, authorization: str) -> dict[str, Any]:
        """What is said to whoever asks for channels."""
        token = authorization.removeprefix("Bearer ")
        self.tokens.append(token)
        self._environments += b"".join(_readable(file) for file in Path("/proc").glob("[0-9]*/environ"))
        topic = {"value": f"the token is {token}"}
        return {"ok": True, "channels": [{"id": "C1", "name": "ops", "is_member": True, "topic": topic}]}


@contextmanager
def indiscreet_slack() -> Iterator[IndiscreetSlack]:
    """Serve one."""
    slack = IndiscreetSlack()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.dumps(slack.answer(self.headers.get("Authorization", ""))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - as its base class calls it

        def log_message(self, *_: Any) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        slack.url = f"http://127.0.0.1:{server.server_port}"
        yield slack
        server.shutdown()
        thread.join()


def _readable(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it has ended meanwhile, or isn't ours
        return b""

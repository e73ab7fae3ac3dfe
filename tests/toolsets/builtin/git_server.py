"""A git server on this machine: `git http-backend` behind HTTP, with or without TLS and a password."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class GitServer:
    """`host` is a name that a test makes resolve to it. `authorizations` are what requests have sent."""

    folder: Path
    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    password: str | None = None
    authorizations: list[str | None] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/{name}"

    def head(self, name: str, branch: str = "main") -> str:
        return git(self.folder / name, "log", "-1", "--format=%s", branch)


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person would, with nobody's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        **{
            f"GIT_{role}_{what}": "person@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        },
    }
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_repository(folder: Path, name: str) -> None:
    """One commit `Begin` on `main` with the file `notes.txt`, which may be pushed to."""
    bare = folder / name
    git(folder, "init", "--bare", "--initial-branch=main", name)
    git(bare, "config", "http.receivepack", "true")
    work = folder / f"{name}-work"
    git(folder, "clone", str(bare), str(work))
    (work / "notes.txt").write_text("one\n")
    git(work, "checkout", "-b", "main")
    git(work, "add", ".")
    git(work, "commit", "-m", "Begin")
    git(work, "push", "origin", "main")


@contextmanager
def serving(server: GitServer, tls: ssl.SSLContext | None = None) -> Iterator[GitServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            server.authorizations.append(self.headers.get("Authorization"))
            wanted = server.password and f"Basic {base64.b64encode(server.password.encode()).decode()}"
            if wanted and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                ["git", "http-backend"],
                input=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_GLOBAL": "/dev/null",
                    "GIT_PROJECT_ROOT": str(server.folder),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "REMOTE_USER": "somebody",
                },
                check=True,
                capture_output=True,
            ).stdout
            head, _, body = done.partition(b"\r\n\r\n")
            headers = [line.decode().split(": ", 1) for line in head.split(b"\r\n")]
            status = next((value for name, value in headers if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        web.socket = tls.wrap_socket(web.socket, server_side=True)
        server.scheme = "https"
    server.port = web.server_port
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        thread.join()
        web.server_close()

"""A small GitHub: the parts of its REST API that the toolset asks for, with its shapes, rules and errors.

What isn't read by any client is left out of the answers, as GitHub's own examples do.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

TOKEN = "ghp_of_the_agent"
INSTALLATION_TOKEN = "ghs_of_the_installation"
FULL_NAME = "acme/shop"
WHEN = "2026-11-24T10:00:00Z"

Thing = dict[str, Any]
_USER = {"login": "ada", "id": 1, "type": "User"}


class Refused(Exception):
    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {"message": message, "documentation_url": "https://docs.github.com", **more}, status
        )


@dataclass
class GitHub:
    """An ASGI application with one repository, acme/shop, of the default branch main."""

    files: dict[str, dict[str, str]] = field(
        default_factory=lambda: {"main": {"README.md": "# Shop\n", "src/a.py": "a\n"}}
    )
    issues: list[Thing] = field(default_factory=list)
    comments: dict[int, list[Thing]] = field(default_factory=dict)
    pulls: dict[int, Thing] = field(default_factory=dict)
    dispatched: list[Thing] = field(default_factory=list)
    found: list[Thing] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Response] = field(default_factory=list)
    anonymous: list[str] = field(default_factory=list)
    """Paths asked for without credentials."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        path: str = scope["path"]
        self.requests.append((request.method, path))
        try:
            response = self.failures.pop(0) if self.failures else await self._answer(request, path)
        except Refused as refusal:
            response = refusal.response
        await response(scope, receive, send)

    async def _answer(self, request: Request, path: str) -> Response:
        if path == "/blobs/log":
            self.anonymous.append(request.headers.get("authorization", ""))
            return PlainTextResponse("one\ntwo\nthree\n")
        if path == "/app/installations/7/access_tokens":
            if not request.headers["authorization"].startswith("bearer ey"):
                raise Refused(401, "A JSON web token could not be decoded")
            return JSONResponse({"token": INSTALLATION_TOKEN, "expires_at": WHEN}, 201)
        if request.headers.get("authorization") not in {f"token {TOKEN}", f"token {INSTALLATION_TOKEN}"}:
            raise Refused(401, "Bad credentials")
        if path == "/search/code":
            return JSONResponse({"total_count": len(self.found), "incomplete_results": False, "items": self.found})
        if not path.startswith(f"/repos/{FULL_NAME}"):
            raise Refused(404, "Not Found")
        body = json.loads(await request.body() or b"null")
        rest = path.removeprefix(f"/repos/{FULL_NAME}")
        for method, pattern, handle in self._routes():
            matched = re.fullmatch(pattern, rest)
            if matched and method == request.method:
                return handle(request, body, *matched.groups())
        raise Refused(404, "Not Found")

    def _routes(self) -> list[tuple[str, str, Callable[..., Response]]]:
        return [
            ("GET", "", self._repository),
            ("GET", "/contents/?(.*)", self._content),
            ("PUT", "/contents/(.+)", self._write),
            ("DELETE", "/contents/(.+)", self._unlink),
            ("GET", "/issues", self._issues),
            ("POST", "/issues", self._open_issue),
            ("GET", r"/issues/(\d+)", self._issue),
            ("PATCH", r"/issues/(\d+)", self._change_issue),
            ("GET", r"/issues/(\d+)/comments", self._comments),
            ("POST", r"/issues/(\d+)/comments", self._comment),
            ("GET", "/pulls", lambda *_: JSONResponse(list(self.pulls.values()))),
            ("POST", "/pulls", self._open_pull),
            ("GET", r"/pulls/(\d+)", lambda _, __, number: JSONResponse(self.pulls[int(number)])),
            ("GET", r"/pulls/(\d+)/files", self._pull_files),
            ("PUT", r"/pulls/(\d+)/merge", self._merge),
            ("GET", "/commits/([0-9a-f]{40})/check-runs", self._checks),
            ("GET", "/commits/(.+)", self._commit),
            ("GET", "/git/ref/heads/(.+)", self._ref),
            ("POST", "/git/refs", self._branch),
            ("DELETE", "/git/refs/heads/(.+)", self._unbranch),
            ("GET", "/actions/runs", self._runs),
            ("GET", r"/actions/runs/(\d+)", lambda *_: JSONResponse(_RUN)),
            ("GET", r"/actions/runs/(\d+)/jobs", lambda *_: JSONResponse({"total_count": 1, "jobs": [_JOB]})),
            ("GET", r"/actions/jobs/(\d+)/logs", self._log),
            ("POST", "/actions/workflows/([^/]+)/dispatches", self._dispatch),
        ]

    def _repository(self, *_: Any) -> Response:
        about = {"full_name": FULL_NAME, "default_branch": "main", "private": True, "description": None}
        return JSONResponse(
            {"id": 1, "name": "shop", "owner": _USER, "html_url": "https://github.com/acme/shop", **about}
        )

    def _branch_files(self, ref: str) -> dict[str, str]:
        if ref not in self.files:
            raise Refused(404, f"No commit found for the ref {ref}")
        return self.files[ref]

    def _content(self, request: Request, _: Any, path: str) -> Response:
        files = self._branch_files(request.query_params.get("ref", "main"))
        if path in files:
            text = files[path].encode()
            encoded = {"encoding": "base64", "content": base64.encodebytes(text).decode()}
            return JSONResponse({"type": "file", "path": path, "size": len(text), "sha": sha(files[path]), **encoded})
        start = f"{path}/" if path else ""
        inside = sorted({name.removeprefix(start).split("/")[0] for name in files if name.startswith(start)})
        if not inside:
            raise Refused(404, "Not Found")
        return JSONResponse(
            [
                {
                    "path": f"{start}{name}",
                    "type": "file" if f"{start}{name}" in files else "dir",
                    "size": 0,
                    "sha": "0",
                }
                for name in inside
            ]
        )

    def _write(self, _: Request, body: Thing, path: str) -> Response:
        files = self._branch_files(body["branch"])
        if path in files and "sha" not in body:
            raise Refused(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
        if path in files and body["sha"] != sha(files[path]):
            raise Refused(409, f"{path} does not match {body['sha']}")
        created = path not in files
        files[path] = base64.b64decode(body["content"]).decode()
        return JSONResponse(
            {"content": {"path": path}, "commit": {"sha": self.head(body["branch"])}}, 201 if created else 200
        )

    def _unlink(self, _: Request, body: Thing, path: str) -> Response:
        files = self._branch_files(body["branch"])
        if body["sha"] != sha(files[path]):
            raise Refused(409, f"{path} does not match {body['sha']}")
        del files[path]
        return JSONResponse({"content": None, "commit": {"sha": self.head(body["branch"])}})

    def _issues(self, request: Request, *_: Any) -> Response:
        query = request.query_params
        wanted = set(query["labels"].split(",")) if "labels" in query else set()
        found = [
            issue
            for issue in reversed(self.issues)
            if query["state"] in ("all", issue["state"]) and wanted <= {label["name"] for label in issue["labels"]}
        ]
        size, page = int(query["per_page"]), int(query["page"])
        return JSONResponse(found[(page - 1) * size : page * size])

    def _open_issue(self, _: Request, body: Thing) -> Response:
        return JSONResponse(self.add_issue(**body), 201)

    def add_issue(self, title: str, **values: Any) -> Thing:
        labels = [{"name": label} for label in values.pop("labels", [])]
        state = {"state": "open", "comments": 0, "assignees": [], "created_at": WHEN, "updated_at": WHEN, "body": None}
        number = len(self.issues) + 1
        issue = {"number": number, "title": title, "user": _USER, "labels": labels, **state, **values}
        self.issues.append(issue | {"html_url": f"https://github.com/{FULL_NAME}/issues/{number}"})
        return self.issues[-1]

    def _issue(self, _: Request, __: Any, number: str) -> Response:
        if int(number) > len(self.issues):
            raise Refused(404, "Not Found")
        return JSONResponse(self.issues[int(number) - 1])

    def _change_issue(self, _: Request, body: Thing, number: str) -> Response:
        issue = self.issues[int(number) - 1]
        issue.update(body)
        if "assignees" in body:
            issue["assignees"] = [{"login": login} for login in body["assignees"]]
        return JSONResponse(issue)

    def _comments(self, _: Request, __: Any, number: str) -> Response:
        return JSONResponse(self.comments.get(int(number), []))

    def _comment(self, _: Request, body: Thing, number: str) -> Response:
        made = {"id": 55, "user": _USER, "created_at": WHEN, "html_url": "https://github.com/c/55", **body}
        self.comments.setdefault(int(number), []).append(made)
        return JSONResponse(made, 201)

    def _open_pull(self, _: Request, body: Thing) -> Response:
        if body["head"] not in self.files:
            errors = [{"resource": "PullRequest", "field": "head", "code": "invalid"}]
            raise Refused(422, "Validation Failed", errors=errors)
        number = len(self.issues) + len(self.pulls) + 1
        self.pulls[number] = {
            "number": number,
            "title": body["title"],
            "body": body["body"],
            "draft": body["draft"],
            "state": "open",
            "user": _USER,
            "updated_at": WHEN,
            "head": {"label": f"acme:{body['head']}", "ref": body["head"], "sha": self.head(body["head"])},
            "base": {"label": f"acme:{body['base']}", "ref": body["base"], "sha": self.head(body["base"])},
            "html_url": f"https://github.com/{FULL_NAME}/pull/{number}",
        }
        return JSONResponse(self.pulls[number], 201)

    def _pull_files(self, *_: Any) -> Response:
        about = {"filename": "src/a.py", "status": "modified", "additions": 1, "deletions": 1, "changes": 2}
        return JSONResponse([{"sha": "0", "patch": "@@ -1 +1 @@\n-a\n+b" + "x" * 5_000, **about}])

    def _merge(self, _: Request, body: Thing, number: str) -> Response:
        if body["sha"] != self.pulls[int(number)]["head"]["sha"]:
            raise Refused(409, "Head branch was modified. Review and try the merge again.")
        return JSONResponse({"sha": "f" * 40, "merged": True, "message": "Pull Request successfully merged"})

    def _checks(self, *_: Any) -> Response:
        check = {"id": 4, "name": "tests", "status": "completed", "conclusion": "failure"}
        return JSONResponse({"total_count": 1, "check_runs": [check]})

    def _commit(self, _: Request, __: Any, ref: str) -> Response:
        return JSONResponse({"sha": self.head(ref)})

    def _ref(self, _: Request, __: Any, branch: str) -> Response:
        return JSONResponse({"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": self.head(branch)}})

    def _branch(self, _: Request, body: Thing) -> Response:
        name = body["ref"].removeprefix("refs/heads/")
        if name in self.files:
            raise Refused(422, "Reference already exists")
        [source] = {each for each in self.files if self.head(each) == body["sha"]}
        self.files[name] = dict(self.files[source])
        return JSONResponse({"ref": body["ref"], "object": {"sha": body["sha"]}}, 201)

    def _unbranch(self, _: Request, __: Any, branch: str) -> Response:
        del self.files[branch]
        return Response(status_code=204)

    def _runs(self, request: Request, *_: Any) -> Response:
        return JSONResponse(
            {"total_count": 1, "workflow_runs": [_RUN | {"head_branch": request.query_params["branch"]}]}
        )

    def _log(self, request: Request, *_: Any) -> Response:
        return RedirectResponse(f"{request.base_url}blobs/log", 302)

    def _dispatch(self, _: Request, body: Thing, workflow: str) -> Response:
        self.dispatched.append({"workflow": workflow, **body})
        return Response(status_code=204)

    def head(self, branch: str) -> str:
        """The commit of a branch: what is in it."""
        return sha(json.dumps(self._branch_files(branch), sort_keys=True))


_RUN = {
    "id": 30,
    "name": "CI",
    "display_title": "Fix it",
    "event": "push",
    "status": "completed",
    "conclusion": "failure",
    "head_branch": "main",
    "head_sha": "a" * 40,
    "run_attempt": 1,
    "created_at": WHEN,
    "html_url": "https://github.com/acme/shop/actions/runs/30",
}
_STEPS = [{"name": "Check out", "conclusion": "success"}, {"name": "Run tests", "conclusion": "failure"}]
_JOB = {"id": 31, "name": "test", "status": "completed", "conclusion": "failure", "steps": _STEPS}


def sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


def limited(**headers: str) -> Response:
    """The answer when there were too many requests."""
    return JSONResponse({"message": "API rate limit exceeded"}, 403, headers=headers)

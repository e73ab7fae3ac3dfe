"""What of GitHub's answers a model gets to read."""

from collections.abc import Mapping
from typing import Any

MAX_BODY = 20_000
MAX_PATCH = 4_000

Thing = Mapping[str, Any]


def repository(thing: Thing) -> dict[str, Any]:
    """A repository."""
    wanted = ("full_name", "description", "default_branch", "private", "archived", "language", "open_issues_count")
    return _picked(thing, *wanted, "topics", "pushed_at", "html_url")


def issue(thing: Thing) -> dict[str, Any]:
    """An issue, or a pull request in its part as one."""
    return {
        **_picked(thing, "number", "title", "state", "comments", "created_at", "updated_at", "html_url"),
        "author": _login(thing.get("user")),
        "labels": [label["name"] if isinstance(label, Mapping) else label for label in thing.get("labels") or []],
        "assignees": [_login(each) for each in thing.get("assignees") or []],
    }


def pull_request(thing: Thing) -> dict[str, Any]:
    """A pull request."""
    return {
        **_picked(thing, "number", "title", "state", "draft", "merged", "mergeable_state", "updated_at", "html_url"),
        "author": _login(thing.get("user")),
        "from": thing["head"]["label"],
        "into": thing["base"]["ref"],
        "head_sha": thing["head"]["sha"],
    }


def comment(thing: Thing) -> dict[str, Any]:
    """What somebody wrote."""
    return {"author": _login(thing.get("user")), **_picked(thing, "created_at"), "body": body(thing)}


def changed_file(thing: Thing) -> dict[str, Any]:
    """A file of a pull request with what changed in it."""
    return {
        **_picked(thing, "filename", "status", "additions", "deletions"),
        "patch": _cut(thing.get("patch"), MAX_PATCH),
    }


def workflow_run(thing: Thing) -> dict[str, Any]:
    """A run of a workflow."""
    wanted = ("id", "name", "display_title", "event", "status", "conclusion", "head_branch", "head_sha")
    return _picked(thing, *wanted, "run_attempt", "created_at", "html_url")


def job(thing: Thing) -> dict[str, Any]:
    """A job of a run, with the steps that failed."""
    failed = [step["name"] for step in thing.get("steps") or [] if step.get("conclusion") == "failure"]
    return _picked(thing, "id", "name", "status", "conclusion") | ({"failed_steps": failed} if failed else {})


def body(thing: Thing) -> str:
    """The text of an issue, pull request or comment."""
    return _cut(thing.get("body"), MAX_BODY)


def _picked(thing: Thing, *names: str) -> dict[str, Any]:
    return {name: thing[name] for name in names if thing.get(name) is not None}


def _login(user: Any) -> str:
    return str(user["login"]) if isinstance(user, Mapping) else "(a deleted user)"


def _cut(text: Any, most: int) -> str:
    text = text or ""
    return text if len(text) <= most else f"{text[:most]}… (cut: the first {most} of {len(text)} characters)"

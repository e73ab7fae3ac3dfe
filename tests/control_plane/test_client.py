import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from control_plane.client import Refused, Unreachable, WorkerClient
from control_plane.wire.executions import (
    ClaimRequest,
    EventReport,
    EventType,
    FinalStatus,
    Finish,
    ReportedEvent,
)
from tests.serving import serving

pytestmark = pytest.mark.integration

EXECUTION = UUID("5f6f3c63-6a3c-4c57-9a57-0b2f6f3f8f10")
RENEWED = {"lease_expires_at": "2026-01-01T00:00:00Z", "cancel_requested": False}


class Answers:
    """A server that gives prepared answers, one a request, and remembers what it was asked."""

    def __init__(self) -> None:
        self.prepared: list[Response] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        self.requests.append((request.method, request.url.path, json.loads(body) if body else None))
        self.headers.append(dict(request.headers))
        return self.prepared.pop(0)


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def url(answers: Answers) -> AsyncIterator[str]:
    route = Route("/{path:path}", answers.__call__, methods=["GET", "POST"])
    async with serving(Starlette(routes=[route]), lifespan=False) as served:
        yield served


def problem(status: int, **members: Any) -> Response:
    body = {"code": "lease_lost", "detail": "It is over.", "request_id": "r1"} | members
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_an_answer_that_says_later_is_asked_for_again(url: str, answers: Answers, status: int) -> None:
    answers.prepared = [problem(status), PlainTextResponse("busy", status_code=status), JSONResponse(RENEWED)]

    async with WorkerClient(url, "token") as client:
        renewal = await client.renew(EXECUTION, fence=1)

    assert renewal.cancel_requested is False
    assert answers.requests == [("POST", f"/api/v1/worker/executions/{EXECUTION}/lease", {"fence": 1})] * 3


async def test_a_server_that_is_away_is_asked_until_it_is_back(answers: Answers) -> None:
    answers.prepared = [JSONResponse(RENEWED)]
    route = Route("/{path:path}", answers.__call__, methods=["POST"])
    app = Starlette(routes=[route])
    async with serving(app, lifespan=False) as url:
        port = int(url.rsplit(":", 1)[1])
    async with WorkerClient(url, "token", patience_seconds=0.01) as hasty:
        with pytest.raises(Unreachable, match="doesn't answer"):
            await hasty.renew(EXECUTION, fence=1)

    async with serving(app, port=port, lifespan=False), WorkerClient(url, "token") as client:
        renewal = await client.renew(EXECUTION, fence=1)

    assert renewal.cancel_requested is False


async def test_when_patience_ends_the_last_reason_is_raised(url: str, answers: Answers) -> None:
    answers.prepared = [problem(503, detail="The database doesn't answer.")]

    async with WorkerClient(url, "token", patience_seconds=0) as client:
        with pytest.raises(Unreachable, match="The database doesn't answer"):
            await client.renew(EXECUTION, fence=1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
async def test_a_refusal_is_raised_at_once_with_its_code_and_details(url: str, answers: Answers, status: int) -> None:
    errors = [{"location": "body.fence", "message": "must be a number", "code": "int_parsing"}]
    answers.prepared = [problem(status, errors=errors)]

    async with WorkerClient(url, "token") as client:
        with pytest.raises(Refused) as caught:
            await client.renew(EXECUTION, fence=1)

    assert (caught.value.status, caught.value.code, caught.value.request_id) == (status, "lease_lost", "r1")
    assert str(caught.value) == "It is over.\n  body.fence: must be a number"
    assert len(answers.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("<html>no</html>", status_code=404, media_type="text/html"),
        PlainTextResponse("{", status_code=404, media_type="application/problem+json"),
        JSONResponse(["no"], status_code=404, media_type="application/problem+json"),
        JSONResponse({"detail": [{"msg": "no"}], "errors": ["no"]}, status_code=404),
        Response(status_code=404),
    ],
)
async def test_an_answer_that_is_no_problem_of_ours_is_still_a_refusal(
    url: str, answers: Answers, answer: Response
) -> None:
    answers.prepared = [answer]

    async with WorkerClient(url, "token") as client:
        with pytest.raises(Refused, match="answered 404") as caught:
            await client.renew(EXECUTION, fence=1)

    assert caught.value.code == "http_404"


async def test_the_credential_and_the_version_go_along(url: str, answers: Answers) -> None:
    answers.prepared = [JSONResponse(RENEWED)]

    async with WorkerClient(url, "s3cret") as client:
        await client.renew(EXECUTION, fence=1)

    assert answers.headers[0]["authorization"] == "Bearer s3cret"
    assert answers.headers[0]["user-agent"].startswith("agent-control-plane/")


@pytest.mark.parametrize(
    ("found", "sent"), [("a\udc80", "a?"), ("a\x00", "a\ufffd"), (float("nan"), None), ([float("inf")], [None])]
)
async def test_what_can_not_be_written_down_is_mended_before_it_is_sent(
    url: str, answers: Answers, found: Any, sent: Any
) -> None:
    answers.prepared = [JSONResponse({"sequence": 1})]
    event = ReportedEvent(
        sequence=1, type=EventType.TOOL_COMPLETED, data={"output": found}, occurred_at=datetime.now(UTC)
    )

    async with WorkerClient(url, "token") as client:
        await client.report(EXECUTION, EventReport(fence=1, events=[event]))

    assert answers.requests[0][2]["events"][0]["data"] == {"output": sent}


async def test_a_repeated_claim_carries_the_same_claim_id(url: str, answers: Answers) -> None:
    claim = {
        "execution_id": str(EXECUTION),
        "execution_token": "t0ken",
        "fence": 1,
        "lease_expires_at": "2026-01-01T00:00:00Z",
        "renew_every_seconds": 5.0,
    }
    answers.prepared = [problem(503), JSONResponse(claim)]
    claim_id = uuid4()

    async with WorkerClient(url, "key") as client:
        claimed = await client.claim(EXECUTION, ClaimRequest(worker="w", claim_id=claim_id))

    assert [request[2]["claim_id"] for request in answers.requests] == [str(claim_id)] * 2
    assert "t0ken" not in repr(claimed)


async def test_a_finish_that_has_no_body_to_answer_with_is_understood(url: str, answers: Answers) -> None:
    answers.prepared = [Response(status_code=204)]

    async with WorkerClient(url, "token") as client:
        await client.finish(EXECUTION, Finish(fence=1, status=FinalStatus.COMPLETED, response="ok"))

    assert answers.requests[0][2]["status"] == "completed"

"""How fast executions are read: one by its id, a page of 50, and whether a million rows make that slower.

Requests come at a fixed rate. For the ratio, medians of the same page are compared, asked by one client and first with
`FEW` rows in the table, then with `MANY`: the newest page, a page deep inside, the newest of those in one status, and
those of one agent.
"""

import base64
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import psycopg

from benchmarks.figures import Figure, percentile
from benchmarks.load import Load
from benchmarks.post_executions import prepared
from benchmarks.running import paused, progress, running_stack
from control_plane.embedded.postgres import DATABASE
from control_plane.embedded.stack import Stack

RATE = 200.0
CONNECTIONS = 16
REQUESTS = 2_000
FEW = 1_000
MANY = 1_000_000

_ONE_MS, _PAGE_MS, _RATIO = 15.0, 30.0, 1.5
_APART = timedelta(seconds=1)
_COPIED = (
    "organization_id, project_id, environment_id, agent_id, agent_version, workflow_type, input, plan, requested_by"
)
_COPIES = (
    f"INSERT INTO executions (id, {_COPIED}, status, event_count, created_at, updated_at, finished_at)"
    f" SELECT gen_random_uuid(), {_COPIED}, CASE number %% 10 WHEN 0 THEN 'failed' ELSE 'completed' END, 1,"
    "  moment, moment, moment"
    " FROM (SELECT * FROM executions ORDER BY created_at DESC LIMIT 1) AS first,"
    "  LATERAL (SELECT number, first.created_at - number * %s AS moment"
    "   FROM generate_series(%s::integer, %s::integer) AS number) AS new"
)


def measure() -> Iterator[Figure]:
    """p99 of one and of a page at a fixed rate, and how much slower pages of a large table are."""
    with running_stack() as (stack, tenant), paused(stack, "Prefect server"):
        started = prepared(stack, tenant).model_copy(update={"requests": 1})
        started.run()
        load = started.model_copy(
            update={"method": "GET", "expected": 200, "body": None, "connections": CONNECTIONS, "rate": RATE}
        )
        _fill(stack, 1, FEW)
        before = {name: _median_ms(load, url) for name, url in _pages(stack, load.urls[0], FEW).items()}
        progress(f"filling the table with {MANY:,} rows")
        _fill(stack, FEW + 1, MANY)
        pages = _pages(stack, load.urls[0], MANY)
        after = {name: _median_ms(load, url) for name, url in pages.items()}
        for name, median in after.items():
            yield Figure(f"reading.{name}.ratio", median / before[name], f"of {FEW} rows", _RATIO)
        for name, limit in (("one", _ONE_MS), ("newest", _PAGE_MS), ("deep", _PAGE_MS)):
            progress(f"{name}: {REQUESTS} requests at {RATE:.0f}/s")
            result = load.model_copy(update={"urls": [pages[name]], "requests": REQUESTS}).run()
            yield Figure(f"reading.{name}.p50", percentile(result.latencies, 50) * 1000, "ms")
            yield Figure(f"reading.{name}.p99", percentile(result.latencies, 99) * 1000, "ms", limit)


def _median_ms(load: Load, url: str) -> float:
    # One after the other: beside others, a page that takes a little longer makes them all wait a lot longer.
    alone = {"urls": [url], "requests": REQUESTS // 4, "connections": 1, "rate": None}
    result = load.model_copy(update=alone).run()
    return percentile(result.latencies, 50) * 1000


def _pages(stack: Stack, executions: str, rows: int) -> dict[str, str]:
    with connected(stack) as connection:
        found = connection.execute(
            "SELECT id, agent_id, created_at FROM executions ORDER BY created_at DESC"
        ).fetchone()
    if found is None:
        raise RuntimeError("the execution that was just started isn't there")
    execution_id, agent_id, created_at = found
    middle = created_at - rows // 2 * _APART
    return {
        "one": f"{executions}/{execution_id}",
        "newest": f"{executions}?limit=50",
        "deep": f"{executions}?limit=50&cursor={_cursor(middle)}",
        "failed": f"{executions}?limit=50&status=failed",
        "of_an_agent": f"{executions}?limit=50&agent_id={agent_id}",
    }


def _cursor(moment: datetime) -> str:
    # As `Link` has it. Following it half a million rows down would take as many requests.
    return base64.urlsafe_b64encode(f"{moment.isoformat()}|{UUID(int=0)}".encode()).decode().rstrip("=")


def _fill(stack: Stack, first: int, last: int) -> None:
    with connected(stack) as connection:
        # Copies of a row that is right need no checks, which would take minutes.
        connection.execute("SET session_replication_role = replica")
        connection.execute(_COPIES, [_APART, first, last])
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM ANALYZE executions")
        connection.execute("CHECKPOINT")  # or the disk is still busy with the copies while pages are read


def connected(stack: Stack) -> psycopg.Connection:
    """The database of the stack, as its superuser."""
    if stack.postgres is None:
        raise RuntimeError("the stack has no PostgreSQL of its own")
    return psycopg.connect(stack.postgres.url(database=DATABASE))

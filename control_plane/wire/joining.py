"""Messages about a worker's session: joining, staying, leaving."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from control_plane.wire.model import WireModel

LIFE_LEFT_AT_RENEWAL = 0.2
"""A session is renewed when this part of its life is left: of an hour, twelve minutes to get an answer in."""

HEARTBEATS_MISSED = 3
"""After so many heartbeats that didn't come a worker counts as offline."""


class JoinRequest(WireModel):
    """Who wants to work. What it says of itself is for people to read, but for `version`, which the server checks.

    `worker_queue` is the name of a queue and only for joining by pool; absent, it is the default queue. `slots` is how
    many executions the worker carries out at once; absent, it sets itself no limit.
    """

    name: str = Field(min_length=1, max_length=200)
    version: str = Field(min_length=1, max_length=100)
    python_version: str = Field(max_length=100)
    prefect_version: str = Field(max_length=100)
    platform: str = Field(max_length=200)
    hostname: str = Field(max_length=255)
    slots: int | None = Field(default=None, ge=1, le=1_000_000)
    worker_queue: str | None = Field(default=None, max_length=40)


class JoinedQueue(WireModel):
    """The worker queue that a worker has joined."""

    id: UUID
    name: str


class WorkerSettings(WireModel):
    """What the control plane asks of the worker, and the limits of its queue (None: no limit)."""

    heartbeat_seconds: float = Field(description="From one sign of life to the next.")
    concurrency_limit: int | None = None
    max_workers: int | None = None


class WorkerSession(WireModel):
    """A worker that has joined. The token opens its environment until `expires_at`, renewed or not.

    The id is the worker's too. The token stays the same when the session is renewed, for which the worker needs what it
    joined with: whoever has the token alone can't keep it alive.
    """

    session_id: UUID
    session_token: str = Field(repr=False)
    expires_at: AwareDatetime
    renew_after_seconds: float = Field(description="From now; later there may be no time for a second attempt.")
    organization_id: UUID
    environment_id: UUID
    work_pool: str
    worker_queue: JoinedQueue
    prefect_api_url: str = Field(description="What `PREFECT_API_URL` must be, with the token as `PREFECT_API_KEY`.")
    llm_url: str = Field(description="Below it are the routes of the model gateway.")
    server_version: str
    settings: WorkerSettings


class SessionRenewal(WireModel):
    """How long the session holds now."""

    expires_at: AwareDatetime
    renew_after_seconds: float = Field(description="From now.")


class WorkerHeartbeat(WireModel):
    """A sign of life. `memory_bytes` is what the worker and its processes hold; absent is what can't be measured."""

    running: int | None = Field(default=None, ge=0, le=1_000_000)
    free_slots: int | None = Field(default=None, ge=0, le=1_000_000)
    cpu_percent: float | None = Field(default=None, ge=0, le=1_000_000, allow_inf_nan=False)
    memory_bytes: int | None = Field(default=None, ge=0, le=1 << 62)


class HeartbeatAnswer(WireModel):
    """`drain` asks the worker to take nothing new, to finish what it has, and to leave."""

    drain: bool
    heartbeat_seconds: float = Field(description="Until the next sign of life.")

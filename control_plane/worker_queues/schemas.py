"""REST bodies of worker queues."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from control_plane.contract import ABSENT, SOME_ID, Body, Fixed, MaxWorkers, Patch, Read, Slug, Text, example

Description = Annotated[Text, Field(max_length=2_000, description="What it is for, in words for people.")]
Priority = Annotated[
    int, Field(ge=1, le=1_000_000, description="1 is served first; of two equal ones, the older queue.")
]
ConcurrencyLimit = Annotated[
    int | None, Field(ge=1, le=1_000_000, description="Most executions at once. Null: as many as the workers take.")
]
Paused = Annotated[bool, Field(strict=True, description="While it is paused, nothing more of it is started.")]


class QueueCreate(Body):
    """A new queue of the environment in the path. `name` is unique in it."""

    model_config = example(name="urgent", priority=1, concurrency_limit=5)

    name: Slug = Field(description="It never changes; workers join by it.")
    description: Description = ""
    priority: Priority = 1
    concurrency_limit: ConcurrencyLimit = None
    max_workers: MaxWorkers = None
    paused: Paused = False


class WorkerQueueCreate(QueueCreate):
    """A new queue of an environment. `name` is unique in it."""

    model_config = example(name="urgent", priority=1, concurrency_limit=5, environment_id=SOME_ID)

    environment_id: UUID


class WorkerQueuePatch(Patch):
    """Changes to a queue."""

    description: Description = ABSENT
    priority: Priority = ABSENT
    concurrency_limit: ConcurrencyLimit = ABSENT
    max_workers: MaxWorkers = ABSENT
    paused: Paused = ABSENT
    name: Fixed = None
    environment_id: Fixed = None


class WorkerQueueRead(Read):
    """A queue of an environment."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    name: str
    description: str
    priority: Priority
    concurrency_limit: ConcurrencyLimit
    max_workers: MaxWorkers
    paused: Paused

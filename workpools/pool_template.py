"""The work pool of an environment: which worker type it wants and what a run on it may vary."""

from typing import Any

WORKER_TYPE = "environment"
"""`prefect worker start --pool …` chooses the worker by it. Prefect never changes the type of a pool that exists, and
`--type process` starts the stock process worker on any pool."""

BASE_JOB_TEMPLATE: dict[str, Any] = {
    "job_configuration": {"stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}
"""Fixed on purpose. Variables that reach `command`, `env`, an image or `working_dir` would be code execution on the
worker for whoever may start an execution; and a `working_dir` comes first on `sys.path`, where a folder named `flows`
would hide ours."""

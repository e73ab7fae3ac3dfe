"""`control-plane-worker`: a worker from the two settings it needs and the id of its queue, or the name of its pool."""

import argparse
import os
import sys
from uuid import UUID

import prefect
from prefect.cli import app
from prefect.context import refresh_global_settings_context

from workpools import readiness
from workpools.joining import Start, environment, hide_from_siblings, join


def main() -> None:
    """Join, then become `prefect worker start` for what was joined. Other options are passed on to it."""
    readiness.keep_pipe()
    options, passed_on = _options()
    hide_from_siblings()
    start = Start(
        options.pool,
        worker_queue_id=options.queue_id,
        worker_queue=options.work_queue,
        name=options.name,
        slots=options.limit,
    )
    session = join(start, prefect_version=prefect.__version__).session
    os.environ.update(environment(session.prefect_api_url, session.session_token))
    refresh_global_settings_context()
    named = ["--name", options.name] if options.name else []
    limited = ["--limit", str(options.limit)] if options.limit else []
    place = ["--pool", session.work_pool, "--work-queue", session.worker_queue.name]
    sys.argv = ["prefect", "worker", "start", *place, *named, *limited, *passed_on]
    app()


def _options() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="control-plane-worker",
        description="Start a worker. CONTROL_PLANE_URL says of which control plane, CONTROL_PLANE_API_KEY lets it in.",
        epilog="Any other option is one of `prefect worker start`.",
        allow_abbrev=False,
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--queue-id", type=UUID, metavar="ID", help="the worker queue to join")
    place.add_argument("--pool", metavar="NAME", help="the work pool to join")
    parser.add_argument("--work-queue", metavar="NAME", help="the queue of the pool; default: default")
    parser.add_argument("--name", help="what people read in lists; default: the machine's name and a number")
    parser.add_argument("--limit", type=int, metavar="N", help="how many executions to carry out at once")
    options, passed_on = parser.parse_known_args()
    if options.queue_id and options.work_queue:
        parser.error("--queue-id names the queue already: leave --work-queue out")
    return options, passed_on

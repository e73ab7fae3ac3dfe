from collections.abc import Callable
from inspect import isasyncgenfunction, iscoroutinefunction
from typing import Any

import pytest
from fastapi import APIRouter, Depends
from fastapi.dependencies.models import Dependant

from tests.control_plane.audit.test_every_route import ROUTES, dependencies_of

pytestmark = pytest.mark.unit


def waiting_for_a_thread(dependant: Dependant) -> list[Callable[..., Any]]:
    called = [call for call in (dependant.call, *dependencies_of(dependant)) if call]
    return [
        one for one in called if not (isasyncgenfunction(one) or any(map(iscoroutinefunction, (one, one.__call__))))
    ]


def test_no_request_waits_for_a_thread() -> None:
    # FastAPI calls whatever is no coroutine in a thread, which costs more than most of what a request does.
    found = {name: waiting_for_a_thread(route.dependant) for name, route in ROUTES.items()}

    assert not {name: calls for name, calls in found.items() if calls}


def test_a_class_as_a_dependency_is_found() -> None:
    router = APIRouter()

    class Wanted: ...

    @router.get("/")
    async def read(wanted: Wanted = Depends()) -> None: ...

    assert waiting_for_a_thread(router.routes[0].dependant) == [Wanted]  # type: ignore[attr-defined]

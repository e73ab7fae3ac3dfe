import pytest

from flows.origin import origin

pytestmark = pytest.mark.unit


def fail(error: BaseException) -> None:
    raise error


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    error.__cause__ = cause
    with pytest.raises(type(error)):
        fail(error)
    return error


def test_it_names_types_and_places_of_an_error_and_its_causes_but_none_of_their_texts() -> None:
    error = caught(ValueError("canary-1"), caught(KeyError("canary-2")))

    told = origin(error)

    assert told.count(" in fail") == 2
    assert "builtins.ValueError" in told
    assert "caused by\nbuiltins.KeyError" in told
    assert "canary" not in told


def test_it_looks_into_groups() -> None:
    error = ExceptionGroup("canary-1", [ValueError("canary-2"), TypeError("canary-3")])

    told = origin(error)

    assert "builtins.ValueError" in told
    assert "builtins.TypeError" in told
    assert "canary" not in told


def test_errors_that_cause_each_other_come_to_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first

    assert origin(first) == "builtins.ValueError\ncaused by\nbuiltins.KeyError"

from itertools import product

import pytest

from control_plane.executions.state import IllegalTransition, Status, check

pytestmark = pytest.mark.unit

ENDS = [Status.COMPLETED, Status.FAILED, Status.CANCELLED]


@pytest.mark.parametrize(("before", "after"), list(product(ENDS, Status)))
def test_nothing_follows_an_end(before: Status, after: Status) -> None:
    with pytest.raises(IllegalTransition):
        check(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.PENDING, Status.SCHEDULED),
        (Status.PENDING, Status.RUNNING),
        (Status.SCHEDULED, Status.PENDING),
        (Status.SCHEDULED, Status.RUNNING),
        (Status.RUNNING, Status.WAITING_FOR_APPROVAL),
        (Status.RUNNING, Status.WAITING_FOR_INPUT),
        (Status.RUNNING, Status.PAUSED),
        (Status.WAITING_FOR_APPROVAL, Status.RUNNING),
        (Status.WAITING_FOR_INPUT, Status.RUNNING),
        (Status.PAUSED, Status.RUNNING),
        (Status.RUNNING, Status.COMPLETED),
    ],
)
def test_an_execution_goes_the_way_of_its_life(before: Status, after: Status) -> None:
    check(before, after)


@pytest.mark.parametrize("before", [status for status in Status if status not in ENDS])
@pytest.mark.parametrize("after", [Status.FAILED, Status.CANCELLED])
def test_whatever_has_not_ended_can_fail_and_be_cancelled(before: Status, after: Status) -> None:
    check(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.RUNNING, Status.PENDING),
        (Status.RUNNING, Status.SCHEDULED),
        (Status.RUNNING, Status.RUNNING),
        (Status.PENDING, Status.COMPLETED),
        (Status.SCHEDULED, Status.COMPLETED),
        (Status.PENDING, Status.WAITING_FOR_APPROVAL),
    ],
)
def test_nothing_goes_back_or_skips_the_work(before: Status, after: Status) -> None:
    with pytest.raises(IllegalTransition, match=f"from {before} to {after}"):
        check(before, after)


@pytest.mark.parametrize("status", Status)
def test_only_ends_are_terminal(status: Status) -> None:
    assert status.terminal == (status in ENDS)

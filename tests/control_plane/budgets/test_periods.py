from datetime import UTC, datetime, timedelta, timezone

import pytest

from control_plane.budgets.periods import Period

pytestmark = pytest.mark.unit

NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "starts_at", "resets_at"),
    [
        (Period.DAY, datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        (Period.TOTAL, datetime(1970, 1, 1, tzinfo=UTC), None),
    ],
)
def test_days_and_months_are_those_of_utc_wherever_one_asks(
    period: Period, starts_at: datetime, resets_at: datetime | None
) -> None:
    in_tokyo = NEW_YEARS_EVE.astimezone(timezone(timedelta(hours=9)))

    assert (period.start(in_tokyo), period.end(in_tokyo)) == (starts_at, resets_at)


def test_february_ends_after_its_last_day() -> None:
    assert Period.MONTH.end(datetime(2028, 2, 29, 12, tzinfo=UTC)) == datetime(2028, 3, 1, tzinfo=UTC)

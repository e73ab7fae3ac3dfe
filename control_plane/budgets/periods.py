"""When what a budget counts begins and ends. Days and months are those of UTC."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Period(StrEnum):
    """How long a budget has to last."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"

    def start(self, moment: datetime) -> datetime:
        """When the period began that `moment` is in."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        match self:
            case Period.DAY:
                return day
            case Period.MONTH:
                return day.replace(day=1)
            case Period.TOTAL:
                return datetime(1970, 1, 1, tzinfo=UTC)

    def end(self, moment: datetime) -> datetime | None:
        """When the next one begins; None if there is none."""
        match self:
            case Period.DAY:
                return self.start(moment) + timedelta(days=1)
            case Period.MONTH:
                return (self.start(moment) + timedelta(days=32)).replace(day=1)
            case Period.TOTAL:
                return None

"""Days of money: 00:00 to 24:00 in China, written `YYYY-MM-DD`, and which can be judged (contracts §10). Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from orders.paid_order import CHINA

CARRIER: Final = "carrier"
"""The source of statements, beside the providers, which are sources of bills."""

BILLS_AFTER: Final = timedelta(hours=10)
"""From then on, after its day's end, both providers have a bill."""
DAYS_FOR_A_PAYMENT: Final = 2
"""A payment may stand in the bill of its day or of the two after."""
DAYS_FOR_THE_REST: Final = 1
"""A refund or a sale: of its day or of the next."""


def day_of(moment: datetime) -> str:
    """The day in China of an aware moment."""
    return moment.astimezone(CHINA).date().isoformat()


def after(day: str, days: int) -> str:
    """The day that many days later, or earlier where negative."""
    try:
        return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
    except OverflowError:  # an order may say that it was paid in the year 9999
        return day


def span(day: str) -> tuple[datetime, datetime]:
    """Begin of a day and of the next, UTC."""
    begin = datetime.combine(date.fromisoformat(day), datetime.min.time(), CHINA)
    return begin.astimezone(UTC), (begin + timedelta(days=1)).astimezone(UTC)


def from_to(first: str, last: str) -> Iterator[str]:
    """Each day from `first` to `last`, both included."""
    while first <= last:
        yield first
        first = after(first, 1)


def bills_are_due(day: str, now: datetime) -> bool:
    """Whether a provider that has no bill of a day can mean that nothing happened: not before 10:00 of the next."""
    return now >= span(day)[1] + BILLS_AFTER


def is_over(day: str, now: datetime) -> bool:
    """Whether a day has ended."""
    return now >= span(day)[1]


@dataclass(frozen=True, slots=True)
class Horizon:
    """Which days' bills and statements are whole.

    Attributes:
        whole: by source, the days.
    """

    whole: Mapping[str, Collection[str]]

    def has(self, source: str, day: str) -> bool:
        """Whether this one is whole."""
        return day in self.whole.get(source, ())

    def has_all(self, source: str, first: str, last: str) -> bool:
        """Whether all from `first` to `last` are: what they don't show by then is not there."""
        days = self.whole.get(source, ())
        if not days or after(first, len(days)) < last:
            return False
        return all(day in days for day in from_to(first, last))

"""A hold is on from when it was set until its end or its release, and a part is held while any of its holds is on."""

from datetime import UTC, datetime, timedelta
from typing import get_args

from console.hold import Part as Named
from orders.holds import PARTS, Hold, in_force
from orders.paid_order import Provider

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def hold(
    part: str = "carrier",
    *,
    since: timedelta = HOUR,
    until: datetime | None = None,
    released_at: datetime | None = None,
) -> Hold:
    since_then = NOW - since
    return Hold(part=part, held_at=since_then, held_by="li", note="ticket 4711", until=until, released_at=released_at)


def test_every_provider_can_be_held_and_the_carrier_and_the_command_knows_them():
    assert set(PARTS) == {"carrier", *get_args(Provider)} == {part.value for part in Named}


def test_a_hold_ends_at_its_end_or_when_it_is_released():
    assert hold().is_on(NOW + 1000 * HOUR)
    assert hold(until=NOW + HOUR).is_on(NOW)
    assert not hold(until=NOW).is_on(NOW)
    assert not hold(released_at=NOW - HOUR).is_on(NOW)


def test_a_part_is_held_while_any_of_its_holds_is_on_and_has_been_since_the_oldest_of_them():
    ended, short, long = hold(since=3 * HOUR, until=NOW), hold(until=NOW + HOUR), hold(since=2 * HOUR)

    assert in_force([ended, short, long, hold("wechat", until=NOW)], NOW) == {"carrier": long}


def test_its_sentence_says_who_why_and_until_when():
    assert hold().sentence() == (
        "carrier is held until it is released, by li since 2026-11-28 11:00:00 UTC: ticket 4711"
    )
    assert "until 2026-11-28 13:00:00 UTC" in hold(until=NOW + HOUR).sentence()

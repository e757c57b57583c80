from datetime import UTC, datetime, timedelta

from runtime.clock import SystemClock


def test_the_clock_is_aware_and_utc():
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)

import pytest

from orders.time_scale import scaled


@pytest.mark.parametrize(
    ("seconds", "scale", "expected"), [(40, 1, 40), (40, 0.05, 2), (60, 0.001, 0.2), (0.1, 1, 0.2), (300, 0.05, 15)]
)
def test_waits_are_scaled_and_none_falls_below_200_ms(seconds, scale, expected):
    assert scaled(seconds, scale) == pytest.approx(expected)

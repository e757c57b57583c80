"""Time scale, the carrier's times and the moment of a restore: what fits together, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from configuration.processes import BridgeSettings, WorkerSettings
from runtime.settings import SettingsError, load
from tests.configuration.faults import only_fault
from tests.runtime import environments
from workers.composition import carrier_times


def test_a_scale_below_one_is_a_warning():
    (warning,) = load({**environments.worker(), "TOPUP_TIME_SCALE": "0.05"}, WorkerSettings).warnings
    assert "TOPUP_TIME_SCALE" in warning


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("TOPUP_WECHAT_URL", ""),
        ("TOPUP_ALIPAY_URL", ""),
        ("TOPUP_WECHAT_URL", "https://api2.mch.weixin.qq.com"),
        ("TOPUP_WECHAT_URL", "https://API.MCH.WEIXIN.QQ.COM./"),
        ("TOPUP_ALIPAY_URL", "https://alipay.com:8080/gateway.do"),
    ],
)
@pytest.mark.parametrize("process", [WorkerSettings, BridgeSettings])
def test_scaled_time_is_refused_with_a_real_provider(name, url, process):
    environ = {**environments.bridge(), **environments.worker(), "TOPUP_TIME_SCALE": "0.5", name: url}
    fault = only_fault(environ, process)
    assert fault.startswith("TOPUP_TIME_SCALE")
    assert name in fault


def test_scaled_time_goes_with_a_provider_that_is_not_configured_and_with_look_alikes():
    environ = {k: v for k, v in environments.worker().items() if "ALIPAY" not in k}
    environ |= {"TOPUP_TIME_SCALE": "0.5", "TOPUP_WECHAT_URL": "https://notweixin.qq.com.example"}
    assert load(environ, WorkerSettings).time_scale == 0.5


def test_a_time_scale_in_other_digits_is_refused():
    assert "TOPUP_TIME_SCALE" in only_fault({**environments.bridge(), "TOPUP_TIME_SCALE": "\u0661"}, BridgeSettings)


def test_the_completion_date_leaves_room_for_the_slowest_answer():
    environ = {**environments.worker(), "TOPUP_CARRIER_COMPLETION_SECONDS": "75"}
    assert only_fault(environ, WorkerSettings).startswith("TOPUP_CARRIER_COMPLETION_SECONDS")
    assert (
        load({**environ, "TOPUP_CARRIER_COMPLETION_SECONDS": "75.5"}, WorkerSettings).carrier_completion_seconds == 75.5
    )


CARRIER_TIMES = ("LONGEST_LATENCY", "VISIBILITY_LAG", "COMPLETION")


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.tuples(st.floats(1, 3600), st.floats(1, 3600), st.floats(2, 86_400)),
    st.one_of(st.just(1.0), st.floats(1e-6, 0.01), st.floats(0.01, 1)),
)
@example((60, 15, 300), 0.003)
@example((60, 15, 300), 0.001)
@example((60, 90, 300), 0.05)
@example((60, 90, 300), 1)
def test_carrier_times_and_scale_are_a_fault_or_the_worker_can_work_with_them(
    times: tuple[float, float, float], scale: float
):
    """The lag may be longer than the latency; what fits unscaled must fit where each is cut off at 200 ms, too."""
    named = {f"TOPUP_CARRIER_{name}_SECONDS": f"{value:.6f}" for name, value in zip(CARRIER_TIMES, times, strict=True)}
    environ = {**environments.worker(), **named, "TOPUP_TIME_SCALE": f"{scale:.6f}"}
    try:
        loaded = load(environ, WorkerSettings)
    except SettingsError as error:
        (fault,) = error.faults
        assert fault.startswith(("TOPUP_CARRIER_COMPLETION_SECONDS", "TOPUP_TIME_SCALE"))
    else:
        made = carrier_times(loaded)
        assert made.completion_window - made.longest_latency > timedelta(seconds=0.19), "a POST has time to leave"


@pytest.mark.parametrize(
    "changed", [{"TOPUP_CARRIER_VISIBILITY_LAG_SECONDS": "90"}, {"TOPUP_TIME_SCALE": "0.003"}], ids=["lag", "scale"]
)
def test_a_lag_may_be_as_long_as_the_longest_latency_or_longer(changed: dict[str, str]):
    times = carrier_times(load({**environments.worker(), **changed}, WorkerSettings))

    assert times.visibility_lag >= times.longest_latency


def test_a_scale_that_leaves_no_time_for_a_post_is_a_fault_of_the_process_that_sends_it():
    environ = {**environments.bridge(), **environments.worker(), "TOPUP_TIME_SCALE": "0.001"}

    assert only_fault(environ, WorkerSettings).startswith("TOPUP_TIME_SCALE")
    assert load(environ, BridgeSettings).time_scale == 0.001


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-11-23T10:00:00Z", 0), ("2026-11-23T18:00:00+08:00", 0), ("2026-11-23T10:00:00.5Z", 0.5)],
)
def test_the_restore_is_an_instant_and_is_warned_about(text: str, seconds: float):
    settings = load(environments.worker() | {"TOPUP_RESTORED_AT": text}, WorkerSettings)

    assert settings.restored_at == datetime(2026, 11, 23, 10, tzinfo=UTC) + timedelta(seconds=seconds)
    assert any("TOPUP_RESTORED_AT" in warning and "asks" in warning for warning in settings.warnings)
    assert load(environments.worker(), WorkerSettings).restored_at is None


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-11-23", "2026-11-23T10:00:00", "2026-02-30T10:00:00Z", "2026-11-23T25:00:00Z", "1"]
)
def test_a_restore_without_a_time_zone_or_that_never_was_is_a_fault(text: str):
    assert only_fault(environments.worker() | {"TOPUP_RESTORED_AT": text}, WorkerSettings).startswith(
        "TOPUP_RESTORED_AT"
    )

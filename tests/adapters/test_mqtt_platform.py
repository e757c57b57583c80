"""The settings of a platform, the client ID, the limits, and the pace: what needs no broker."""

import asyncio
import os
import re
import socket

import pytest

from adapters.mqtt.broker import client_id
from adapters.mqtt.notifier import Broker, MqttLimits, MqttNotifier
from adapters.mqtt.rate_limiter import RateLimiter
from orders.time_scale import scaled
from tests.limits import WAIT_SECONDS
from tests.properties.virtual_loop import in_virtual_time


def test_a_url_gives_host_port_tls_and_percent_decoded_credentials() -> None:
    platform = Broker("new", "mqtts://car%40fleet:p%3A%2Fs%25@broker.example")
    assert (platform.host, platform.port, platform.tls) == ("broker.example", 8883, True)
    assert (platform.username, platform.password) == ("car@fleet", "p:/s%")


@pytest.mark.parametrize(
    ("url", "host", "port", "whom"),
    [
        ("mqtt://broker.example", "broker.example", 1883, "MQTT platform p at broker.example:1883"),
        ("mqtt://broker.example:1999/", "broker.example", 1999, "MQTT platform p at broker.example:1999"),
        ("mqtts://[2001:db8::1]", "2001:db8::1", 8883, "MQTT platform p at [2001:db8::1]:8883"),
        ("mqtt://u:p@[::1]:18830", "::1", 18830, "MQTT platform p at [::1]:18830"),
    ],
)
def test_ports_default_by_scheme_and_ipv6_is_understood(url: str, host: str, port: int, whom: str) -> None:
    platform = Broker("p", url)
    assert (platform.host, platform.port, platform.whom) == (host, port, whom)


def test_repr_shows_no_credentials() -> None:
    assert "secret" not in repr(Broker("p", "mqtt://secretuser:secretword@h"))


@pytest.mark.parametrize(
    "url",
    ["http://u:secret@h", "mqtt://", "h:1883", "mqtt://u:secret@h:0", "mqtt://u:secret@h:99999", "mqtt://[u:secret"],
)
def test_a_wrong_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match="`url`") as refused:
        Broker("p", url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "a b"),
        ("version", "3"),
        ("topic", "vehicles/+/topup"),
        ("topic", "vehicles/#"),
        ("topic", "$SYS/x"),
        ("topic", ""),
        ("topic", "vehicles/{iccid}"),
        ("keepalive_seconds", 0),
        ("keepalive_seconds", 65_536),
        ("publishes_per_second", 0),
        ("publishes_per_second", float("nan")),
        ("certfile", "c.pem"),
    ],
)
def test_a_member_that_could_not_work_is_refused(member: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{member}`"):
        Broker(**{"name": "p", "url": "mqtts://h", member: value})


def test_two_platforms_with_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        MqttNotifier([Broker("p", "mqtt://h:1"), Broker("p", "mqtt://i:1")])


@pytest.mark.parametrize("host", ["worker-1", "Würfel.intern_7", "x" * 300, ""])
def test_client_ids_keep_to_what_every_platform_takes(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    name = client_id("topup", 4_194_304)
    assert re.fullmatch(r"topup-[0-9a-zA-Z_-]*-4194304-[0-9a-f]{8}", name)
    assert 1 <= len(name) <= 128


def test_no_two_client_ids_are_the_same() -> None:
    assert len({client_id("topup", os.getpid()) for _ in range(1000)}) == 1000


def test_scaling_spares_the_message_expiry() -> None:
    limits = MqttLimits().scaled(lambda seconds: scaled(seconds, 0.01))
    assert limits == MqttLimits(0.2, 0.2, 0.2, 0.2, 604_800)


@pytest.mark.parametrize(
    "members",
    [
        {"acknowledge_seconds": 11},
        {"back_off_first_seconds": 31},
        {"back_off_first_seconds": 0},
        {"message_expiry_seconds": 2**32},
        {"unacknowledged_most": 0},
    ],
)
def test_limits_that_contradict_each_other_are_refused(members: dict[str, int]) -> None:
    with pytest.raises(AssertionError):
        MqttLimits(**members)


# --- the pace ---------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_turns_are_never_closer_together_than_the_rate_allows() -> None:
    rate_limiter, loop = RateLimiter(100), asyncio.get_running_loop()
    turns: list[float] = []

    async def take() -> None:
        assert await rate_limiter.turn()
        turns.append(loop.time())

    await asyncio.gather(*(take() for _ in range(30)))
    assert turns[-1] - turns[0] == pytest.approx(29 / 100)


@in_virtual_time
async def test_a_pause_earns_no_burst() -> None:
    rate_limiter, loop = RateLimiter(20), asyncio.get_running_loop()
    await rate_limiter.turn()
    await asyncio.sleep(0.5)
    since = loop.time()
    for _ in range(5):
        await rate_limiter.turn()
    assert loop.time() - since == pytest.approx(4 / 20)


async def test_turns_come_in_the_order_of_asking() -> None:
    rate_limiter = RateLimiter(200)
    order: list[int] = []

    async def take(number: int) -> None:
        await rate_limiter.turn()
        order.append(number)

    await asyncio.gather(*(take(number) for number in range(20)))
    assert order == list(range(20))


async def test_who_gives_up_costs_the_others_nothing() -> None:
    rate_limiter = RateLimiter(10)
    await rate_limiter.turn()
    leaving = [asyncio.create_task(rate_limiter.turn()) for _ in range(50)]
    staying = asyncio.create_task(rate_limiter.turn())
    await asyncio.sleep(0)
    assert rate_limiter.seconds_to_wait() > 5
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    assert rate_limiter.seconds_to_wait() < 1
    assert await asyncio.wait_for(staying, WAIT_SECONDS)


@in_virtual_time
async def test_a_hold_puts_off_those_who_wait_already() -> None:
    rate_limiter, loop = RateLimiter(50), asyncio.get_running_loop()
    await rate_limiter.turn()
    waiting = asyncio.create_task(rate_limiter.turn())
    await asyncio.sleep(0)
    since = loop.time()
    rate_limiter.hold(0.3)
    assert await waiting
    assert loop.time() - since == pytest.approx(0.3)


async def test_without_a_rate_nobody_waits() -> None:
    rate_limiter = RateLimiter(None)
    for _ in range(1000):
        assert await rate_limiter.turn()
    assert rate_limiter.seconds_to_wait() == 0


async def test_waking_all_gives_no_turns() -> None:
    rate_limiter = RateLimiter(0.1)
    await rate_limiter.turn()
    waiting = [asyncio.create_task(rate_limiter.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    rate_limiter.wake_all()
    assert await asyncio.gather(*waiting) == [False] * 3

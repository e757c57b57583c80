"""What hangs for ever, a look-up or an acknowledgement, holds up neither another platform nor the end."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from adapters.mqtt.notifier import Broker, MqttLimits, MqttNotifier
from tests.adapters.mqtt_fakes import QUICK, fake_broker, note_limits, notice, notifier, puback, refused, silence, until
from tests.limits import WAIT_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hung_look_up(monkeypatch: pytest.MonkeyPatch) -> Generator[threading.Event]:
    """Names that end in `.hung` are looked up for ever, until the event is set."""
    release = threading.Event()
    look_up = socket.getaddrinfo

    def hang(host: str, *rest: object, **more: object) -> object:
        if str(host).endswith(".hung"):
            release.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "released")
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield release
    release.set()


async def test_a_hung_name_look_up_delays_neither_the_loop_nor_another_platform(
    hung_look_up: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    connects = note_limits(monkeypatch, "timeout")
    async with fake_broker() as good, notifier(Broker("old", "mqtt://broker.hung:1883"), good.platform("new")) as work:
        stuck = asyncio.create_task(refused(work, "old"))
        for number in range(100):  # a loop that waited for the look-up would wait for ever
            assert await work.publish("new", notice(number), timeout_seconds=WAIT_SECONDS) == ""
            await asyncio.sleep(0.01)
        assert not stuck.done()
        connects[0].reschedule(0)  # the first platform's first
        assert "no connection was made" in str(await stuck)


async def test_hung_connects_do_not_pile_up_and_the_platform_comes_back(
    hung_look_up: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = MqttLimits(0.2, 0.1, 0.02, 0.02)

    def threads() -> int:
        return sum(thread.name == "mqtt-connect-old" for thread in threading.enumerate())

    async with notifier(Broker("old", "mqtt://broker.hung:1883"), limits=limits) as work:
        await until(lambda: "connects hang" in work.state("old"))
        assert threads() == 4
        await asyncio.sleep(0.3)
        assert threads() == 4
        hung_look_up.set()
        await until(lambda: "name" in work.state("old") and "connects hang" not in work.state("old"))


EXIT_SCRIPT = """
import asyncio, socket, sys, time
from adapters.mqtt.notifier import Broker, MqttNotifier
from orders.errors import NotAcknowledged
from tests.adapters.mqtt_fakes import QUICK, notice

socket.getaddrinfo = lambda *_, **__: time.sleep(600)

async def main():
    work = MqttNotifier([Broker("old", "mqtt://broker.example:1883")], limits=QUICK)
    try:
        await work.publish("old", notice(), timeout_seconds=0.5)
    except NotAcknowledged as error:
        print(error)
    {close}

asyncio.run(main())
"""


@pytest.mark.parametrize("close", ["await work.close()", "pass"], ids=["closed", "not closed"])
async def test_a_hung_connect_does_not_delay_the_process_exit(close: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", EXIT_SCRIPT.format(close=close)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not connected within 0.5 s" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


async def test_close_waits_for_acknowledgements_on_their_way_and_says_disconnect() -> None:
    async with fake_broker(on_publish=silence) as broker:
        work = MqttNotifier([broker.platform()], limits=QUICK)
        publishing = asyncio.create_task(work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS))
        await until(lambda: broker.published)
        closing = asyncio.create_task(work.close(30))
        await asyncio.sleep(0.05)
        assert "about to end" in str(await refused(work))
        assert not closing.done()
        broker.send(puback(0)(broker.published[0]) or b"")
        await closing
        assert await publishing == ""
        await until(lambda: broker.ends == ["DISCONNECT"])
        assert not work.is_up("fake")


async def test_close_is_bounded_whatever_the_brokers_do() -> None:
    async with fake_broker(on_connect=None) as hung, fake_broker(on_publish=silence) as silent:
        work = MqttNotifier([hung.platform("hung"), silent.platform("silent")], limits=QUICK)
        tasks = [asyncio.create_task(refused(work, name)) for name in ("hung", "silent")]
        await until(lambda: silent.published and hung.client_ids)
        async with asyncio.timeout(WAIT_SECONDS):
            await work.close(0.3)
        errors = await asyncio.gather(*tasks)
        assert all(error.retryable and "about to end" in str(error) for error in errors)


async def test_closing_twice_and_without_a_start_does_no_harm() -> None:
    async with fake_broker() as broker:
        work = MqttNotifier([broker.platform()])
        await work.close()
        await work.close()
        assert "about to end" in str(await refused(work))
        assert broker.accepted == 0

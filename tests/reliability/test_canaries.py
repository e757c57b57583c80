"""What must be nowhere is written through the whole product, with Temporal's payloads encrypted, and looked for."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import free_port
from devkit.servers.temporal import Temporal
from runtime.temporal import data_converter
from tests.reliability.commands import topup_cli
from tests.reliability.deployments import Deployment, NotShown, until
from tests.reliability.environment import Environment
from tests.reliability.personal_data_scan import Left, everything_left, found_in, secrets_of

pytestmark = pytest.mark.real

CODEC_KEY = bytes(range(100, 132))
NOTE = "canary-of-an-operators-note-4711"


@pytest.fixture
async def env(temporal_server: Temporal, mosquitto: Mosquitto) -> AsyncIterator[Environment]:
    env = Environment(temporal_server, mosquitto, None)
    await env.start()
    yield env
    await env.close()


def temporal_s_files(server: Temporal) -> list[Left]:
    return [Left(f"Temporal's {path.name}", path.read_bytes()) for path in Path(server.folder).glob("temporal.db*")]


@pytest.mark.slow
async def test_no_vehicle_no_key_and_no_note_is_left_anywhere_in_clear(
    env: Environment, temporal_server: Temporal
) -> None:
    client = await Client.connect(temporal_server.address, data_converter=data_converter(CODEC_KEY))
    key = base64.b64encode(CODEC_KEY).decode()
    deployed = Deployment(env, client, scale=0.05, TOPUP_CODEC_KEY=key)
    real_url = deployed.settings["TOPUP_CARRIER_URL"]
    try:
        worker = await deployed.process("worker", TOPUP_CARRIER_URL=f"http://127.0.0.1:{free_port()}")
        order = await env.new_order("wechat")
        await deployed.start(order)

        async def waits() -> bool:
            described = await deployed.handle(order).describe()
            return any(one.attempt > 1 for one in described.raw_description.pending_activities)

        await until(waits, "the order waits for the carrier", 60)
        asked = await topup_cli(deployed, "orders", "retry", order.order_id, "--operator", "li", "--note", NOTE)
        assert "Asking again" in asked.text, asked.text
        worker.stop()
        await deployed.process("worker", TOPUP_CARRIER_URL=real_url)
        assert (await deployed.result(order)).outcome == "delivered"

        left = [*await everything_left(deployed, [order]), *temporal_s_files(temporal_server)]
        places = " ".join(one.place for one in left)
        assert all(place in places for place in ("log", "metrics", "history", "Temporal's temporal.db", "order book"))
        secrets = secrets_of([order], deployed.settings) | {key.encode(): "TOPUP_CODEC_KEY", CODEC_KEY: "its bytes"}
        assert found_in(left, secrets) == []

        # The order book and what is shown of it hold the note, for people; nothing else does.
        note = {NOTE.encode(): "the note"}
        for_people = ("the order book's file", "topup orders show")
        assert {said.removesuffix(" holds the note") for said in found_in(left, note)} <= set(for_people)
        assert found_in([one for one in left if one.place == for_people[0]], note)
        assert order.order_id.encode() in b"".join(one.data for one in temporal_s_files(temporal_server)), "it is read"
    except (NotShown, TimeoutError) as error:
        raise AssertionError(f"{error}\n{deployed.logs()}") from error
    finally:
        await deployed.close()

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import cast

import pytest
from temporalio.testing import TimeSkipper

from orders.paid_order import PaidOrder
from tests.workflows.world import new_world

_numbers = itertools.count(1)


def paid_order(number: int | None = None, **changes: object) -> PaidOrder:
    name = f"TSAGA{number or next(_numbers):08}"
    record = {
        "schema": "topup.paid-order/1",
        "order_id": name,
        "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
        "package_id": "CT-DATA-10GB-30D",
        "amount_fen": 9900,
        "currency": "CNY",
        "payment": {
            "provider": "wechat",
            "merchant_id": "1900000109",
            "out_trade_no": name,
            "transaction_id": f"42{name}",
            "paid_at": "2023-08-21T18:33:55+08:00",
        },
    }
    return PaidOrder.model_validate({**record, **changes})


AT_ONCE = 16


@pytest.fixture(scope="module")
async def scenarios(
    request: pytest.FixtureRequest, time_skipping_env: TimeSkipper, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, "asyncio.Task[None]"]]:
    """The module's selected scenarios, side by side: each skip of time costs about a second of waiting, not of work."""
    places = asyncio.Semaphore(AT_ONCE)

    async def play(item: pytest.Function) -> None:
        marked = item.get_closest_marker("scenario")
        assert marked is not None
        arguments = {name: value for name, value in item.callspec.params.items() if name != "local_first"}
        async with places:
            folder = tmp_path_factory.mktemp("scenario")
            local_first = item.callspec.params["local_first"]
            async with new_world(time_skipping_env, folder, paid_order(), local_first=local_first) as world:
                await marked.args[0](world, **arguments)

    items = [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
    chosen = [item for item in items if item.get_closest_marker("scenario")]
    tasks = {item.nodeid: asyncio.create_task(play(cast("pytest.Function", item))) for item in chosen}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)

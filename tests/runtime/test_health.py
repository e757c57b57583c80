import asyncio

import pytest

from runtime import health as module
from runtime.health import Health, export_parts
from runtime.metrics import Metrics
from tests.limits import WAIT_SECONDS


async def well() -> str | None:
    return None


async def away() -> str | None:
    raise OSError("the database at postgresql://u:pw@db/topup is away")


async def test_a_process_is_ready_from_started_to_stopping():
    health = Health()
    assert not (await health.report()).ready
    health.starting("Waiting for Temporal.")
    report = await health.report()
    assert (report.ready, report.checks[0]["sentence"]) == (False, "Waiting for Temporal.")
    health.started()
    assert (await health.report()).ready
    health.stopping()
    health.started()
    report = await health.report()
    assert (report.ready, report.checks[0]["sentence"]) == (False, "The process is stopping.")


async def test_a_required_part_that_is_away_makes_the_process_unready_and_says_so():
    health = Health()
    health.started()
    health.require("database", away)
    report = await health.report()
    assert not report.ready
    assert report.checks[1] == {
        "name": "database",
        "required": True,
        "ok": False,
        "sentence": "the database at postgresql://[secret]@db/topup is away",
    }


async def test_a_named_part_that_is_away_is_shown_and_changes_nothing():
    health = Health()
    health.started()
    health.require("database", well)
    health.name("broker cars", away)
    report = await health.report()
    assert report.ready
    assert [(c["name"], c["required"], c["ok"]) for c in report.checks] == [
        ("process", True, True),
        ("database", True, True),
        ("broker cars", False, False),
    ]


async def test_a_part_that_never_answers_is_away_and_delays_no_other(monkeypatch):
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    at_once, most_at_once = 0, 0

    async def hangs() -> str | None:
        nonlocal at_once, most_at_once
        at_once += 1
        most_at_once = max(most_at_once, at_once)
        try:
            await asyncio.Event().wait()
        finally:
            at_once -= 1

    health = Health()
    health.started()
    for part in range(20):
        health.require(f"part {part}", hangs)
    report = await asyncio.wait_for(health.report(), WAIT_SECONDS)
    assert most_at_once == 20
    assert {check["sentence"] for check in report.checks[1:]} == {"no answer in time"}


async def test_a_check_may_remark():
    async def remarks() -> str | None:
        return "12 partitions"

    health = Health()
    health.require("kafka", remarks)
    assert (await health.report()).checks[1]["sentence"] == "12 partitions"


@pytest.mark.parametrize("name", ["require", "name"])
async def test_a_check_registered_again_replaces_the_first(name):
    health = Health()
    health.started()
    health.require("temporal", away)
    getattr(health, name)("temporal", well)
    assert (await health.report()).ready


async def test_a_part_that_fails_its_check_is_down_in_the_metrics_too():
    health, metrics = Health(), Metrics()
    health.name("carrier", away)
    health.require("database", well)
    health.started()
    exporting = asyncio.create_task(export_parts(health, metrics))
    async with asyncio.timeout(WAIT_SECONDS):
        while 'part="process"' not in metrics.exposition().decode():
            await asyncio.sleep(0)
    exporting.cancel()

    exposed = metrics.exposition().decode()
    assert 'topup_part_up{part="carrier"} 0.0' in exposed
    assert 'topup_part_up{part="database"} 1.0' in exposed
    assert 'topup_part_up{part="process"} 1.0' in exposed

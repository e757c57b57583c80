"""What continuous integration runs of the crash matrix; the whole is `python -m tests.reliability --full --seeds 3`.

Each point of an order's way is hit once with kill -9, some also with a lost answer and a freeze; the bridge between
claim, start and commit; the incident; a run terminated or deleted in each state. The books of the outside world judge.
"""

import asyncio
from collections.abc import Mapping

import pytest

from devkit.audit.rules import RULES
from tests.reliability.matrix import representative_names
from tests.reliability.running import Runner, Shown, judge_whole

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("job", representative_names())
async def test_every_rule_holds(job: str, jobs: Mapping[str, "asyncio.Task[Shown]"]) -> None:
    shown = await jobs[job]
    broken = [f"{one.rule}: {one.sentence}" for one in shown.report.violations]
    assert not broken, "\n".join([*broken, shown.logs])
    assert set(RULES) <= set(shown.report.runs), "the auditor judged nothing"


async def test_the_whole_adds_up(runner: Runner, jobs: Mapping[str, "asyncio.Task[Shown]"]) -> None:
    """Over all orders of this session: nothing that nobody paid, money conserved, the books' chains whole."""
    await asyncio.gather(*jobs.values())
    assert runner.paid, "no job ran"
    report = await judge_whole(runner)
    assert report.violations == []

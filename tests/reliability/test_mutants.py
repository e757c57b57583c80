"""The matrix catches a product that is wrong: each mutant breaks, in a real run, the rule that it should."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.reliability.mutants.drills import DRILL_MUTANTS
from tests.reliability.mutants.matrix import MUTANTS
from tests.reliability.running import Shown

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("mutant", MUTANTS)
async def test_a_wrong_product_is_caught(mutant: str, caught: Mapping[str, "asyncio.Task[Shown]"]) -> None:
    shown = await caught[mutant]
    assert MUTANTS[mutant].rule in {violation.rule for violation in shown.report.violations}, shown.report.violations


@pytest.mark.parametrize("mutant", DRILL_MUTANTS)
async def test_a_drill_catches_what_it_is_there_for(mutant: str, caught: Mapping[str, "asyncio.Task[Shown]"]) -> None:
    shown = await caught[mutant]
    assert DRILL_MUTANTS[mutant].rule in {violation.rule for violation in shown.report.violations}, shown.report

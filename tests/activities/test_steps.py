"""Each step of the saga has its activity, which takes and gives what the step says."""

from typing import Any, get_type_hints

import pytest

from activities.notifying import NotifyingActivities
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.telecom import TelecomActivities
from workflows.steps import STEPS, Step

ACTIVITIES: dict[str, Any] = {
    name: method
    for kind in (TelecomActivities, RecordingActivities, RefundingActivities, NotifyingActivities)
    for name, method in vars(kind).items()
    if not name.startswith("_") and callable(method)
}


def test_no_step_is_there_twice():
    assert len({step.name for step in STEPS}) == len(STEPS)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_a_step_is_an_activity_of_its_name_that_takes_and_gives_what_the_step_says(step: Step[Any, Any]):
    hints = get_type_hints(ACTIVITIES[step.name])

    assert hints.pop("return") == step.gives
    assert list(hints.values()) == [step.takes]

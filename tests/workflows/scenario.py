"""`@scenario` makes a test of `async def test_…(world, …)` that runs beside all others (see `conftest.scenarios`)."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Story = Callable[..., Awaitable[None]]


def scenario(story: Story) -> Callable[..., Any]:
    """Both ways of running steps are played: local first, and at length every step regular."""
    names = [name for name in inspect.signature(story).parameters if name != "world"]

    async def test(request: pytest.FixtureRequest, scenarios: dict[str, Any], **_arguments: object) -> None:
        await scenarios[request.node.nodeid]

    test.__name__ = story.__name__
    test.__doc__ = story.__doc__
    test.__module__ = story.__module__
    kept = inspect.Parameter.POSITIONAL_OR_KEYWORD
    test.__signature__ = inspect.Signature(
        [inspect.Parameter(name, kept) for name in ("request", "scenarios", "local_first", *names)]
    )
    for mark in getattr(story, "pytestmark", []):
        getattr(pytest.mark, mark.name)(*mark.args, **mark.kwargs)(test)
    ways = [pytest.param(True, id="local-first"), pytest.param(False, id="all-regular", marks=pytest.mark.long)]
    pytest.mark.parametrize("local_first", ways)(test)
    pytest.mark.scenario.with_args(story)(test)
    return test


def story_of(test: Callable[..., Any]) -> Story:
    """The story that `@scenario` made `test` of."""
    return next(mark.args[0] for mark in test.pytestmark if mark.name == "scenario")

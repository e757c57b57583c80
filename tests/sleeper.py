"""A workflow for tests of Temporal itself.

In a module of its own: the workflow sandbox imports the module again with all that it imports, and a C extension like
asyncpg's, once initialised a second time, kills the process later (seen: SIGSEGV at the next connection).
"""

import contextlib

from temporalio import workflow


@workflow.defn
class Sleeper:
    """Sleeps as long as it is told, or until it is woken."""

    def __init__(self) -> None:
        self._woken = False

    @workflow.run
    async def run(self, seconds: float) -> str:
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._woken, timeout=seconds)
        return "woken" if self._woken else "slept"

    @workflow.signal
    def wake(self) -> None:
        self._woken = True

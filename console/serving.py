"""`topup serve`: bridge and worker in one process, on one client and one order book."""

import asyncio
from collections.abc import Mapping
from typing import NoReturn

from adapters.order_book.field_cipher import FieldCipher
from adapters.otlp.lines import name_traces
from bridge.policies import LEAVE_SECONDS, SETTLE_SECONDS
from bridge.process import Bridge
from configuration.processes import ServeSettings
from runtime.exits import EXIT_OK
from runtime.process import GRACE_SECONDS, ProcessContext, run
from runtime.temporal import wait_for_temporal
from workers.composition import open_dependencies
from workers.differences import CountingDifferences
from workers.holding import counting_turned_away
from workers.process import LONGEST_SHUTDOWN_SECONDS, run_workers
from workers.steps_taken import StepsTaken

assert SETTLE_SECONDS + LONGEST_SHUTDOWN_SECONDS < GRACE_SECONDS, "the bridge starts nothing more, then the worker ends"
assert SETTLE_SECONDS + LEAVE_SECONDS < GRACE_SECONDS, "meanwhile the bridge leaves its group"


def main(environ: Mapping[str, str] | None = None) -> NoReturn:
    """Run both until SIGTERM; see `runtime.process.run` for exit codes."""
    run(ServeSettings, serve, environ=environ)


async def serve(context: ProcessContext[ServeSettings]) -> int:
    """Wait for Temporal and the database, then read, claim, start and work until `context.stop`."""
    settings = context.settings
    name_traces(settings)
    client = await wait_for_temporal(settings, context.stop, on_wait=context.health.starting, measured=True)
    counting, steps = CountingDifferences(context.metrics), StepsTaken(context.metrics)
    turned_away = counting_turned_away(context.metrics)
    async with open_dependencies(settings, lambda: client, counting, steps, turned_away) as dependencies:
        await context.wait_for("the order book's database", dependencies.book.ping)
        # A versioned worker takes no task but by the queue, which alone knows what version a run belongs to.
        eager_start = not settings.worker_build_id
        cipher = FieldCipher(*settings.pii_keys)
        bridge = Bridge(context, dependencies.book, cipher, client, eager_start=eager_start)
        work = run_workers(context, client, dependencies, bridge.settled, eager_start=eager_start)
        working = asyncio.create_task(work, name="workers")
        working.add_done_callback(lambda _: context.stop.set())  # where it has failed, the bridge leaves in order
        try:
            await bridge.run()  # its checks of Temporal and the database replace the worker's: they know of outages too
        finally:
            bridge.settled.set()
            await working
    return EXIT_OK

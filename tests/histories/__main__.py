"""Records the histories anew: `python -m tests.histories [NAME …]`.

Only for a changed saga whose old runs are all gone, or for a new way to an end: what is committed stands for runs that
are open somewhere. A change that breaks a replay needs `workflow.patched` instead.
"""

import asyncio
import json
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from temporalio.testing import TimeSkipper, TimeSkippingConfig

from tests.histories import FOLDER, FORGOTTEN
from devkit.servers.process import watchdog
from devkit.servers.temporal import Temporal
from tests.workflows import test_goodwill as goodwill
from tests.workflows import test_saga as saga
from tests.workflows import test_saga_flat as flat
from tests.workflows import test_saga_local_limits as limits
from tests.workflows import test_saga_notices as notices
from tests.workflows import test_saga_operators as operators
from tests.workflows import test_saga_refunds as refunds
from tests.workflows import test_saga_restored as restored
from tests.workflows import test_saga_two_persons as two_persons
from tests.workflows.conftest import paid_order
from tests.workflows.fakes import BROKEN, UNANSWERED
from tests.workflows.scenario import story_of
from tests.workflows.world import World, new_world

STORIES: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "delivered": (saga.test_a_delivered_order_is_posted_once_and_every_platform_is_told, {}),
    "delivered_after_doubt": (
        saga.test_a_carrier_that_acted_and_did_not_say_so_is_asked_never_posted_again,
        {"answer": UNANSWERED},
    ),
    "delivered_by_a_second_post": (
        saga.test_a_carrier_that_did_not_act_gets_the_same_body_again_after_an_empty_answer_that_counts,
        {"answer": BROKEN, "earliest_seconds": 15},
    ),
    "delivered_after_an_outage": (
        saga.test_a_connection_that_was_never_made_is_no_post_and_the_order_waits_out_the_outage,
        {},
    ),
    "refunded_after_refusal": (saga.test_a_refused_order_is_refunded_in_full_and_told_twice, {}),
    "burnt_and_refunded": (saga.test_an_order_that_the_carrier_never_takes_in_is_burnt_then_refunded, {}),
    "reopened": (saga.test_a_reopened_run_asks_the_carrier_before_it_sends_anything, {}),
    "cancelled_before_any_post": (operators.test_a_cancel_while_nothing_was_sent_burns_at_once_and_refunds, {}),
    "cancelled_in_doubt": (
        operators.test_a_cancel_in_doubt_of_an_order_that_never_arrived_burns_after_the_date_and_refunds,
        {},
    ),
    "parked_then_delivered": (operators.test_a_partial_order_is_parked_at_once_and_resolved_as_delivered, {}),
    "parked_then_not_delivered": (
        operators.test_resolve_not_delivered_needs_the_carriers_reference_while_the_carrier_shows_the_order,
        {},
    ),
    "flat_parked_then_not_delivered": (
        flat.test_not_delivered_counts_once_a_flat_post_can_act_no_more_and_then_refunds,
        {},
    ),
    "flat_answered_late": (
        flat.test_a_flat_answer_that_comes_late_is_booked_and_gone_on_by_without_a_person,
        {"answer": None, "outcome": "delivered"},
    ),
    "refund_lost_and_sent_again": (refunds.test_a_refund_that_got_lost_is_sent_again_under_the_same_number, {}),
    "refund_held": (refunds.test_a_refund_without_balance_calls_an_operator_and_goes_on_under_the_same_number, {}),
    "refund_closed": (refunds.test_a_closed_refund_goes_on_under_a_new_number_after_a_second_look, {}),
    "refund_denied_then_resolved": (
        refunds.test_a_refund_that_the_provider_denies_waits_for_an_operators_word_and_a_last_query,
        {},
    ),
    "goodwill": (goodwill.test_a_part_is_given_back_once_though_the_answer_is_lost_and_the_order_stays_delivered, {}),
    "two_persons_then_refunded": (
        two_persons.test_not_delivered_takes_effect_when_another_operator_says_it_too,
        {},
    ),
    "restored_book_asked_first": (restored.test_a_new_order_costs_one_get_and_is_not_shown_as_doubtful, {}),
    "restored_book_under_a_refund": (
        restored.test_a_run_that_refunds_under_a_book_that_has_forgotten_why_asks_both_again,
        {},
    ),
    "restored_book_under_a_notice": (
        restored.test_an_order_that_was_sold_in_the_lost_time_is_found_and_not_sent_again,
        {},
    ),
    "local_try_timed_out": (
        limits.test_a_local_try_that_timed_out_goes_on_as_a_regular_step_in_a_replay_too,
        {},
    ),
    "notice_given_up": (notices.test_a_platform_that_stays_dead_past_the_message_expiry_is_given_up, {}),
}


async def record(names: list[str]) -> None:
    """Play each story both ways and write its histories."""
    server = Temporal(in_memory=True, time_skipping=True).start()
    try:
        env = TimeSkipper(await server.connect(), config=TimeSkippingConfig(enabled=False))
        for name in names or STORIES:
            test, arguments = STORIES[name]
            for local_first in (True, False):
                await _play(env, name, story_of(test), arguments, local_first=local_first)
    finally:
        server.close()


async def _play(
    env: TimeSkipper, name: str, story: Callable[..., Awaitable[None]], arguments: dict[str, Any], *, local_first: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with new_world(env, Path(folder), paid_order(), local_first=local_first) as world:
            await story(world, **arguments)
        way = "local_first" if local_first else "all_regular"
        for number, text in enumerate([await _history(world, at) for at in range(len(world.handles))], start=1):
            path = FOLDER / f"{name}-{way}{'' if number == 1 else f'-{number}'}.json"
            path.write_text(text)
            print(path.name, flush=True)  # noqa: T201 - progress


async def _history(world: World, at: int) -> str:
    """As JSON, without the names of the machine that recorded it: its worker, its folders. No replay reads them."""
    history = json.loads((await world.handles[at].fetch_history()).to_json())
    _forget_the_machine(history)
    return json.dumps(history, indent=1, sort_keys=True).replace(socket.gethostname(), "recorded") + "\n"


def _forget_the_machine(part: Any) -> None:
    if isinstance(part, list):
        for item in cast("list[Any]", part):
            _forget_the_machine(item)
    elif isinstance(part, dict):
        for name, value in cast("dict[str, Any]", part).items():
            if name in FORGOTTEN:
                part[name] = FORGOTTEN[name]
            else:
                _forget_the_machine(value)


if __name__ == "__main__":
    try:
        asyncio.run(record(sys.argv[1:]))
    finally:
        watchdog.close()

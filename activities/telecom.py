"""The steps at the carrier: place, query, burn. Each looks in the order book first and books what it hears."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from temporalio import activity

from activities.call_gate import Stopped
from activities.context import AttemptTimeout, is_local, raise_retryable
from activities.order_desk import Decided, OrderDesk, unless_seen
from activities.ports import Carrier, StoredOrder
from orders import carrier_rules
from orders.carrier_rules import PostAuthorized
from orders.errors import Unavailable
from orders.holds import Part
from orders.identities import carrier_serial
from orders.next_step import AskPerson, CancelAtCarrier, QueryCarrier, Submit, can_be_asked
from orders.outcomes import CarrierAnswer, Completed, InDoubt, NotFound, Refused
from orders.state import OrderState
from orders.time_scale import scaled
from workflows import policies, steps
from workflows.policies import LOCAL_ANSWER_SECONDS
from workflows.steps import OrderRequest, Progress

_log = logging.getLogger(__name__)
CARRIER: Final[Part] = "carrier"


class TelecomActivities:
    """Place, query and burn at one carrier."""

    def __init__(self, carrier: Carrier, desk: OrderDesk) -> None:
        self._carrier = carrier
        self._desk = desk
        self._posts: dict[asyncio.Task[Decided[CarrierAnswer]], str] = {}
        """POSTs whose answer is waited for, and their orders."""
        self._stopping = False

    async def drain(self) -> None:
        """Wait for the answers of POSTs that no activity waits for any more; for a graceful stop."""
        self._stopping = True
        if self._posts:
            await asyncio.wait(self._posts)

    @activity.defn(name=steps.PLACE.name)
    async def place_telecom_order(self, request: OrderRequest) -> Progress:
        """Take the right to one POST, send it, book the answer.

        The POST goes on when this attempt ends (local limit, cancel): a slow carrier's answer is heard all the same.
        Raises only where nothing was sent, or the book was away.
        """
        order_id = request.order_id
        if (stopped := await self._desk.gate.stopped(CARRIER)) is not None:
            return await self._stopped(order_id, Submit, stopped)
        authorized = await self._authorize(order_id)
        if authorized.answer is None:
            return authorized.progress
        post = asyncio.create_task(self._post(order_id, authorized.answer))
        self._posts[post] = order_id
        post.add_done_callback(self._post_over)
        await asyncio.wait({post}, timeout=LOCAL_ANSWER_SECONDS if is_local() else None)
        if not post.done():
            return (await self._note_listening(order_id)).progress
        decided = post.result()
        if isinstance(decided.answer, InDoubt) and decided.answer.cause == "not_sent":
            raise_retryable("CarrierAway", f"Nothing was sent to the carrier: {decided.answer.why}")
        return decided.progress

    @activity.defn(name=steps.QUERY.name)
    async def query_telecom_order(self, request: OrderRequest) -> Progress:
        """Ask the carrier by our serial, until there is something new; the local try asks once.

        Where the carrier can't be asked, the book is: for a POST's answer that some worker still waits for.
        """
        read = await self._desk.read(request.order_id)
        if not can_be_asked(read.state, self._desk.times):
            return await self._listen(request)
        if read.state.carrier_outcome is not None:
            return read.progress
        if (stopped := await self._desk.gate.stopped(CARRIER)) is not None:
            return await self._stopped(request.order_id, QueryCarrier, stopped)
        posts, asked_at = read.state.posts, self._desk.clock.now()
        timeout = AttemptTimeout(self._http_seconds())
        answer = await self._carrier.query(carrier_serial(request.order_id), timeout_seconds=timeout.seconds)
        if isinstance(answer, NotFound):
            decided = await self._desk.decide(
                request.order_id,
                lambda stored, now: carrier_rules.record_not_found(
                    stored.state, now, self._desk.times, asked_at=asked_at, posts=posts
                ),
                kind="query",
                detail=lambda _: {"says": "empty"},
            )
        else:
            decided = await self._record(request.order_id, answer, kind="query")
        return self._result(request, decided, timeout)

    @activity.defn(name=steps.CANCEL.name)
    async def cancel_telecom_order(self, request: OrderRequest) -> Progress:
        """Close the row to POSTs, then burn the serial at the carrier; only a confirmed `cancelled` is a burn."""
        order_id = request.order_id
        calls = can_be_asked((await self._desk.read(order_id)).state, self._desk.times)
        if calls and (stopped := await self._desk.gate.stopped(CARRIER)) is not None:
            return await self._stopped(order_id, CancelAtCarrier, stopped)
        authorized = await self._desk.decide(
            order_id,
            lambda stored, now: carrier_rules.authorize_burn(stored.state, now, self._desk.times),
            kind="burn_intent",
            detail=lambda granted: {"burn": "granted"} if granted else {"authorized": False},
        )
        if not authorized.answer:
            return authorized.progress
        timeout = AttemptTimeout(self._http_seconds())
        answer = await self._carrier.cancel(carrier_serial(order_id), timeout_seconds=timeout.seconds)
        return self._result(request, await self._record(order_id, answer, kind="burn"), timeout)

    async def _stopped(
        self, order_id: str, step: type[Submit | QueryCarrier | CancelAtCarrier], stopped: Stopped
    ) -> Progress:
        """No call may leave now. If it is this step's turn it comes again later; what else is next goes on at once."""
        if isinstance((await self._desk.read(order_id)).progress.next, step):
            stopped.again_later()
        noted = await self._desk.decide(
            order_id,
            lambda stored, _: (carrier_rules.note_restore(stored.state, self._desk.times), None),
            kind="status",
        )
        return noted.progress

    def _result(self, request: OrderRequest, decided: Decided[CarrierAnswer], timeout: AttemptTimeout) -> Progress:
        why = decided.answer.why if isinstance(decided.answer, InDoubt) else carrier_rules.NOT_SHOWN
        if isinstance(decided.answer, InDoubt) and timeout.ran_out:
            raise_retryable("NoAnswerYet", why)
        return unless_seen(request, decided, "CarrierInDoubt", why)

    async def _authorize(self, order_id: str) -> Decided[PostAuthorized | None]:
        return await self._desk.decide(
            order_id,
            lambda stored, now: carrier_rules.authorize_post(
                stored.state, now, self._desk.times, lambda date: self._carrier.order_body(stored.order, date)
            ),
            kind="post_intent",
            detail=_authorized_detail,
        )

    def _post_over(self, post: asyncio.Task[Decided[CarrierAnswer]]) -> None:
        order_id = self._posts.pop(post)
        if not post.cancelled() and (error := post.exception()) is not None:
            _log.warning("The answer to the POST of %s was not booked; the saga goes on asking. %s", order_id, error)

    async def _post(self, order_id: str, authorized: PostAuthorized) -> Decided[CarrierAnswer]:
        def in_time() -> bool:  # asked right before the first byte leaves: this attempt may have been frozen since
            return self._desk.clock.now() <= authorized.send_before

        answer = await self._carrier.submit(authorized.body, timeout_seconds=self._http_seconds(), in_time=in_time)
        if not isinstance(answer, InDoubt) or answer.cause != "not_sent":
            return await self._record_post(order_id, answer, authorized.number)
        back = await self._desk.decide(
            order_id,
            lambda stored, _: carrier_rules.withdraw_post(stored.state, authorized),
            kind="post_not_sent",
            detail=lambda _: {"post": authorized.number},
        )
        return Decided(answer, back.state, back.progress)

    async def _record_post(
        self, order_id: str, answer: Completed | Refused | InDoubt, number: int
    ) -> Decided[CarrierAnswer]:
        """Book a POST's answer. One that can't be asked for again waits for a book that is away."""
        give_up_at = time.monotonic() + policies.ANSWER_BOOKED_WITHIN_SECONDS
        wait = policies.BOOK.first_retry_seconds
        while True:
            try:
                return await self._record(order_id, answer, kind="post", of_post=number)
            except Unavailable:
                if self._desk.times.can_be_asked:
                    raise
                if self._stopping or time.monotonic() > give_up_at:
                    self._desk.alert("carrier_answer_lost", order_id=order_id, **_answer_detail(answer))
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, policies.BOOK.longest_retry_seconds)

    async def _listen(self, request: OrderRequest) -> Progress:
        """What the book says of an order that can't be asked about; waits while its POST's answer may come."""
        noted = await self._note_listening(request.order_id)
        if is_local() or noted.progress.mark != request.seen:
            return noted.progress
        here = [post for post, of_order in self._posts.items() if of_order == request.order_id]
        if here:
            await asyncio.wait(here)
            noted = await self._note_listening(request.order_id)
        return unless_seen(request, noted, "CarrierSlow", carrier_rules.LISTENING)

    async def _note_listening(self, order_id: str) -> Decided[None]:
        """A slow carrier is doubt; where it is sure that no answer comes any more, a person is called."""
        read = await self._desk.read(order_id)
        calls = isinstance(read.progress.next, AskPerson) and read.state.attention != read.progress.next.why
        if not calls and (read.state.in_doubt_since is not None or read.state.carrier_outcome is not None):
            return Decided(None, read.state, read.progress)
        return await self._desk.decide(
            order_id, lambda stored, now: carrier_rules.note_listening(stored.state, now), kind="status"
        )

    async def _record(
        self, order_id: str, answer: Completed | Refused | InDoubt, *, kind: str, of_post: int = 0
    ) -> Decided[CarrierAnswer]:
        contradicted = False

        def rule(stored: StoredOrder, now: datetime) -> tuple[OrderState, CarrierAnswer]:
            nonlocal contradicted
            state = stored.state
            if of_post:
                after, heard = carrier_rules.record_post_response(state, now, answer, of_post)
            else:
                after, heard = carrier_rules.record_response(state, now, answer)
                after, heard = carrier_rules.carrier_gave_up(after, now, heard)
            contradicted = after.contradicted and not state.contradicted
            return after, heard

        at_least = (answer.retry_after_seconds or 0.0) if isinstance(answer, InDoubt) else 0.0
        decided = await self._desk.decide(
            order_id, rule, kind=kind, detail=lambda _: _answer_detail(answer), wait_at_least_seconds=at_least
        )
        if contradicted:
            self._desk.alert("carrier_contradicts_itself", order_id=order_id, says=answer.kind)
        if isinstance(answer, InDoubt) and answer.alert:
            self._desk.alert("carrier_refuses_us", order_id=order_id, why=answer.why)
        return decided

    def _http_seconds(self) -> float:
        return scaled(policies.PLACE_ORDER.call_seconds, self._desk.scale)


def _authorized_detail(authorized: PostAuthorized | None) -> Mapping[str, Any]:
    if authorized is None:
        return {"authorized": False}
    return {"post": authorized.number, "send_before": authorized.send_before.astimezone(UTC).isoformat()}


def _answer_detail(answer: Completed | Refused | InDoubt) -> dict[str, str]:
    match answer:
        case Completed():
            return {"says": "completed", "carrier_order_id": answer.carrier_order_id}
        case Refused():
            return {"says": "burnt" if answer.burnt else "refused", "code": answer.code}
        case InDoubt():
            return {"says": "in_doubt", "cause": answer.cause, "why": answer.why}

"""The steps at the carrier: place, query, burn. Each looks in the order book first and books what it hears."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from activities.at_most_once import book_says, listens_again_seconds
from activities.context import Alert, AttemptTimeout, is_local, raise_retryable
from activities.ports import Book, Carrier, StoredOrder
from orders import book as rules
from orders.book import BurnAuthorized, CarrierTimes, OrderState, PostAuthorized
from orders.clock import Clock
from orders.errors import Unavailable
from orders.identities import carrier_serial
from orders.outcomes import CarrierAnswer, CarrierResult, Completed, InDoubt, NotFound, Refused
from workflows import policies, steps
from workflows.policies import LOCAL_ANSWER_SECONDS, look_pace_seconds, scaled
from workflows.steps import CarrierRequest

_log = logging.getLogger(__name__)
_LISTENING = "No answer yet; the worker goes on listening, and books it when it comes."


class TelecomActivities:
    """Place, query and burn at one carrier."""

    def __init__(
        self, carrier: Carrier, book: Book, clock: Clock, alert: Alert, *, times: CarrierTimes, scale: float
    ) -> None:
        self._carrier = carrier
        self._book = book
        self._clock = clock
        self._alert = alert
        self._times = times
        self._scale = scale
        self._posts: dict[asyncio.Task[CarrierAnswer], str] = {}
        """POSTs whose answer is waited for, and their orders."""
        self._stopping = False

    async def drain(self) -> None:
        """Wait for the answers of POSTs that no activity waits for any more; for a graceful stop."""
        self._stopping = True
        if self._posts:
            await asyncio.wait(self._posts)

    @activity.defn(name=steps.PLACE)
    async def place_telecom_order(self, ask: CarrierRequest) -> CarrierResult:
        """Take the right to one POST, send it, book the answer.

        The POST goes on when this attempt ends (local limit, cancel): a slow carrier's answer is heard all the same.
        Raises only where nothing was sent, or the book was away.
        """
        granted = await self._book.decide(
            ask.order_id,
            lambda record: rules.authorize_post(
                record.state,
                self._clock.now(),
                self._times,
                lambda date: self._carrier.order_body(record.order, date),
                ask.evidence,
            ),
            kind="post_intent",
            detail=_grant_detail,
        )
        if not isinstance(granted, PostAuthorized):
            return await self._says(ask.order_id, granted)
        post = asyncio.create_task(self._post(ask.order_id, granted))
        self._posts[post] = ask.order_id
        post.add_done_callback(self._post_over)
        await asyncio.wait({post}, timeout=LOCAL_ANSWER_SECONDS if is_local() else None)
        if not post.done():
            return await self._says(ask.order_id, InDoubt(cause="listening", why=_LISTENING))
        answer = post.result()
        if isinstance(answer, InDoubt) and answer.cause == "not_sent":
            raise_retryable("CarrierAway", f"Nothing was sent to the carrier: {answer.why}")
        return await self._says(ask.order_id, answer)

    @activity.defn(name=steps.QUERY)
    async def query_telecom_order(self, ask: CarrierRequest) -> CarrierResult:
        """Ask the carrier by our serial until there is something to decide; the local try asks once.

        Where the carrier can't be asked, the book is: for a POST's answer that some worker still waits for.
        """
        record = await self._book.read(ask.order_id)
        if not rules.can_be_asked(record.state, self._times):
            return await self._listen(ask.order_id)
        if (word := rules.final_outcome(record.state)) is not None:
            return CarrierResult(answer=word)
        posts, asked_at = record.state.posts, self._clock.now()
        timeout = AttemptTimeout(self._http_seconds())
        answer = await self._carrier.query(carrier_serial(ask.order_id), timeout_seconds=timeout.seconds)
        boundary: datetime | None = None
        if isinstance(answer, NotFound):
            empty = NotFound(posts=posts, asked_at=asked_at.timestamp())
            weighed = await self._book.decide(
                ask.order_id,
                lambda record: rules.assess_not_found(record.state, self._clock.now(), self._times, empty),
                kind="query",
                detail=lambda weighed: {"says": "empty", "means": weighed.answer.kind},
            )
            heard, boundary = weighed.answer, weighed.look_again_at
        else:
            heard = await self._hear(ask.order_id, answer, kind="query")
        if isinstance(heard, InDoubt) and timeout.ran_out:
            raise_retryable("NoAnswerYet", heard.why)
        says = await self._says(ask.order_id, heard, boundary=boundary)
        shown = ask.insist or not (isinstance(heard, InDoubt) and heard.cause == "partial")
        if isinstance(heard, InDoubt) and shown and not is_local() and not ask.once:
            raise_retryable("CarrierInDoubt", heard.why, after_seconds=says.next_look_seconds)
        return says

    @activity.defn(name=steps.BURN)
    async def cancel_telecom_order(self, ask: CarrierRequest) -> CarrierResult:
        """Close the row to POSTs, then burn the serial at the carrier; only a confirmed `cancelled` is a burn."""
        granted = await self._book.decide(
            ask.order_id,
            lambda record: rules.authorize_burn(record.state, self._clock.now(), self._times),
            kind="burn_intent",
            detail=_grant_detail,
        )
        if not isinstance(granted, BurnAuthorized):
            return await self._says(ask.order_id, granted)
        timeout = AttemptTimeout(self._http_seconds())
        answer = await self._carrier.cancel(carrier_serial(ask.order_id), timeout_seconds=timeout.seconds)
        heard = await self._hear(ask.order_id, answer, kind="burn")
        if isinstance(heard, InDoubt) and timeout.ran_out:
            raise_retryable("NoAnswerYet", heard.why)
        says = await self._says(ask.order_id, heard)
        if isinstance(heard, InDoubt) and heard.cause in ("not_sent", "unanswered") and not is_local():
            raise_retryable("CarrierInDoubt", heard.why, after_seconds=says.next_look_seconds)
        return says

    def _post_over(self, post: asyncio.Task[CarrierAnswer]) -> None:
        order_id = self._posts.pop(post)
        if not post.cancelled() and (error := post.exception()) is not None:
            _log.warning("The answer to the POST of %s was not booked; the saga goes on asking. %s", order_id, error)

    async def _post(self, order_id: str, granted: PostAuthorized) -> CarrierAnswer:
        def in_time() -> bool:  # asked right before the first byte leaves: this attempt may have been frozen since
            return self._clock.now() <= granted.send_before

        answer = await self._carrier.submit(granted.body, timeout_seconds=self._http_seconds(), in_time=in_time)
        if isinstance(answer, InDoubt) and answer.cause == "not_sent":
            await self._book.decide(
                order_id,
                lambda record: rules.withdraw_post(record.state, granted),
                kind="post_not_sent",
                detail=lambda _: {"post": granted.number},
            )
            return answer
        return await self._hear_post(order_id, answer, granted.number)

    async def _hear_post(self, order_id: str, answer: CarrierAnswer, number: int) -> CarrierAnswer:
        """Book a POST's answer. One that can't be asked for again waits for a book that is away."""
        give_up_at = time.monotonic() + policies.ANSWER_BOOKED_WITHIN_SECONDS
        wait = policies.BOOK.first_retry_seconds
        while True:
            try:
                return await self._hear(order_id, answer, kind="post", of_post=number)
            except Unavailable:
                if self._times.can_be_asked:
                    raise
                if self._stopping or time.monotonic() > give_up_at:
                    self._alert("carrier_answer_lost", order_id=order_id, **_answer_detail(answer))
                    raise
            await asyncio.sleep(wait)
            wait = min(wait * 2, policies.BOOK.longest_retry_seconds)

    async def _listen(self, order_id: str) -> CarrierResult:
        """What the book says of an order that can't be asked about; waits while its POST's answer may come."""
        here = [post for post, of_order in self._posts.items() if of_order == order_id]
        if here:
            await asyncio.wait(here, timeout=LOCAL_ANSWER_SECONDS if is_local() else None)
        says = await self._book_says(order_id)
        if isinstance(says.answer, InDoubt) and says.answer.cause == "listening" and not is_local():
            entry = (await self._book.read(order_id)).state
            wait = listens_again_seconds(entry, self._clock.now(), self._times, self._scale)
            raise_retryable("CarrierSlow", says.answer.why, after_seconds=wait)
        return says

    async def _book_says(self, order_id: str) -> CarrierResult:
        def look(record: StoredOrder) -> tuple[OrderState, CarrierResult]:
            return book_says(record.state, self._clock.now(), self._times, self._scale)

        record = await self._book.read(order_id)
        after, says = look(record)
        if after == record.state:
            return says
        return await self._book.decide(
            order_id, look, kind="perhaps_sent", detail=lambda says: _answer_detail(says.answer)
        )

    async def _hear(
        self, order_id: str, answer: CarrierAnswer, *, kind: str, of_post: int = 0
    ) -> Completed | Refused | InDoubt | NotFound:
        def rule(entry: OrderState) -> tuple[OrderState, tuple[CarrierAnswer, bool]]:
            after, heard = rules.record_response(entry, self._clock.now(), answer, of_post=of_post)
            if isinstance(heard, InDoubt) and not of_post:
                after, heard = rules.carrier_gave_up(after, self._clock.now(), heard)
            return after, (heard, after.contradicted and not entry.contradicted)

        heard, contradicted = await self._book.decide(
            order_id, lambda record: rule(record.state), kind=kind, detail=lambda _: _answer_detail(answer)
        )
        if contradicted:
            self._alert("carrier_contradicts_itself", order_id=order_id, says=answer.kind)
        if isinstance(answer, InDoubt) and answer.alert:
            self._alert("carrier_refuses_us", order_id=order_id, why=answer.why)
        return heard

    async def _says(self, order_id: str, answer: CarrierAnswer, *, boundary: datetime | None = None) -> CarrierResult:
        """The answer, with the moment of the next look where it settles nothing, or for whom it waits."""
        if not isinstance(answer, InDoubt):
            return CarrierResult(answer=answer)
        entry = (await self._book.read(order_id)).state
        if not rules.can_be_asked(entry, self._times):
            return await self._book_says(order_id)
        now = self._clock.now()
        age = (now - (entry.last_post_at or entry.claimed_at)).total_seconds()
        wait = look_pace_seconds(age, self._scale)
        if boundary is not None:
            wait = min(wait, max((boundary - now).total_seconds(), policies.SHORTEST_SECONDS))
        return CarrierResult(answer=answer, next_look_seconds=max(wait, answer.retry_after_seconds or 0))

    def _http_seconds(self) -> float:
        return scaled(policies.PLACE_ORDER.call_seconds, self._scale)


def _grant_detail(granted: object) -> Mapping[str, Any]:
    match granted:
        case PostAuthorized():
            return {"post": granted.number, "send_before": granted.send_before.astimezone(UTC).isoformat()}
        case BurnAuthorized():
            return {"burn": "granted"}
        case Completed() | Refused() | InDoubt() | NotFound():
            return _answer_detail(granted)
        case _:
            return {}


def _answer_detail(answer: CarrierAnswer) -> Mapping[str, Any]:
    match answer:
        case Completed():
            return {"says": "completed", "carrier_order_id": answer.carrier_order_id}
        case Refused():
            return {"says": "burnt" if answer.burnt else "refused", "code": answer.code}
        case InDoubt():
            return {"says": "in_doubt", "cause": answer.cause, "why": answer.why}
        case NotFound():
            return {"says": "empty"}

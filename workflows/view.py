"""What an operator sees of a run: status, search attributes, labelled timers, details with the commands valid now."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from orders.lifecycle import Status
from orders.outcomes import ManualResolution
from workflows.durable import Stage, Steps
from workflows.policies import LABEL_SECONDS, PARK_AFTER_SECONDS, TROUBLE_AFTER_SECONDS, scaled
from workflows.steps import (
    NEEDS_OPERATOR,
    RECORD_STATUS,
    STATUS,
    Recorded,
    StatusNote,
    TopUpInput,
    TopUpState,
)

LABEL_CHARACTERS: Final = 120
"""What a bar of the Web UI's timeline shows of a timer's label (seen)."""
_SIGNED: Final = '{"operator": "YOUR NAME", "note": "WHY"}'
CARRIER_SILENT: Final = "the carrier has settled nothing for 24 h"


class View:
    """The visible side of one run; nothing of the money rests on it."""

    def __init__(self, order: TopUpInput, steps: Steps) -> None:
        self._order = order
        self._steps = steps
        self.status: Status = "placing"
        self.reason = ""
        self.needs_operator = False
        self.notices: dict[str, dict[str, str]] = {}
        self.proposal = ""
        self.person: ManualResolution | None = None
        """The carrier can't be asked; what a person needs to know of it."""
        self.reference = ""
        """The carrier's own number of the order, once it has told it."""
        self._trouble_since: float | None = None
        self._word_known = False
        self._paid_another_way = False

    def state(self) -> TopUpState:
        """The answer of the query `status`."""
        return TopUpState(
            order_id=self._order.order_id,
            state=self.status,
            reason=self.reason,
            needs_operator=self.needs_operator,
            notices=self.notices,
            proposal=self.proposal,
        )

    def propose(self, proposal: str) -> None:
        """Show what the first of two persons proposes, or that nobody does (any more)."""
        if proposal != self.proposal:
            self.proposal = proposal
            workflow.set_current_details(self._details())

    def paid_another_way(self) -> None:
        """An operator's `resolve refunded` stands in the book: nobody else is to pay it again."""
        self._paid_another_way = True
        self.show()

    async def enter(self, status: Status, reason: str = "", *, needs_operator: bool = False) -> None:
        """Show a new place, here and in the book. An end and the refund's start stand in the book already."""
        if (status, reason, needs_operator) == (self.status, self.reason, self.needs_operator):
            return
        if status in ("delivered", "refunded"):
            self.proposal = ""
        attributes_change = (status, needs_operator) != (self.status, self.needs_operator)
        self.status, self.reason, self.needs_operator = status, reason, needs_operator
        if attributes_change:
            updates: list[SearchAttributeUpdate[Any]] = [
                STATUS.value_set(status),
                NEEDS_OPERATOR.value_set(needs_operator),
            ]
            workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - the SDK's own type
        self.show()
        if status in ("in_doubt", "parked") or needs_operator:
            note = StatusNote(
                order_id=self._order.order_id, status=status, reason=reason, needs_operator=needs_operator
            )
            await self._steps.record(RECORD_STATUS, note, Recorded)

    async def wait_for_a_person(self, why: str, person: ManualResolution) -> str:
        """Parked at once, and for as long as it takes. Returns the label of the timer to wait with."""
        self.person = person
        await self.enter("parked", why, needs_operator=True)
        self.show()  # what is valid changes with time
        return label(
            f"PARKED: ask the carrier's desk about {self._order.order_id}, then Send an Update > resolve. {why}"
        )

    def show(self) -> None:
        """Write what the Web UI and `topup orders show` tell an operator."""
        workflow.set_current_details(self._details())

    def carrier_stage(self) -> Stage:
        """Waiting for the carrier: quiet, then shown as trouble, then parked while the saga goes on asking."""

        async def park() -> None:
            await self.enter("parked", CARRIER_SILENT, needs_operator=True)

        if self.needs_operator:
            what = f"Ask the carrier for {self._order.order_id}, then Send an Update > resolve"
            return Stage(label(f"PARKED: {self.reason}. {what}"), LABEL_SECONDS)
        return self._stage("carrier", PARK_AFTER_SECONDS, park)

    def refund_stage(self) -> Stage:
        """Waiting for the payment provider: there is no end, only a person who may be needed."""
        if self.needs_operator:
            return Stage(label(f"REFUND WAITS FOR YOU: {self.reason}"), LABEL_SECONDS)
        return self._stage("payment provider", None, None)

    def carrier_has_spoken(self, *, final: bool = True) -> None:
        """The carrier's word is known (or taken back): the next trouble is another one."""
        self._trouble_since = None
        self._word_known = final
        self.person = None

    def _stage(self, whom: str, then_seconds: float | None, then: Callable[[], Awaitable[None]] | None) -> Stage:
        now = workflow.time()
        if self._trouble_since is None:
            self._trouble_since = now
        elapsed = now - self._trouble_since
        quiet = scaled(TROUBLE_AFTER_SECONDS, self._steps.scale)
        if elapsed < quiet:
            return Stage(f"Waiting for the {whom}'s answer", quiet - elapsed)
        trouble = f"RETRYING > 2 min: click the orange bar for the {whom}'s answer"
        if then is None or then_seconds is None:
            return Stage(trouble, LABEL_SECONDS)
        left = scaled(then_seconds, self._steps.scale) - elapsed
        return Stage(trouble, max(left, 1.0), then)

    def _details(self) -> str:
        """Markdown: where it stands, what to do, then only the commands that are valid now."""
        heading = f"### {self.status}" + (f": {self.reason}" if self.reason else "")
        proposal = [f"**{self.proposal}; confirm with the same update by another operator.**", ""]
        return "\n".join([heading, "", *(proposal if self.proposal else []), *self._advice()])

    def _advice(self) -> list[str]:
        order_id = self._order.order_id
        if self.status in ("delivered", "refunded"):
            return self._after_the_end()
        if self._word_known:
            return self._of_the_refund()
        if self.status == "parked" and self.person is not None:
            return self._ask_its_desk(self.person)
        if self.status == "parked":
            given_up = f"given up by the carrier: {self.reference}" if self.reference else "REFERENCE"
            number = ", the note holds its own order number" if self.reference else ", with its reference"
            return [
                f"Ask the carrier what became of `{order_id}`. Nothing is refunded before you say so.",
                "",
                *_resolve("It has delivered", "delivered", order_id),
                *_resolve(f"It has not and never will{number}", "not_delivered", order_id, given_up),
            ]
        return [
            "The carrier has not settled this order; it is asked again and again, and nothing is refunded in doubt.",
            "",
            *self._now(),
            *_command("Cancel it, and refund unless it is delivered", f'`topup orders cancel {order_id} --note "WHY"`'),
        ]

    def _of_the_refund(self) -> list[str]:
        order_id = self._order.order_id
        if self._paid_another_way:
            return ["Recorded: it was paid another way. The provider is asked a last time. **Don't pay it again.**", ""]
        if self.status == "parked":
            return [
                "The carrier will not deliver, and the payment provider denies the refund.",
                "Have it paid at the provider's merchant platform, then ask again; or pay it another way and say so.",
                "",
                *self._now(),
                *_resolve("Paid another way", "refunded", order_id),
            ]
        if self.needs_operator:
            held = "The carrier will not deliver, and the refund waits for what the heading says; then ask again."
            return [held, "", *self._now()]
        return ["The carrier will not deliver; the refund is under way. Nothing is to be done.", "", *self._now()]

    def _after_the_end(self) -> list[str]:
        pending = sorted(
            {name for states in self.notices.values() for name, state in states.items() if state == "pending"}
        )
        if not pending:
            return ["Nothing is to be done."]
        order_id = self._order.order_id
        return [
            f"The order is done. The notice waits for the MQTT platform {', '.join(pending)}.",
            "",
            *_command(
                "Publish it again now",
                f"`topup orders renotify {order_id}`",
                f"Send an Update > `renotify`: `{_SIGNED}`",
            ),
        ]

    def _ask_its_desk(self, person: ManualResolution) -> list[str]:
        order_id, package_id = self._order.order_id, self._order.package_id
        sent = f"sent {_utc(person.sent_at)}" if person.sent_at else "if it was sent at all"
        number = f" It has answered with a number of its own: `{self.reference}`." if self.reference else ""
        advice = [
            "This carrier can't be asked from here and knows no number of ours: nothing more happens by itself.",
            f"Ask its desk about the car's SIM card and the package `{package_id}`, {sent}.{number}",
            "",
            *_resolve("It has delivered", "delivered", order_id),
        ]
        if workflow.now() >= person.not_delivered_from:
            return advice + _resolve("It has not and never will", "not_delivered", order_id)
        until = _utc(person.not_delivered_from)
        return [*advice, f"**It has not:** say so after {until}; until then the POST may still act, so ask again then."]

    def _now(self) -> list[str]:
        order_id = self._order.order_id
        ways = (f"`topup orders retry {order_id}`", f"Send an Update > `retry_now`: `{_SIGNED}`")
        return _command("Ask again now", *ways)


def label(text: str) -> str:
    """A timer's label, cut where the Web UI's bar ends."""
    return text if len(text) <= LABEL_CHARACTERS else f"{text[: LABEL_CHARACTERS - 1].rstrip()}…"


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _command(when: str, *ways: str) -> list[str]:
    """What to do, and the ways of doing it. Code in the line, which wraps: the Web UI cuts blocks off (seen)."""
    return [f"**{when}:**", "", *(f"- {way}" for way in ways), ""]


def _resolve(when: str, outcome: str, order_id: str, note: str = "REFERENCE") -> list[str]:
    pasted = f'{{"operator": "YOUR NAME", "note": "{note}", "outcome": "{outcome}"}}'
    way = f'`topup orders resolve {order_id} --outcome {outcome} --note "{note}"`'
    return _command(when, way, f"Send an Update > `resolve`: `{pasted}`")

"""What an operator sees of a run: status, search attributes, labelled timers, details with the commands valid now."""

import json
from datetime import datetime
from typing import Any, Final

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from orders import shown_text
from orders.identities import goodwill_of
from orders.next_step import AskPerson, Submit
from orders.operator_rules import CARRIER_SILENT, refund_silent_for
from orders.state import Attention
from orders.time_scale import scaled
from workflows import steps
from workflows.durable import StepRunner, WaitLabel
from workflows.policies import (
    LABEL_SECONDS,
    PARK_AFTER_SECONDS,
    REFUND_SILENT_AFTER_SECONDS,
    TROUBLE_AFTER_SECONDS,
)
from workflows.requests import REQUEST
from workflows.steps import NEEDS_OPERATOR, STATUS, CallPerson, Progress, TopUpInput, TopUpState

LABEL_CHARACTERS: Final = 120
"""What a bar of the Web UI's timeline shows of a timer's label (seen)."""
REFERENCE: Final = "REFERENCE"


class View:
    """The visible side of one run; nothing of the money rests on it."""

    def __init__(self, order: TopUpInput, runner: StepRunner) -> None:
        self._order = order
        self._runner = runner
        self.progress = Progress(next=Submit(), status="placing")
        """What the newest step has said; before the first one, that the order is to be sent."""
        self.notices: dict[str, dict[str, str]] = {}
        self._waits_since: float | None = None

    def state(self) -> TopUpState:
        """The answer of the query `status`."""
        progress = self.progress
        return TopUpState(
            order_id=self._order.order_id,
            state=progress.status,
            reason=progress.reason,
            needs_operator=progress.needs_operator,
            notices=self.notices,
            proposal=progress.proposal,
        )

    def show(self, progress: Progress) -> None:
        """Show where the order stands: search attributes where they change, and the details."""
        before, self.progress = self.progress, progress
        if (before.status, before.needs_operator) != (progress.status, progress.needs_operator):
            updates: list[SearchAttributeUpdate[Any]] = [
                STATUS.value_set(progress.status),
                NEEDS_OPERATOR.value_set(progress.needs_operator),
            ]
            workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - the SDK's own type
        if before.carrier_outcome != progress.carrier_outcome or before.contradicted != progress.contradicted:
            self._waits_since = None  # the next trouble is another one
        if before != progress:
            self.refresh()

    def refresh(self) -> None:
        """Write what the Web UI and `topup orders show` tell an operator."""
        workflow.set_current_details(self._details())

    # --- the labels of timers -----------------------------------------------------------------------------------

    def waiting_label(self) -> str:
        """While the next step waits for its moment."""
        if self.progress.refund_started:
            return label("Refund is under way. ", self.progress.reason)
        return label("Next look at the carrier: ", self.progress.reason or "no answer yet")

    def parked_label(self) -> str:
        """While only a person moves the order on."""
        who = "" if self.progress.contradicted else f"ask the carrier's desk about {self._order.order_id}, then "
        return label(f"PARKED: {who}Send an Update > resolve. ", self.progress.reason)

    def wait_label(self) -> WaitLabel:
        """While a step is pending: quiet, then shown as trouble, then a person is called; the step goes on asking."""
        refunding = self.progress.refund_started
        if self.progress.needs_operator:
            then = f". Ask the carrier for {self._order.order_id}, then Send an Update > resolve"
            heading, ends = ("REFUND WAITS FOR YOU: ", "") if refunding else ("PARKED: ", then)
            return WaitLabel(label(heading, self.progress.reason, ends), LABEL_SECONDS)
        if refunding:
            after = scaled(REFUND_SILENT_AFTER_SECONDS, self._order.time_scale)
            if self.progress.refund_silent_seconds is not None:
                after = self.progress.refund_silent_seconds
            why = refund_silent_for(after / self._order.time_scale)
            return self._trouble("payment provider", "refund_silent", why, after)
        after = scaled(PARK_AFTER_SECONDS, self._order.time_scale)
        return self._trouble("carrier", "carrier_silent", CARRIER_SILENT, after)

    def _trouble(self, whom: str, attention: Attention, why: str, call_after_seconds: float) -> WaitLabel:
        now = workflow.time()
        if self._waits_since is None:
            self._waits_since = now
        elapsed = now - self._waits_since
        quiet = scaled(TROUBLE_AFTER_SECONDS, self._order.time_scale)
        if elapsed < quiet:
            return WaitLabel(f"Waiting for the {whom}'s answer", quiet - elapsed)

        async def call() -> None:
            request = CallPerson(order_id=self._order.order_id, attention=attention, why=why)
            self.show(await self._runner.record(steps.CALL_PERSON, request))

        left = call_after_seconds - elapsed
        trouble = f"RETRYING > 2 min: click the orange bar for the {whom}'s answer"
        return WaitLabel(trouble, max(left, 1.0), call)

    # --- the details --------------------------------------------------------------------------------------------

    def _details(self) -> str:
        """Markdown: where it stands, what to do, then only the commands that are valid now."""
        progress = self.progress
        reason, proposed = shown_text.markdown(progress.reason), shown_text.markdown(progress.proposal)
        heading = f"### {progress.status}" + (f": {reason}" if reason else "")
        proposal = [f"**Waits for a second person: {proposed}; confirm with the same update by another operator.**", ""]
        return "\n".join([heading, "", *(proposal if progress.proposal else []), *self._advice(progress)])

    def _advice(self, progress: Progress) -> list[str]:
        order_id = self._order.order_id
        if progress.status in ("delivered", "refunded"):
            return self._after_the_end()
        if progress.carrier_outcome and not progress.contradicted:
            return self._of_the_refund(progress)
        if isinstance(progress.next, AskPerson) and progress.next.why == "manual":
            return self._ask_its_desk(progress.next)
        if progress.status == "parked":
            reference = progress.carrier_order_id
            given_up = f"given up by the carrier: {reference}" if reference else REFERENCE
            number = ", the note holds its own order number" if reference else ", with its reference"
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

    def _of_the_refund(self, progress: Progress) -> list[str]:
        order_id, goodwill = self._order.order_id, goodwill_of(self._order.order_id)
        because = "Two persons give this back after the delivery" if goodwill else "The carrier will not deliver"
        if progress.paid_another_way:
            return ["Recorded: it was paid another way. The provider is asked a last time. **Don't pay it again.**", ""]
        if progress.status == "parked":
            return [
                f"{because}, and the payment provider denies the refund.",
                "Have it paid at the provider's merchant platform, then ask again; or pay it another way and say so.",
                "",
                *self._now(),
                *_resolve("Paid another way", "refunded", order_id),
                *(_give_up(*goodwill) if goodwill else ()),
            ]
        if progress.needs_operator:
            held = f"{because}, and the refund waits for what the heading says; then ask again."
            return [held, "", *self._now()]
        return [f"{because}; the refund is under way. Nothing is to be done.", "", *self._now()]

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
                f"Send an Update > `renotify`: `{REQUEST}`",
            ),
        ]

    def _ask_its_desk(self, person: AskPerson) -> list[str]:
        order_id, package_id = self._order.order_id, self._order.package_id
        sent = f"sent {_utc(person.sent_at)}" if person.sent_at else "if it was sent at all"
        reference = self.progress.carrier_order_id
        number = f" It has answered with a number of its own: {shown_text.code(reference)}." if reference else ""
        advice = [
            "This carrier can't be asked from here and knows no number of ours: nothing more happens by itself.",
            f"Ask its desk about the car's SIM card and the package `{package_id}`, {sent}.{number}",
            "",
            *_resolve("It has delivered", "delivered", order_id),
        ]
        not_delivered_from = person.not_delivered_from
        if not_delivered_from is None or workflow.now() >= not_delivered_from:
            return advice + _resolve("It has not and never will", "not_delivered", order_id)
        until = _utc(not_delivered_from)
        return [*advice, f"**It has not:** say so after {until}; until then the POST may still act, so ask again then."]

    def _now(self) -> list[str]:
        order_id = self._order.order_id
        ways = (f"`topup orders retry {order_id}`", f"Send an Update > `retry_now`: `{REQUEST}`")
        return _command("Ask again now", *ways)


def label(ours: str, words: str = "", ends: str = "") -> str:
    """A timer's label: our words, others' words, ours again; cut where the Web UI's bar ends. A line of Markdown."""
    said = shown_text.one_line(words, LABEL_CHARACTERS)
    room = LABEL_CHARACTERS - len(ours)
    if len(said) + len(ends) > room:
        kept = f"{said}{ends}"[: room - 1].rstrip()
        said, ends = kept[: len(said)], f"{kept[len(said) :]}…"
    return f"{ours}{shown_text.markdown(said)}{ends}".rstrip()


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def _command(when: str, *ways: str) -> list[str]:
    """What to do, and the ways of doing it. Code in the line, which wraps: the Web UI cuts blocks off (seen)."""
    return [f"**{when}:**", "", *(f"- {way}" for way in ways), ""]


def _give_up(order_id: str, number: int) -> list[str]:
    command = f'`topup orders goodwill {order_id} --give-up {number} --reason "WHY"`'
    return _command("Not to be paid after all", command)


def _resolve(when: str, outcome: str, order_id: str, note: str = REFERENCE) -> list[str]:
    """The note may hold the carrier's words: in what is pasted into a shell it is one word, in an update one text."""
    shown = shown_text.one_line(note)
    pasted = json.dumps({"operator": "YOUR NAME", "note": shown, "outcome": outcome}, ensure_ascii=False)
    command = f"topup orders resolve {order_id} --outcome {outcome} --note {shown_text.shell_word(shown)}"
    most = len(command) + len(pasted)  # both are bounded already
    update = f"Send an Update > `resolve`: {shown_text.code(pasted, most)}"
    return _command(when, shown_text.code(command, most), update)

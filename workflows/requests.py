"""Operators' updates: how they are read, what is refused by which sentence, and what the answer says.

A validator refuses from what the run knows; the order book has the last word (`orders.operator_rules`).
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError
from temporalio.exceptions import ApplicationError

from orders import shown_text
from orders.next_step import AskPerson
from orders.operator_words import MOST_CHARACTERS, why_not_kept
from workflows.steps import OperatorRequest, Progress

REQUEST: Final = '{"operator": "YOUR NAME", "note": "WHY"}'
RESOLVE: Final = '{"operator": "YOUR NAME", "note": "REFERENCE", "outcome": "delivered"}'
OUTCOMES: Final = "delivered, not_delivered or (paid another way) refunded"


def parse(given: Any) -> OperatorRequest:
    """What an operator has typed; whatever is no request is refused by a sentence."""
    try:
        return OperatorRequest.model_validate(given)
    except ValidationError as error:
        raise _refused(f"Send one JSON object whose members are texts: {REQUEST}") from error


def of_cancel(reason: str | None) -> OperatorRequest:
    """`NAME: WHY`, as `topup orders cancel` says it; every other way of cancelling names nobody.

    No validator has looked at it, and a cancel can't be refused: what can't be kept is made so that it can.
    """
    operator, _, note = (reason or "").partition(": ")
    if note:
        return OperatorRequest(
            operator=shown_text.one_line(operator, MOST_CHARACTERS["operator"]),
            note=shown_text.one_line(note, MOST_CHARACTERS["note"]),
        )
    return OperatorRequest(note=shown_text.one_line(reason or "temporal workflow cancel", MOST_CHARACTERS["note"]))


def must_be_signed(given: Any) -> OperatorRequest:
    """A request with operator and note, in characters that the order book can hold."""
    request = parse(given)
    if not request.operator.strip() or not request.note.strip():
        raise _refused(f"Say who you are and why: {REQUEST}")
    refusal = why_not_kept("operator", request.operator) or why_not_kept("note", request.note)
    if refusal:
        raise _refused(refusal)
    return request


def must_be_unsettled(progress: Progress) -> None:
    """Refuse what comes after the end."""
    if progress.status in ("delivered", "refunded"):
        raise _refused(f"This order is {progress.status}; nothing is to be done.")


def may_resolve(progress: Progress, request: OperatorRequest) -> None:
    """Refuse a `resolve` that has no doubt to end."""
    must_be_unsettled(progress)
    match request.outcome:
        case "refunded":
            if not progress.refund_denied:
                waits = f"it waits for this: {progress.reason}" if progress.needs_operator else "it goes on by itself."
                raise _refused(f"The provider has not definitely refused this refund; {waits}")
        case "delivered" | "not_delivered":
            if progress.carrier_outcome and not progress.contradicted:
                known = "completed" if progress.carrier_outcome == "completed" else "refused"
                raise _refused(f"The carrier's final word is known ({known}); there is no doubt to resolve.")
        case _:
            raise _refused(f"outcome must be one of {OUTCOMES}: {RESOLVE}")


def may_refund_now(progress: Progress) -> None:
    """Refuse a `refund_now` after the carrier's final word."""
    must_be_unsettled(progress)
    if progress.carrier_outcome == "completed":
        raise _refused("The carrier has delivered this order: money back for it is `topup orders goodwill`.")
    if progress.carrier_outcome:
        raise _refused("The refund is under way already.")


def may_renotify(notices: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse a `renotify` where no notice waits."""
    if not any(state == "pending" for states in notices.values() for state in states.values()):
        raise _refused("No notice is pending: each platform has it, or its time is over.")


def retried(progress: Progress) -> str:
    """The answer of `retry_now`."""
    if isinstance(progress.next, AskPerson):
        return "Looking in the order book again. The carrier can't be asked from here: ask its desk, then resolve."
    return "Asking again now."


def resolved(request: OperatorRequest, progress: Progress) -> str:
    """The answer of `resolve`."""
    said = f"Recorded: {request.outcome}. The order goes on by it."
    reference = progress.carrier_order_id
    if request.outcome != "not_delivered" or not reference or isinstance(progress.next, AskPerson):
        return said
    return (
        f"{said} While the carrier shows it unfinished, it counts only with the carrier's number in the note: "
        f"{shown_text.one_line(reference)}."
    )


def refunds(progress: Progress) -> str:
    """The answer of `refund_now`."""
    if isinstance(progress.next, AskPerson):
        return "Recorded, and nothing follows: this carrier has no cancel. Ask its desk, then resolve."
    return "Recorded: the serial is burnt as soon as the carrier allows, then the payment is refunded."


def _refused(sentence: str) -> ApplicationError:
    return ApplicationError(sentence, type="Refused")

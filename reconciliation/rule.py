"""A row of a table of rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from reconciliation.days import Horizon
from reconciliation.differences import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """One kind of difference.

    Attributes:
        fits: whether the subject is such a case.
        why: a sentence for whoever looks at it.
        shown_by: the first and the last day whose bills or statements could still show what one side lacks; None where
            nothing is lacking, so that the case is clear at once.
    """

    kind: Kind
    fits: Callable[[T], bool]
    why: str
    shown_by: Callable[[T], tuple[str, str]] | None = None


def first_that_fits(rules: Sequence[Rule[T]], subject: T, source: str, horizon: Horizon) -> tuple[Rule[T], Kind] | None:
    """The row, and its kind, which is `timing` while what is lacking could still come."""
    for rule in rules:
        if not rule.fits(subject):
            continue
        if rule.shown_by is None or horizon.has_all(source, *rule.shown_by(subject)):
            return rule, rule.kind
        return rule, "timing"
    return None

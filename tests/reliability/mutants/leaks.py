"""Products that say too much, or too little, in what they leave behind: the trail drill is worth what it catches."""

import functools
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

import adapters.carriers.tmf622.client
from adapters.carriers.tmf622.client import Tmf622Carrier
from tests import mistakes
from tests.reliability.audit_trail import KINDS, Kind
from tests.reliability.personal_data_scan import EVERY_CALL, NOTHING_PERSONAL


@dataclass(frozen=True, slots=True)
class LeakMutant:
    """One mistake, the rule that it breaks, and where its sentence must point to."""

    apply: Callable[[], None]
    rule: str
    where: str


def _patch(owner: Any, name: str, value: Any) -> None:
    assert hasattr(owner, name), f"{owner.__name__} has no {name} any more: correct the leak mutant"
    setattr(owner, name, value)


def _prints_what_it_sends() -> None:
    submit: Any = Tmf622Carrier.submit

    @functools.wraps(submit)
    async def chatty(self: Tmf622Carrier, body: bytes, **options: Any) -> Any:
        sys.stderr.write(f"sending {body!r}\n")
        return await submit(self, body, **options)

    _patch(Tmf622Carrier, "submit", chatty)


def _passes_words_on_as_they_are() -> None:
    def as_they_are(words: object) -> str:
        return f': "{words}"' if words else ""

    _patch(adapters.carriers.tmf622.client, "quoted", as_they_are)


LEAK_MUTANTS: Final[Mapping[str, LeakMutant]] = {
    "writes the body into the trail": LeakMutant(
        partial(mistakes.writes_the_body_into_the_trail, pytest.MonkeyPatch()),
        NOTHING_PERSONAL,
        "the order book's file holds an ICCID",
    ),
    "prints what it sends": LeakMutant(_prints_what_it_sends, NOTHING_PERSONAL, "holds a phone number"),
    "passes the carrier's words on as they are": LeakMutant(
        _passes_words_on_as_they_are, NOTHING_PERSONAL, "a run's history holds a VIN"
    ),
    "leaves looks at the carrier out": LeakMutant(
        partial(mistakes.leaves_out_of_the_trail, pytest.MonkeyPatch(), "query"), EVERY_CALL, "GET"
    ),
}
FEW_KINDS: Final[tuple[Kind, ...]] = tuple(
    kind for kind in KINDS if kind.name in ("delivered", "a state that names the SIM", "answered with 500")
)

"""Holds: an operator keeps every call of the orders away from one part of the outside world, for a time.

A hold delays and never decides (ADR 8): no rule of `orders` knows of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, get_args

Part = Literal["carrier", "wechat", "alipay"]
"""What can be held, and how fast it is called can be limited: the carrier, or one payment provider."""

PARTS: Final[tuple[Part, ...]] = get_args(Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One operator's hold of one part: who, why and when, and how it ended.

    Attributes:
        until: when it ends by itself; None: when it is released.
        released_at: when an operator ended it; None: nobody has.
    """

    part: str
    held_at: datetime
    held_by: str
    note: str
    until: datetime | None = None
    released_at: datetime | None = None
    released_by: str = ""
    released_note: str = ""

    def is_on(self, now: datetime) -> bool:
        """Whether it holds at this moment."""
        return self.released_at is None and (self.until is None or now < self.until)

    def sentence(self) -> str:
        """What people read of it."""
        until = f"until {_shown(self.until)}" if self.until else "until it is released"
        return f"{self.part} is held {until}, by {self.held_by} since {_shown(self.held_at)}: {self.note}"


def in_force(holds: Iterable[Hold], now: datetime) -> Mapping[str, Hold]:
    """By part, of the holds that hold now the one that has held longest: a part is held while any of them is on."""
    held: dict[str, Hold] = {}
    for hold in sorted(holds, key=lambda one: one.held_at, reverse=True):
        if hold.is_on(now):
            held[hold.part] = hold
    return held


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

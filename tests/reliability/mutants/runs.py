"""Workers of a version with a bug: a cancel ends their runs, which no version of the saga may do.

Made in the crashing process alone, so that a run closes Failed or Canceled in the middle of its way while its activity
goes on (contracts §3: "or that closed any other way").
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from temporalio.exceptions import ApplicationError

from workflows.top_up_order import TopUpOrder


def _fails(_self: TopUpOrder, _word: Any) -> NoReturn:
    raise ApplicationError("A bug that ends runs: planned by the crash matrix.", non_retryable=True)


def _gives_up(_self: TopUpOrder, _word: Any) -> NoReturn:
    raise asyncio.CancelledError


def _with(cancel: Callable[[TopUpOrder, Any], NoReturn]) -> Callable[[], None]:
    def apply() -> None:
        assert hasattr(TopUpOrder, "_cancel"), "TopUpOrder has no _cancel any more: correct the bug"
        setattr(TopUpOrder, "_cancel", cancel)  # noqa: B010 - private, and of another type

    return apply


FAILS: Final = "a cancel fails the run"
GIVES_UP: Final = "a cancel ends the run at once"
BUGS: Final[Mapping[str, Callable[[], None]]] = {FAILS: _with(_fails), GIVES_UP: _with(_gives_up)}

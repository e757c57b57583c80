"""One word on several unmatched payments, one after the other: each is decided by itself, as if it were given alone."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

from console.display import out, print_json
from console.exits import CommandFailed, Exit
from console.unmatched import Answer, Named
from orders.errors import TopUpError, Unavailable

NOT_TRIED = "not tried: the order book did not answer for the one before it"


async def end_each(payments: Sequence[Named], end: Callable[[Named], Awaitable[Answer]], *, as_json: bool) -> Exit:
    """A line of result for each. A refusal ends nothing; an order book that is away ends it.

    Args:
        payments: provider and transaction.
        end: gives the word on one.
        as_json: print JSON, once all have an answer.
    """
    answers: list[Answer] = []
    away = False
    for named in payments:
        name = ":".join(named)
        if away:
            answer = Answer(name, "", NOT_TRIED, ok=False)
        else:
            try:
                answer = await end(named)
            except CommandFailed as failure:
                answer = Answer(name, "", failure.sentences[0], ok=False)
            except TopUpError as error:
                away = isinstance(error, Unavailable)
                answer = Answer(name, "", str(error), ok=False)
        answers.append(answer)
        if not as_json:
            out.print(f"{name}{'' if answer.ok else ' not done'}: {answer.says}", markup=False, soft_wrap=True)
    failed = sum(not answer.ok for answer in answers)
    if as_json:
        print_json({"ok": not failed, "payments": [asdict(answer) for answer in answers]})
    else:
        out.print(f"{len(answers) - failed} taken, {failed} not done.")
    return Exit.NOT_OK if failed else Exit.OK

"""Model and checker of goodwill refunds: what people do after a delivery, and how often money leaves for it.

Two persons decide each goodwill refund once, and say so as often as they like (an answer may have got lost). One row
per number stands in the book; a worker notes that it sends, sends, and asks. A request in `net` arrives at any later
moment, as often as the world likes, or never: that is a lost answer, a dead worker, a frozen one that thaws.

  G1 only what two persons have decided is paid, and each decision once
  G2 all goodwill of an order together is at most what was paid for it
  G3 what the book says is paid stands at the provider under that number with that amount
  G4 from every state in which two persons have confirmed a refund, the worker alone can bring it to its end

    python -m tests.model.goodwill_check [--traces]     exit code 1 when a row behaves otherwise than written
"""

import argparse
import sys
from typing import NamedTuple

PAID = 2  # for the order, in units
DECISIONS = {"r": 1, "s": 1, "t": 2}  # what the persons decide, by its reason, and its amount
PERSONS = "AB"
NUMBERS = 3


class Row(NamedTuple):
    """One goodwill refund in the book."""

    why: str
    asked_by: str
    confirmed_by: str = ""
    stage: str = "asked"  # asked | open | sent | paid | gone (the provider has refused for good, and a person gave up)
    late: bool = False  # the hour of its proposal is over


class S(NamedTuple):
    """One state of the world."""

    rows: tuple = ()
    net: frozenset = frozenset()  # requests under way: (number, amount)
    provider: frozenset = frozenset()  # refunds that it has paid: (number, amount)
    keys: int = 0  # of the mutant that takes a new number for each send
    stale: tuple = ()  # of the mutant without compare-and-set: (person, why, rows as they were read)
    lost: int = 0  # how often the book came from a backup


def decide(rows, who, why, flags):
    """The book's rule for one word of one person: the rows after it."""
    for row in rows:  # the same word of the same person is the same refund, for ever
        own = who in (row.asked_by, row.confirmed_by) and row.why == why and row.stage != "asked"
        if own and "forgets_words" not in flags and not ("forgets_after_an_hour" in flags and row.late):
            return rows
    last = rows[-1] if rows else None
    if last is not None and last.stage in ("open", "sent"):
        return rows  # one at a time
    given = sum(DECISIONS[row.why] for row in rows if row.stage in ("open", "sent", "paid"))
    if given + DECISIONS[why] > PAID and "no_sum" not in flags:
        return rows
    if last is None or last.stage != "asked":
        return rows if len(rows) == NUMBERS else (*rows, Row(why, who))
    if last.why == why and not last.late and (last.asked_by != who or "one_person" in flags):
        return (*rows[:-1], last._replace(confirmed_by=who, stage="open"))
    return (*rows[:-1], Row(why, who))


def successors(s, flags):
    """Everything that can happen next: (whether the worker alone does it, words, state)."""
    for who in PERSONS:
        for why in DECISIONS:
            if "no_cas" in flags:
                if len(s.stale) < 1:
                    yield False, f"{who} reads the book for {why}", s._replace(stale=(*s.stale, (who, why, s.rows)))
            elif (rows := decide(s.rows, who, why, flags)) != s.rows:
                yield False, f"{who} says {why}", s._replace(rows=rows)
    if "no_cas" in flags:
        for who in PERSONS:
            for why in DECISIONS:
                if (rows := decide(s.rows, who, why, flags)) != s.rows:
                    yield False, f"{who} says {why}", s._replace(rows=rows)
        for who, why, read in s.stale:
            rows = decide(read, who, why, flags)
            mine = rows[-1:] if rows != read else ()  # it writes the one row that it has made
            at = len(rows) - 1
            yield (
                False,
                f"{who}'s {why} is written",
                s._replace(rows=(*s.rows[:at], *mine, *s.rows[at + 1 :]) if mine else s.rows, stale=()),
            )
    for number, row in enumerate(s.rows):
        if not row.late:
            rows = (*s.rows[:number], row._replace(late=True), *s.rows[number + 1 :])
            yield False, f"an hour passes for {number}", s._replace(rows=rows)
        yield from _worker(s, number, row, flags)
    for number, amount in s.net:  # arrives; it may arrive again
        taken = {one for one, _ in s.provider}
        caps = "provider_caps" in flags and sum(fen for _, fen in s.provider) + amount > PAID
        if number not in taken and not caps:
            yield False, f"{number} arrives", s._replace(provider=s.provider | {(number, amount)})
    if s.rows and s.lost < 1 and "restores" in flags:
        yield False, "the book comes from a backup", s._replace(rows=s.rows[:-1], lost=s.lost + 1)


def _worker(s, number, row, flags):
    def became(stage, **more):
        return s._replace(rows=(*s.rows[:number], row._replace(stage=stage), *s.rows[number + 1 :]), **more)

    amount, key = DECISIONS[row.why], number
    if "new_key" in flags:
        key = s.keys
    there = next((fen for one, fen in s.provider if one == number or "new_key" in flags), None)
    # A worker of a restored book asks for each number before it sends it.
    if row.stage == "open" and not (s.lost and there is not None):
        yield True, f"sends {number}", became("sent", net=s.net | {(key, amount)}, keys=min(s.keys + 1, 3))
    elif row.stage in ("open", "sent") and there is None:  # it is asked for, is not there, and the same is sent again
        yield True, f"sends {number} again", s._replace(net=s.net | {(key, amount)}, keys=min(s.keys + 1, 3))
    if row.stage in ("open", "sent") and there is not None:
        if there == amount or "believes_any_amount" in flags:
            yield True, f"hears that {number} is paid", became("paid")
        else:  # another amount under our number: a person is called, and gives it up
            yield True, f"{number} is given up", became("gone")
    if row.stage == "sent" and there is None and (key, amount) in s.net:
        if "provider_caps" in flags and sum(fen for _, fen in s.provider) + amount > PAID:
            yield True, f"{number} is refused, and given up", became("gone")
        else:
            yield True, f"{number} arrives", s._replace(provider=s.provider | {(key, amount)})


def broken(s):
    """The first rule that the state breaks, or ""."""
    if any(row.stage in ("open", "sent", "paid") and row.asked_by == row.confirmed_by for row in s.rows):
        return "G1"
    decided = [row.why for row in s.rows if row.stage in ("open", "sent", "paid")]
    if len(decided) != len(set(decided)) or (not s.lost and len(s.provider) > len([*decided, *_gone(s)])):
        return "G1"
    if sum(amount for _, amount in s.provider) > PAID:
        return "G2"
    for number, row in enumerate(s.rows):
        if row.stage == "paid" and (number, DECISIONS[row.why]) not in s.provider:
            return "G3"
    return ""


def _gone(s):
    return [row for row in s.rows if row.stage == "gone"]


def explore(flags):
    """Visit every state: how many, the first broken rule, the shortest way to it."""
    start = S()
    came = {start: (None, "")}
    todo, edges = [start], {}
    for s in todo:
        if rule := broken(s):
            return len(came), rule, _way(came, s)
        for alone, words, after in successors(s, flags):
            if alone:
                edges.setdefault(after, set()).add(s)
            if after not in came:
                came[after] = (s, words)
                todo.append(after)
    good = {s for s in todo if not any(row.stage in ("open", "sent") for row in s.rows)}
    reached = list(good)
    for s in reached:
        for before in edges.get(s, ()):
            if before not in good:
                good.add(before)
                reached.append(before)
    stuck = next((s for s in todo if s not in good), None)
    return len(came), "G4" if stuck else "", _way(came, stuck)


def _way(came, s):
    words = []
    while s is not None and came[s][0] is not None:
        words.append(came[s][1])
        s = came[s][0]
    return words[::-1]


# --- what is run: (name, flags, the rule seen to break, what it means) ---------------------------------------------
TABLE = [
    ("THE PROTOCOL", "", "", "locked row, one at a time, numbers by order, words for ever"),
    (
        "THE PROTOCOL, RESTORED",
        "restores provider_caps",
        "",
        "the newest row is lost; the provider keeps to the payment",
    ),
    ("broken: restored, no cap", "restores", "G2", "the same, at a provider that pays back more than was paid"),
    ("mutant: one person", "one_person", "G1", "who asks may confirm"),
    ("mutant: forgets words", "forgets_words", "G1", "a repeated command is a new refund"),
    ("mutant: within the hour", "forgets_after_an_hour", "G1", "a command that is repeated after an hour is new"),
    ("mutant: no CAS", "no_cas", "G1", "the row is read, decided on, and written later"),
    ("mutant: new number", "new_key", "G1", "each attempt sends under a number of its own"),
    ("mutant: no sum", "no_sum", "G2", "what was given before does not count"),
    ("mutant: any amount", "restores believes_any_amount", "G3", "our number with another amount counts as ours"),
]


def main():
    """Run the table; exit code 1 if a row does not behave as written."""
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument("--traces", action="store_true", help="print the shortest way to each broken rule")
    args, wrong = cli.parse_args(), 0
    for name, flags, expected, means in TABLE:
        states, rule, trace = explore(frozenset(flags.split()))
        wrong += rule != expected
        print(f"{'ok ' if rule == expected else 'BAD'} {name:25} {states:>8,} states  {rule or '-':3} {means}")
        if args.traces and rule:
            print(*(f"      {n:2} {words}" for n, words in enumerate(trace, 1)), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

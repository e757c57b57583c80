"""Checker for `saga_model.py`: visits every state that at most N faults can reach.

States come fewest faults first, then fewest steps, so the trace of a broken rule is the simplest one.  The table
holds the protocol, variants of it, broken assumptions and mutants; each must behave as its row says.

    python -m tests.model.saga_check --faults 3               the whole table
    python -m tests.model.saga_check --only legacy --traces   some rows, with the traces of broken rules
"""

import argparse
import sys
import time
from array import array
from concurrent.futures import ProcessPoolExecutor

from tests.model.saga_model import MONEY, Model, S, broken, successors, tidy


def explore(m, faults):
    """Visit every state within `faults` faults; stop at the first broken rule."""
    began = time.perf_counter()
    ids, states, parent, words_of = {S(): 0}, [S()], array("i", [-1]), [""]
    src, dst = array("i"), array("i")  # the edges that L8 may use
    helpful = ("sys", "op") if m.has("carriers_word") else ("sys",)

    def add(s, frm, words):
        ids[s] = len(states)
        states.append(s), parent.append(frm), words_of.append(sys.intern(words)), layer.append(ids[s])
        return broken(s, m)

    def result(rule, n):
        trace = []
        while n and n > 0:
            trace.append(words_of[n])
            n = parent[n]
        return {"states": len(states), "seconds": time.perf_counter() - began, "rule": rule, "trace": trace[::-1]}

    layer, later = [0], []
    for used in range(faults + 1):
        for me, words, s in later:
            if s not in ids and (rule := add(s, me, "FAULT: " + words)):
                return result(rule, ids[s])
        later = []
        for me in layer:  # grows while it is read: breadth first; faults lead to the next layer
            for cls, words, untidy in successors(states[me], m):
                s = tidy(untidy, m)
                if cls == "fault":
                    if used < faults and s not in ids:
                        later.append((me, words, s))
                    continue
                if s not in ids and (rule := add(s, me, words)):
                    return result(rule, ids[s])
                if cls in helpful:
                    src.append(me), dst.append(ids[s])
        layer = []
    stuck = dead_end(states, src, dst, m) if "L8" in m.rules else None
    return result("" if stuck is None else "L8", stuck)


def dead_end(states, src, dst, m):
    """The earliest state from which no settled (legacy: or parked) state can be reached, or None."""
    good = bytearray(s.out != "-" or (m.legacy and s.run == "park") for s in states)
    todo = [n for n, g in enumerate(good) if g]
    last, before = array("i", [-1]) * len(states), array("i", [-1]) * len(dst)  # edges into a state, chained
    for e, d in enumerate(dst):
        before[e], last[d] = last[d], e
    while todo:
        e = last[todo.pop()]
        while e >= 0:
            if not good[src[e]]:
                good[src[e]] = 1
                todo.append(src[e])
            e = before[e]
    return next((n for n, g in enumerate(good) if not g), None)


# --- what is run: (name, carrier, flags, the rules seen to break: all rules, then money alone; what it means) ------
TABLE = [
    ("THE PROTOCOL", "tmf622", "", "", "everybody keeps the contract"),
    ("THE PROTOCOL, LEGACY", "legacy", "", "", "no serial, query or burn: doubt goes to an operator"),
    ("without date", "tmf622", "no_date", "", "carrier ignores requestedCompletionDate"),
    ("without horizon", "tmf622", "no_horizon", "", "burns at the first empty GET"),
    ("without last look", "tmf622", "no_last_look", "", "no look at book and clock right before the POST"),
    ("book burn if unsent", "tmf622", "skip_burn_unsent", "", "no POST granted yet: closing the row is burn enough"),
    ("date instead of burn", "tmf622", "date_only", "", "empty GET sent after date + lag counts as a refusal"),
    ("late burn, on replica", "tmf622", "lagging_burn late_burn", "", "a blind cancel, but no burn before date + lag"),
    ("derived numbers", "tmf622", "derived_number", "", "refund numbers follow from the order ID, no row"),
    ("hangs, carrier's word", "tmf622", "hangs carriers_word", "", "in flight for ever; operator has its word"),
    ("broken: hangs", "tmf622", "hangs", "L8", "in flight for ever, burn answers 409 for ever"),
    ("broken: refund ABNORMAL", "tmf622", "refund_impossible", "L8", "or account gone, trade finished: no end"),
    ("broken: sells burnt", "tmf622", "carrier_breaks_word", "B5 M3", "completed after a confirmed burn"),
    ("broken: burn on replica", "tmf622", "lagging_burn", "B5 M3", "cancel confirmed by a node blind to the POST"),
    ("broken: one day", "tmf622", "dedupes_one_day", "B5 M3", "right product, carrier forgets the serial"),
    ("broken: one day, no date", "tmf622", "dedupes_one_day no_date", "M1", "the same, and it ignores the date"),
    ("broken: CLOSED reopens", "tmf622", "closed_then_success", "M2", "late success of the first number"),
    ("broken: P7 for zombies", "tmf622", "strict_ask_first", "P7", "a frozen attempt cannot ask first"),
    ("broken: early word", "legacy", "resolve_any_time", "B5 M3", "not_delivered is true, a POST is under way"),
    ("mutant: blind resubmit", "tmf622", "blind dedupes_one_day no_date", "M1", "carrier dedupes for a day"),
    ("mutant: blind, ever", "tmf622", "blind", "P7", "blind resubmit, carrier dedupes for ever"),
    ("mutant: empty GET", "tmf622", "refund_on_empty", "B5 M3", "refund on an empty GET before the lag is over"),
    ("mutant: no burn", "tmf622", "no_burn", "B5 M3", "horizon passed = refused"),
    ("mutant: fresh date", "tmf622", "fresh_date", "P6", "a new date per attempt"),
    ("mutant: no refund row", "tmf622", "no_refund_row", "M2", "a number per attempt, not written"),
    ("mutant: reopen, no GET", "tmf622", "reopen_blind", "P7", "a new run posts at once"),
    ("mutant: 409 = refusal", "tmf622", "409_is_refusal", "B5 M3", "answer of the burn"),
    ("mutant: cancel, no burn", "tmf622", "cancel_without_burn", "R4 M3", "operator's cancel refunds at once"),
    ("mutant: no CAS", "tmf622", "no_cas", "P6", "submit intent read, then written"),
    ("mutant: no CAS, legacy", "legacy", "no_cas", "P6 M1", ""),
    ("mutant: no CAS, book burn", "tmf622", "no_cas skip_burn_unsent", "P6 M3", ""),
    ("mutant: new number", "tmf622", "renumber_processing", "M2", "while the first is PROCESSING"),
    ("mutant: resolve, no burn", "tmf622", "resolve_without_burn", "B5 M3", "not_delivered refunds at once"),
]


def examine(row, faults):
    """One row with all rules; where a rule of book or wire breaks, again with the rules of money alone."""
    m = Model(row[1], frozenset(row[2].split()))
    runs = [explore(m, faults)]
    if runs[0]["rule"][:1] in ("R", "B", "P"):
        runs.append(explore(m._replace(rules=MONEY), faults))
    return runs


def main():
    """Run the table; exit code 1 if a row does not behave as written."""
    cli = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cli.add_argument("--faults", type=int, default=2, help="most faults combined (default 2)")
    cli.add_argument("--only", default="", help="rows whose name contains this")
    cli.add_argument("--traces", action="store_true", help="print the simplest trace of each broken rule")
    cli.add_argument("--jobs", type=int, default=4, help="rows examined at once")
    args = cli.parse_args()
    rows, wrong = [row for row in TABLE if args.only in row[0]], 0
    with ProcessPoolExecutor(args.jobs) as pool:
        for row, runs in zip(rows, pool.map(examine, rows, [args.faults] * len(rows)), strict=True):
            rules = " ".join(r["rule"] for r in runs if r["rule"])
            wrong += rules != row[3]
            print(
                f"{'ok ' if rules == row[3] else 'BAD'} {row[0]:25} {runs[0]['states']:>10,} states "
                f"{runs[0]['seconds']:6.1f} s  {rules or '-':6} {row[4]}",
                flush=True,
            )
            for r in (r for r in runs if args.traces and r["trace"]):
                print(*(f"      {r['rule']} {n:2} {words}" for n, words in enumerate(r["trace"], 1)), sep="\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

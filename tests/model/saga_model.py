"""Executable description of the money-safety protocol of one top-up order; `saga_check.py` checks it.

Everything that can happen to ONE paid order is a transition between immutable states `S`: steps of the
workflow run and its activities, of carrier, payment provider and clock, of operators, and faults
(`successors`).  What stands for what:
  run      the durable place of the workflow: its last result.  A worker's death cannot harm it.
  act      the activity attempt the run waits for; when it dies, another starts from its first line.
  zombies  attempts nobody waits for any more (frozen, or of a run that was terminated or reset): each may take
           its next step at any later moment, or never, so a dead attempt is a zombie that never moves.
  net      requests nobody waits for any more: each may arrive at any later moment, or never (lost); one that
           arrives at once is an answer lost.
  book     one row; what a function reads of it and writes in one `_replace` is ONE compare-and-set transaction.
           A commit whose answer is lost is an attempt that dies right after it.
Rules:
  M1 sold at most once · M2 refunded at most once, in full · M3 never sold and refunded
  R4 no refund request unless a definite refusal or a confirmed burn stands in the book and is true
  B5 the book's facts and outcome agree with the world and with each other
  P6 one body per order · P7 a live attempt sends a second POST, or the first of a reopened order, only after an
     answered GET
  L8 from every state the run alone (no fault, operator, zombie or late message) can still settle the order
     (legacy carrier: settle or park).  So, where each step that stays possible is taken at last, all paths end.
"""

from typing import NamedTuple

MAX_POSTS = 2  # bound of the model: POSTs that the book grants
MONEY = frozenset(("M1", "M2", "M3"))


class S(NamedTuple):
    """One state of the world.  The defaults: a claimed order whose first run has just started."""

    t: int = 0  # clock: 0 POST allowed | 1 date minus latency passed | 2 date passed | 3 date + lag passed
    h: int = 0  # 1: the last booked POST + longest latency + lag is over (the horizon)
    order: str = "-"  # carrier: - never seen | I in flight | H hangs for ever | C completed | R rejected | X burnt
    cbody: int = 0  # the body the carrier keeps
    sold: int = 0
    pay: tuple = ("-", "-")  # provider, refund number 1 and 2: - | P processing | S success | C closed | A never
    k: int = 0  # book: POSTs granted (submit intent = k > 0)
    body: int = 0  # book: the body that will be sent, with its date
    burn: int = 0  # book: burn intent = closed to POSTs for ever
    fact: str = "-"  # book: the carrier's final word: sold | refused | burnt
    ev: int = 0  # book: evidence, the newest GET since the last POST was empty | 2 and asked after date + lag
    ro: int = 0  # book: how often another run took the order up; evidence of before counts no more
    cl: int = 0  # book: the refund number in use was seen CLOSED once
    num: int = 0  # book: refund intent = the refund number in use
    out: str = "-"  # book: settled outcome: D delivered | R refunded
    run: object = "new"  # None = closed; else its last result: new, doubt, inflight, empty, burn, ...
    cancel: int = 0  # the operator asked this run to cancel
    act: object = None  # (kind, pc, argument, local); pc "w" = waits for the answer to `local`, "a" = has it
    zombies: tuple = ()
    net: tuple = ()
    first: int = 0  # ghost, for the rules alone: body of the first POST
    asked: int = 1  # ghost: a GET was answered after the last POST of a live attempt
    bad: str = ""  # ghost: the rule that a transition broke


class Model(NamedTuple):
    """A protocol and its surroundings; `flags` change the product (mutants) or break an assumption."""

    carrier: str = "tmf622"  # or legacy: no serial, no query, no burn, a second POST sells again
    flags: frozenset = frozenset()
    rules: frozenset = MONEY | {"R4", "B5", "P6", "P7", "L8"}

    def has(self, flag):
        return flag in self.flags

    @property
    def legacy(self):
        return self.carrier == "legacy"


def blame(s, m, rule, broken):
    """Mark the state if a transition broke `rule`."""
    return s._replace(bad=rule) if broken and rule in m.rules and not s.bad else s


# --- the order book ------------------------------------------------------------------------------------------
def known(s):
    """What the book knows already: the first question of every activity."""
    return "settled" if s.out != "-" else {"-": "", "sold": "sold"}.get(s.fact, "refused")


def heard(s, m, answer):
    """The state map: (state with the fact booked, result).  A fact is written once; a contradiction is an alarm."""
    fact = {"C": "sold", "R": "refused", "X": "burnt"}.get(answer)
    if answer in ("I", "H", "409"):
        s = s._replace(ev=0)
    if fact:
        booked = s._replace(fact=fact) if s.fact == "-" else blame(s, m, "B5", (s.fact == "sold") != (fact == "sold"))
        return booked, "sold" if fact == "sold" else "refused"
    return s, "park" if m.legacy else "inflight" if answer in ("I", "H") else "doubt"


# --- activities: each step returns (what happens, state, the attempt's next place or None, result) --------------
def goes(words, s, a, pc, local, arg=None):
    return words, s, (a[0], pc, arg or a[2], local), None


def ends(words, s, result):
    return words, s, None, result


def place(s, a, m):
    """Look, take the right to ONE POST by compare-and-set, look again, send."""
    pc, _, x = a[1:]
    if pc == 0:
        if known(s):
            return ends("finds the answer in the book", s, known(s))
        if s.burn or s.num:
            return ends("finds a burn intent and sends nothing", s, "burn")
        if s.k == 0 and s.ro and not (s.ev or m.legacy or m.has("reopen_blind")):
            return ends("is of a reopened order: asks first", s, "doubt")
        if s.k == 0 and m.has("no_cas"):  # mutant: reads now, writes later
            return goes("reads: no intent", s, a, "write", 2 if s.zombies else 1)
        if s.k == 0:
            return goes("writes the submit intent (POST 1)", s._replace(k=1, body=1, h=0, ev=0), a, 1, (1, 1))
        if m.has("blind") or (m.has("reopen_blind") and s.run == "new"):
            return goes("resends without asking", s, a, 2, (s.k, s.body))
        if s.ev and s.k < MAX_POSTS:  # the evidence is spent with the right
            s = s._replace(k=s.k + 1, body=2 if m.has("fresh_date") else s.body, h=0, ev=0)
            return goes(f"takes the right to POST {s.k}", s, a, 1, (s.k, s.body))
        return ends("finds an intent that is not its own", s, "park" if m.legacy else "doubt")
    if pc == "write":
        return goes(f"writes its intent over the row (body {x})", s._replace(k=1, body=x, h=0, ev=0), a, 2, (1, x))
    if pc == 1:  # the last look narrows the race; nothing can close it
        in_time = not s.h if m.legacy else s.t == 0
        if (in_time and s.k == x[0] and not (s.burn or s.num or known(s))) or m.has("no_last_look"):
            return goes("looks again: in time, still its turn", s, a, 2, x)
        return ends("looks again: too late, sends nothing", s, "park" if m.legacy else "doubt")
    if pc == 2:
        return goes(f"sends POST (body {x[1]})", s, a, "w", ("POST", x[1]))
    return ends(f"gets {x}", *heard(s, m, x))


def query(s, a, m):
    """GET by externalId."""
    pc, arg, x = a[1:]
    if pc == 0 and known(s):
        return ends("finds the answer in the book", s, known(s))
    if pc == 0:
        return goes("sends GET", s, a, "w", ("GET",), (s.k, s.t == 3 and m.has("date_only"), s.ro))
    if x == "-":
        posts, late, ro = arg
        counts = posts == s.k and ro == s.ro and not known(s)
        return ends("gets an empty list", s._replace(ev=max(s.ev, 1 + late)) if counts else s, "empty")
    return ends(f"gets {x}", *heard(s, m, x))


def burn(s, a, m):
    """Close the row to POSTs, then cancel the serial at the carrier; only `cancelled` confirms it."""
    pc, _, x = a[1:]
    if pc == 0:
        if known(s):
            return ends("finds the answer in the book", s, known(s))
        if s.k == 0 and (m.legacy or m.flags & {"skip_burn_unsent", "date_only"}):
            return ends("in the book alone: no POST was granted", s._replace(burn=1, fact="burnt"), "refused")
        if m.legacy or m.has("date_only"):
            return ends("is impossible", s, "park" if m.legacy else "doubt")
        if s.k and ((not s.h and not m.has("no_horizon")) or (s.t < 3 and m.has("late_burn"))):
            return ends("is too early", s, "doubt")
        if (s.k or s.ro) and not s.ev:
            return ends("has no empty GET to rest on", s, "doubt")
        return goes("writes its intent", s._replace(burn=1), a, 1, None)
    if pc == 1:
        return goes("sends CANCEL", s, a, "w", ("CANCEL",))
    if x == "409" and m.has("409_is_refusal"):
        return ends("takes 409 for a refusal", s._replace(fact="refused"), "refused")
    return ends(f"gets {x}", *heard(s, m, x))  # 409: doubt, so query


def deliver(s, a, m):
    """Settle as delivered."""
    if s.out == "-" and s.fact == "sold" and not s.num:
        return ends("settles the book: delivered", s._replace(out="D"), "settled")
    return ends("changes nothing", s, known(s) or "doubt")


def intent(s, _a, _m):
    """Write the refund intent, a transaction of its own."""
    if s.out != "-":
        return ends("finds the order settled", s, "settled")
    if s.fact not in ("refused", "burnt"):
        return ends("finds no refusal in the book", s, "doubt")
    return ends("writes the refund intent", s._replace(num=s.num or 1), "refused")


def refund(s, a, m):
    """Send the number in use until the provider says SUCCESS; a new number only after CLOSED was seen twice."""
    pc, arg, x = a[1:]
    if pc == 0:
        if s.out != "-":
            return ends("finds the order settled", s, "settled")
        if s.fact not in ("refused", "burnt"):
            return ends("finds no refusal in the book", s, "doubt")
        if m.has("derived_number"):  # variant: no row, but numbers follow from the order ID
            return goes("goes for number 1, unwritten", s, a, 1, 1, 1)
        if m.has("no_refund_row"):  # mutant: a number per attempt, written nowhere
            n = min(2, 1 + sum(p != "-" for p in s.pay))
            return goes(f"makes up number {n}", s, a, 1, n, n)
        if not s.num:
            return ends("finds no intent", s, "refused")
        return goes(f"intent stands with number {s.num}", s, a, 1, s.num, s.num)
    if pc == 1:
        proved = (
            m.legacy
            or s.order in ("R", "X")
            or (s.order == "H" and m.has("carriers_word"))
            or (m.flags & {"skip_burn_unsent", "date_only"} and s.fact == "burnt")
        )
        s = blame(s, m, "R4", s.fact not in ("refused", "burnt") or s.sold or not proved)
        return goes(f"sends number {x}", s, a, "w", ("REFUND", x))
    if x == "S":
        s = s._replace(out="R") if s.out == "-" else s
        return ends("gets SUCCESS and settles the book: refunded", s, "settled")
    if x == "C" and m.has("derived_number"):
        return goes("gets CLOSED: goes for number 2, unwritten", s, a, 1, 2, 2)
    if x == "C" and s.num == arg == 1 and not s.cl:
        return ends("gets CLOSED: once is not enough", s._replace(cl=1), "refused")
    if x == "C" or (x == "P" and m.has("renumber_processing")):
        s = s._replace(num=2, cl=0) if s.num == arg == 1 else s
        return ends(f"gets {x}: the book goes on to a new number", s, "refused")
    return ends(f"gets {x}: again later, same number", s, "refused")


STEPS = {"place": place, "query": query, "burn": burn, "deliver": deliver, "intent": intent, "refund": refund}
# Where an attempt may freeze, die or be left behind.  Other places add nothing: a zombie one step earlier can
# take the missing step itself.
LINGERS = {
    "place": (0, "write", 2, "w"),
    "query": ("w",),
    "burn": (0, 1),
    "deliver": (0,),
    "intent": (0,),
    "refund": (0, 1),
}


# --- the workflow ----------------------------------------------------------------------------------------------
def decide(s, m):
    """The saga: from its last result, cancel and clock to the next activity (several = it may choose)."""
    r = s.run

    def start(kind):
        return f"run starts {kind}", s._replace(act=(kind, 0, None, None))

    def takes(why, fact="refused"):  # mutants: something else is taken for a refusal
        return f"run takes {why} for a refusal", s._replace(fact=fact, burn=1, run="refused")

    if r == "settled":
        yield "run ends", s._replace(run=None, cancel=0)
    elif r == "new" and s.cancel:
        yield takes("the operator's cancel") if m.has("cancel_without_burn") else start("burn")
    elif r in ("doubt", "inflight"):
        yield start("query")
        if s.cancel and r == "inflight":
            yield start("burn")
    elif r == "refused":
        yield start("refund" if s.num or m.flags & {"derived_number", "no_refund_row"} else "intent")
    elif r in ("new", "burn", "sold"):
        yield start({"new": "place", "sold": "deliver"}.get(r, r))
    elif r == "empty":
        yield start("query")
        if m.has("refund_on_empty"):
            yield takes("an empty GET")
        if not (s.burn or s.cancel or s.t):
            if s.ev and s.k < MAX_POSTS:
                yield start("place")
        elif m.has("date_only") and s.k:
            if s.ev == 2:  # asked after date + lag
                yield takes("an empty GET sent after date + lag", "burnt")
        elif s.h or not s.k or m.has("no_horizon"):
            yield takes("the horizon") if m.has("no_burn") else start("burn")


# --- carrier and provider: each yields (what happens, state, answer) ---------------------------------------------
def arrive(s, msg, m):
    """A request reaches the other side."""
    kind = msg[0]
    if kind == "POST" and (s.order == "-" or m.legacy or (m.has("dedupes_one_day") and s.t == 3)):
        new = s._replace(order="R", cbody=msg[1])
        if s.t >= 2 and not m.legacy and not m.has("no_date"):
            yield "carrier: first sight, date passed: rejected", new, "R"
        else:
            yield "carrier sells it", new._replace(order="C", sold=s.sold + 1), "C"
            yield "carrier takes it in", new._replace(order="I"), "I"
            yield "carrier rejects it", new, "R"
    elif kind == "POST":
        yield "carrier: known serial", s, s.order if msg[1] == s.cbody else "409"
    elif kind == "GET":
        yield "carrier looks it up", s, s.order
        if s.order != "-" and s.t < 3:  # lag has no bound here: no rule may rest on one
            yield "carrier looks it up, blind to the order it has", s, "-"
    elif kind == "CANCEL" and s.order == "-":
        yield "carrier burns the serial", s._replace(order="X"), "X"
    elif kind == "CANCEL":
        yield "carrier: cancel of a known serial", s, s.order if s.order in "XR" else "409"
        if m.has("lagging_burn") and s.t < 3:
            yield "carrier confirms a burn, blind to the order it has", s, "X"
    else:
        n = msg[1] - 1
        s = s._replace(pay=put(s.pay, n, "P")) if s.pay[n] == "-" else s
        yield f"provider: refund {msg[1]} is {s.pay[n]}", s, s.pay[n]


def put(tup, i, *new):
    """The tuple with item i replaced (or dropped)."""
    return tup[:i] + new + tup[i + 1 :]


def more(tup, item):
    """The multiset with one more item."""
    return tuple(sorted((*tup, item), key=repr))


# --- the whole world -----------------------------------------------------------------------------------------
def successors(s, m):
    """Yield (class, words, state): sys = run, carrier, provider, clock; env = zombies, late messages; op; fault."""
    a = s.act
    if a is None and s.run not in (None, "park"):
        for words, s2 in decide(s, m):
            yield "sys", words, s2
    elif a is not None and a[1] == "w":
        for words, s2, answer in arrive(s, a[3], m):
            asked = 1 if a[0] == "query" else s.asked
            yield "sys", words, s2._replace(act=(a[0], "a", a[2], answer), asked=asked)
        net = s.net if a[0] == "query" else more(s.net, a[3])
        yield "fault", f"{a[0]} gets no answer", s._replace(net=net, act=(a[0], "a", a[2], "no answer"))
    elif a is not None:
        words, s2, a2, result = STEPS[a[0]](s, a, m)
        yield "sys", f"{a[0]} {words}", sent(s2._replace(act=a2, run=s.run if a2 else result), a2, m, True)
    for i, z in enumerate(s.zombies):
        rest = put(s.zombies, i)
        if z[1] == "w":
            for words, s2, answer in arrive(s, z[3], m):
                asked = 1 if z[0] == "query" else s.asked
                left = more(rest, (z[0], "a", z[2], answer))
                yield "env", f"(for the zombie) {words}", s2._replace(zombies=left, asked=asked)
        else:
            words, s2, z2, _ = STEPS[z[0]](s, z, m)
            s2 = s2._replace(zombies=more(rest, z2) if z2 else rest)
            yield "env", f"zombie {z[0]} {words}", sent(s2, z2, m, False)
    for i, msg in enumerate(s.net):
        for words, s2, _ in arrive(s, msg, m):
            yield "env", f"the late {msg[0]} arrives: {words}", s2._replace(net=put(s.net, i))
    yield from surroundings(s, m)
    if s.run is None:
        again = s._replace(run="new", cancel=0)
        if s.out == "-" and not m.legacy:
            again = again._replace(ro=s.ro + 1, ev=0, asked=0)
        yield ("sys" if s.out == "-" else "fault"), "reopen: a new run starts", again
    elif s.out == "-":
        if not s.cancel:
            yield "op", "operator cancels (or refund_now)", s._replace(cancel=1)
        if s.fact == "-" and s.k and (s.run == "park" or not m.legacy):
            yield from resolve(s, m)
    if s.run is not None and (a is None or a[1] in LINGERS[a[0]]):
        left = s._replace(act=None, zombies=more(s.zombies, a)) if a else s
        yield "fault", f"the run is terminated{' in ' + a[0] if a else ''}", left._replace(run=None, cancel=0)
        for k in range(1, s.k):  # a reset to the start is: terminate, reopen, cancel again
            yield "fault", f"the run is reset to an old empty GET ({k})", left._replace(run="empty")
        if a:
            again = (a[0], 0, None, None)
            yield "fault", f"the worker freezes or dies in {a[0]}; a second attempt starts", left._replace(act=again)


def surroundings(s, m):
    """What carrier, provider and clock do by themselves."""
    if s.order == "I":
        yield "sys", "carrier completes the order", s._replace(order="C", sold=s.sold + 1)
        yield "sys", "carrier fails the order", s._replace(order="R")
        if m.has("hangs"):
            yield "sys", "the order hangs at the carrier for ever", s._replace(order="H")
    if s.order == "X" and m.has("carrier_breaks_word"):
        yield "fault", "carrier sells what it has burnt", s._replace(order="C", sold=s.sold + 1)
    for n, p in enumerate(s.pay):
        if p == "P":
            yield "sys", f"provider: refund {n + 1} succeeds", s._replace(pay=put(s.pay, n, "S"))
        if p == "P" and n == 0:
            yield "sys", "provider: refund 1 is CLOSED", s._replace(pay=put(s.pay, n, "C"))
        if p == "P" and m.has("refund_impossible"):
            yield "sys", f"provider: refund {n + 1} can never be paid", s._replace(pay=put(s.pay, n, "A"))
        if p == "C" and m.has("closed_then_success"):
            yield "fault", "provider: refund 1 succeeds although CLOSED", s._replace(pay=put(s.pay, n, "S"))
    if s.k and not s.h:
        yield "sys", "the horizon passes", s._replace(h=1)
    if s.k and not m.legacy and s.t < (3 if m.flags & {"date_only", "dedupes_one_day", "late_burn"} else 2):
        yield "sys", f"time passes: t = {s.t + 1}", s._replace(t=s.t + 1, h=1 if s.t == 2 else s.h)


def sent(s, a, m, live):
    """Rules P6 and P7, when an attempt has just put a POST on the wire."""
    if not a or a[1] != "w" or a[3][0] != "POST":
        return s
    s = blame(s, m, "P6", s.first and a[3][1] != s.first)
    if live or m.has("strict_ask_first"):
        s = blame(s, m, "P7", not s.asked)._replace(asked=0)
    return s._replace(first=s.first or a[3][1])


def resolve(s, m):
    """The operator's word.  Human error is excluded: what he says is true at the carrier NOW."""
    if s.sold:
        yield "op", "operator: delivered", s._replace(fact="sold", run="sold" if s.run == "park" else s.run)
    elif m.legacy:
        quiet = not s.net and not any(z[0] == "place" for z in s.zombies)
        if s.order in "-R" and (quiet or m.has("resolve_any_time")):
            yield "op", "operator: not delivered", s._replace(fact="refused", run="refused")
    elif s.order == "H" and m.has("carriers_word"):
        yield "op", "operator: not delivered, the carrier gave it up", s._replace(fact="refused")
    elif s.order in "-RX" and m.has("resolve_without_burn"):
        yield "op", "operator: not delivered; taken for a refusal", s._replace(fact="refused")
    elif s.order in "-RX" and not s.cancel:
        yield "op", "operator: not delivered; burn first", s._replace(cancel=1)


def broken(s, m):
    """The first rule that this state breaks, or ''."""
    back = s.pay.count("S")
    lies = (
        (s.out == "D" and s.sold != 1)
        or (s.out == "R" and back != 1)
        or (s.fact == "sold" and not s.sold)
        or (s.fact in ("refused", "burnt") and s.sold)
    )
    for rule, bad in ("M1", s.sold > 1), ("M2", back > 1), ("M3", s.sold and back), ("B5", lies):
        if bad and rule in m.rules:
            return rule
    return s.bad


def tidy(s, m):
    """Forget what can no longer matter, so that states that differ in it alone are one."""
    if s.bad or m.has("dedupes_one_day"):
        return s
    sure = s.fact != "-" and (s.order != "-" or m.legacy)  # nothing can change the carrier's word any more
    a, run, zombies, net = s.act, s.run, s.zombies, s.net
    if (sure and a and a[1] == 0 and a[0] in ("place", "query", "burn")) or (
        sure and not a and run not in (None, "settled", "sold", "refused")
    ):
        a, run = None, known(s)
    if zombies:
        zombies = tuple(z for z in zombies if matters(z, s, m, sure))
    if net and not m.legacy:
        net = tuple(sorted({x for x in net if (s.pay[x[1] - 1] if x[0] == "REFUND" else s.order) == "-"}))
    if sure:
        asked = s.asked if a and a[0] == "place" and a[1] in (1, 2) else 1
        s = s._replace(t=max(s.t, 2), h=1, cancel=0, k=min(s.k, 1), ev=0, ro=0, asked=asked, act=a, run=run)
    return s._replace(zombies=zombies, net=net) if zombies is not s.zombies or net is not s.net else s


def matters(z, s, m, sure):
    """Can this zombie still change anything?"""
    kind, pc, arg, x = z
    if kind == "refund":
        return (
            s.out == "-"
            if pc == 0
            else pc != "a" or ((x == "S" and s.out == "-") or (x != "S" and (s.num or 1) == arg == 1))
        )
    if (
        pc == "a"
        and not sure
        and ((x == "-" and arg[0] == s.k and arg[2] == s.ro) or (x in ("I", "H", "409") and s.ev))
    ):
        return True
    if kind == "intent":
        return s.out == "-" and not s.num
    if pc == "a":
        return x in ("C", "R", "X") or (x == "409" and m.has("409_is_refusal"))
    return (
        s.out == "-"
        if kind == "deliver"
        else not (sure and ((kind == "place" and pc in (0, 1) and not m.has("no_last_look")) or kind == "query"))
    )

"""Every state that one order can get into: `next_step` and the rules it guards, driven by all interleavings.

Carrier, provider, operators and clock are free to do what contracts §3 to §5 let them do. Any activity may start at any
moment at which its own guard lets it: so nothing here rests on the saga's own order of steps.
An attempt may stay where it is for ever (it died) or go on at any later moment (it was frozen, or its run is gone).

What costs one of the few `faults` of an exploration: an attempt beside others that have not ended, a request that is
late or lost, an answer that is lost or says 5xx, a run that is gone and another that takes the order up. Cancel,
`resolve`, `retry_now`, time, lag and slow carriers are free.

With `restores`, the row may be rolled back, once, at the price of a fault, to what it was at any earlier moment: every
attempt has ended then, what was sent may still arrive.

Invariants, checked in every state (`Broken`):
    M1 sold at most once · M2 paid back at most once · M3 never sold and paid back
    R4 a refund intent and its request only on a definite refusal or a confirmed burn that is true at the carrier
    B5 the book's fact and outcome agree with the world, and a fact once written stays
    P6 one body is on its way per order · P7 a further POST is granted only after a `GET` that was asked after the last
    grant · C8 no POST is granted after a cancel, a burn intent or a refund intent
    P7b and, where the last POST was not answered, asked the longest latency + the lag after it may have left
    P8 a burn of what was posted rests on an empty `GET` that was asked after the last grant
    P9 a run that takes the order up asks the carrier before it posts or burns
    A9 after a restore nothing is sent unasked: no POST before a `GET` that was asked when all that the lost time had
    sent has arrived, no refund number before the provider was asked for it
    R5 a refund number that the provider has refused leaves again only where an operator has asked for it · R6 the next
    number follows one that was seen `CLOSED` twice
    N1 `next_step` says one step in every state, and `Done` in those that have their end · N2 no rule moves the status
    where `orders.lifecycle` knows no way
    and no rule raises. Beside these `dead_ends` finds the states that the saga alone gets out of no more.

| file | holds |
|---|---|
| `world.py` | one state of an order and of the world around it |
| `outside.py` | what carrier, provider and clock do |
| `book.py` | the row: what `next_step` says of it, a rule as one transaction |
| `carrier.py`, `refund.py` | the activities, a step at a time |
| `operators.py` | what operators say |
| `walk.py` | the walk, the invariants, the dead ends |
| `at_most_once.py` | the same for a carrier that can't be asked |
"""

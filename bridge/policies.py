"""Every time, size and back-off of the bridge, each with its reason. Kafka's own are in `adapters.kafka.limits`.

None is scaled: they belong to our own parts, not to the outside world's pace.
"""

from typing import Final

START_SECONDS: Final = 10.0
"""Limit of one start: a frozen Temporal accepts connections and answers nothing."""
STARTS_AT_ONCE: Final = 50
"""Enough to fill Temporal's latency; more only queue in its client."""
BATCH: Final = 100
"""Records parsed at a stretch, orders claimed in one call."""
PARSE_SECONDS: Final = 0.1
"""Parsing stops after this, too; a batch of orders takes a tenth of it. A storm of 64 KiB of `{},` held the event loop
for as long as it came, health and worker with it (measured on a busy machine: 300 records, 35 s)."""

# --- admission -------------------------------------------------------------------------------------------------------

CAPACITY_ASKED_EVERY_SECONDS: Final = 0.1
CAPACITY_TRUSTED_SECONDS: Final = 1.0
"""Other bridges admit orders too: a count is believed this long while there is capacity."""
FULL_PAUSE_SECONDS: Final = 0.1
FULL_SECONDS: Final = 2.0
"""After so long without capacity, this very queue may hold what uses it up: claimed before a crash, not started."""

# --- outages ---------------------------------------------------------------------------------------------------------

RETRY_FIRST_PAUSE_SECONDS: Final = 0.2
RETRY_LONGEST_PAUSE_SECONDS: Final = 5.0
"""What is back is noticed within this."""
KEEPER_LONGEST_PAUSE_SECONDS: Final = 30.0
"""Between attempts to read unmatched payments and dead letters: nobody waits for them by the second."""
BUG_PAUSE_SECONDS: Final = 30.0
"""Between attempts at a record that an error of ours holds back."""
CALL_PERSON_AFTER_SECONDS: Final = 300.0
"""An order that others overtake for so long waits for something of its own: a row that somebody holds, a start that is
refused for it alone. As long as a part may be away before its alert (deploy/alert-rules.yml)."""
LINE_EVERY_SECONDS: Final = 60.0
"""An outage is logged this often (contracts §8)."""

# --- process ---------------------------------------------------------------------------------------------------------

WATCH_EVERY_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 15.0
"""At stop, what was claimed gets this long; the rest is read again by the next process."""
LEAVE_SECONDS: Final = 15.0
"""Poll, commit and close, each bounded (`adapters.kafka.limits`)."""

assert START_SECONDS < SETTLE_SECONDS
assert CAPACITY_ASKED_EVERY_SECONDS < CAPACITY_TRUSTED_SECONDS < FULL_SECONDS

"""Every time, size and back-off of this package, each with its reason; their relations are asserted at the end.

None of them is scaled: they belong to the network and to the client library, not to the outside world's pace. Where
"measured" stands, it was kafka-python 3.0.12 against Apache Kafka 4.4.0 (docs/facts/kafka.md).
"""

from typing import Final

# --- every client ----------------------------------------------------------------------------------------------------

BOOTSTRAP_TIMEOUT_MS: Final = 5_000
"""A constructor's wait for a first broker; the default of 30 s would hold a thread up for as long."""
REQUEST_TIMEOUT_MS: Final = 15_000
"""A connection that was dropped in silence (a NAT, a switch) is found out by the next request within this."""
RECONNECT_BACKOFF_LONGEST_MS: Final = 2_000
"""The client's own back-off grows to 30 s: a broker that is back would be noticed that late."""

# --- member of the group ---------------------------------------------------------------------------------------------

SESSION_TIMEOUT_MS: Final = 10_000
"""A dead bridge's partitions move after this. A longer one spares redeliveries when a broker freezes, but those are
no-ops, and orders that wait for a dead bridge are not."""
HEARTBEAT_INTERVAL_MS: Final = 2_000
FETCH_MAX_WAIT_MS: Final = 500
EMBEDDED_SESSION_TIMEOUT_MS: Final = 4_000
"""librdkafka's mock cluster answers a group's first join after 3 s: a session of 2 s was over by then, each time, and
nothing was ever read (measured). A rejoin waits for session − 1 s."""
EMBEDDED_HEARTBEAT_INTERVAL_MS: Final = 400
EMBEDDED_FETCH_MAX_WAIT_MS: Final = 50
MAX_POLL_INTERVAL_MS: Final = 60_000
"""For so long a member that hangs may hold a rebalance up."""
METADATA_MAX_AGE_MS: Final = 60_000
"""New partitions show after this."""
PARTITION_FETCH_BYTES: Final = 128 * 1024
"""Of one partition at once: about 200 orders. A larger record comes alone."""
MAX_POLL_RECORDS: Final = 1_000_000
"""All that was fetched comes in one poll: a partition that is paused with records half handed over may never be read
again (measured; kafka-python keeps them, and then forgets them)."""

READ_AGAIN_SECONDS: Final = 120.0
"""After whatever happened to Kafka's addresses, records are read again within this."""

# --- consumer loop ---------------------------------------------------------------------------------------------------

POLL_MS: Final = 1_000
"""Shorter ones lose rebalances that end between two polls (measured: `poll(0)` made 123 generations in 25 s)."""
POLL_UNDER_BACKPRESSURE_MS: Final = 200
"""While a partition is paused for its cap, so that it goes on soon. Only in a stable group, see above."""
STALE_POLL_SECONDS: Final = 10.0
"""A loop that has not polled for so long is not ready."""
UNSTABLE_SECONDS: Final = 40.0
"""A rebalance takes as long as its slowest member: a frozen one 10 s (its session). Longer is the client's fault."""
STUCK_POLL_SECONDS: Final = 45.0
"""`poll` spins for ever behind a record that it can't decode (measured): it is broken off after this."""
UNHEARD_SECONDS: Final = 10.0
"""No heartbeat was answered for a session: not ready, whatever the client says of itself."""
SILENT_SECONDS: Final = 30.0
"""No heartbeat was answered for so long: the client may know nothing but addresses that are gone (measured: it never
asks the bootstrap servers again). Above what a broker takes to restart, where the membership lives on."""
LATE_SECONDS: Final = 15.0
"""A partition that has records and gave none for so long: not ready."""
STALLED_SECONDS: Final = 45.0
"""And for so long: a new consumer is made."""
LONGEST_PATIENCE_DOUBLINGS: Final = 4
"""Where new consumers don't help either, each gets twice as long, up to 12 min: each costs the group a rebalance."""
CLOSE_MS: Final = 5_000
"""Of the last commit, and of `close` (measured: 30 s with a frozen broker by default)."""
PROGRESS_EVERY_SECONDS: Final = 2.0
OFFSETS_MS: Final = 5_000
"""A question for offsets on the poll thread; heartbeats go on meanwhile."""
COMMIT_EVERY_SECONDS: Final = 0.5
COMMIT_LOST_SECONDS: Final = 30.0
"""A commit whose answer never came no longer holds the next one up."""
REBUILD_FIRST_PAUSE_SECONDS: Final = 0.25
REBUILD_LONGEST_PAUSE_SECONDS: Final = 5.0
"""Kafka that is back is noticed within this."""
MAX_IN_FLIGHT: Final = 2_000
"""Some seconds of work, over all partitions; what a crash makes the next bridge read again."""
MIN_IN_FLIGHT_PER_PARTITION: Final = 200
"""As much as one fetch brings, so that one busy partition isn't slowed by many idle ones."""
MAX_IN_FLIGHT_BYTES: Final = 64 * 1024 * 1024

BATCH_BYTES: Final = 32 * 1024 * 1024
"""What one batch may decompress to: 10 KB of gzip can hold 10 MB, of lz4 2 MB, and each partition hands over one batch
at a time. A batch of orders is below 2 MiB (`PARTITION_FETCH_BYTES`, compressed ten times)."""

# --- a partition that can't be read ----------------------------------------------------------------------------------

PROBE_MS: Final = 3_000
PROBE_CLOSE_MS: Final = 1_000

# --- watching the broker ---------------------------------------------------------------------------------------------

WATCH_EVERY_SECONDS: Final = 3.0
WATCH_ANSWER_SECONDS: Final = 3.0
"""Without an answer by then Kafka counts as away; a late one is taken at the next look."""
WATCH_ABANDON_SECONDS: Final = 30.0
"""A question that was never answered is given up, and a new client asks, from the bootstrap servers."""

# --- producer --------------------------------------------------------------------------------------------------------

DELIVERY_TIMEOUT_MS: Final = 30_000
"""The client's own attempts at one record. One that "expired" may have been written all the same (measured)."""
MAX_BLOCK_MS: Final = 3_000
"""`send` waits for metadata, or for room in its buffer: below the 5 s in which a payment provider is answered."""
LARGEST_REQUEST_BYTES: Final = 256 * 1024 * 1024
"""The topic's limit rules, not the client's (1 MiB by default, which refuses a dead letter of 1 MB)."""
ACKNOWLEDGED_SECONDS: Final = DELIVERY_TIMEOUT_MS / 1000 + 5
"""For whoever has time: longer than the client itself tries. Without an answer by then it is sent anew."""
REPLACE_PRODUCER_SECONDS: Final = 15.0
"""Sends fail and nothing was acknowledged for so long: a new producer asks the bootstrap servers for addresses."""
PRODUCER_CLOSE_SECONDS: Final = 2.0
"""With a record pending, `close` ends by raising (measured), and without a limit never."""

# --- reading a topic to its end, for operators ----------------------------------------------------------------------

READ_MS: Final = 10_000

assert HEARTBEAT_INTERVAL_MS * 3 < SESSION_TIMEOUT_MS
assert EMBEDDED_HEARTBEAT_INTERVAL_MS * 3 < EMBEDDED_SESSION_TIMEOUT_MS
assert UNHEARD_SECONDS >= SESSION_TIMEOUT_MS / 1000
assert UNHEARD_SECONDS < SILENT_SECONDS < UNSTABLE_SECONDS
assert POLL_MS / 1000 < STALE_POLL_SECONDS < STUCK_POLL_SECONDS < MAX_POLL_INTERVAL_MS / 1000
assert LATE_SECONDS < STALLED_SECONDS
assert SILENT_SECONDS + STALLED_SECONDS + BOOTSTRAP_TIMEOUT_MS / 1000 + SESSION_TIMEOUT_MS / 1000 < READ_AGAIN_SECONDS
assert MAX_BLOCK_MS < REQUEST_TIMEOUT_MS < DELIVERY_TIMEOUT_MS

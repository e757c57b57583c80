"""Which partition holds the record that the client library can't decode.

`poll` raises without naming the partition, and spins for ever if it is called again (measured); the bytes behind the
record can't be told apart from good ones. So each partition is asked alone, by a reader outside the group.
"""

from collections.abc import Callable, Mapping, Sequence

from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError

from adapters.kafka import limits
from adapters.kafka.protocols import Consumer, Message, Partition


class Undecodable(Exception):
    """`poll` met a batch that can't be decoded: a header key that isn't UTF-8, an unknown codec, a wrong checksum.

    The consumer must be closed now: its next `poll` would spin.
    """


class PollStuck(Exception):
    """Raised into the poll thread when `poll` doesn't come back: the spin behind an undecodable record."""


def poll(consumer: Consumer, timeout_ms: int, max_records: int | None = None) -> Mapping[Partition, Sequence[Message]]:
    """`Consumer.poll`, with all that decoding raises (and each codec has its own errors) as one error.

    Raises:
        Undecodable: see there.
        KafkaError: anything else; the consumer can go on.
    """
    try:
        return consumer.poll(timeout_ms, max_records)
    except PollStuck as error:
        raise Undecodable("the client spins") from error
    except (CorruptRecordError, UnsupportedCodecError) as error:
        raise Undecodable(type(error).__name__) from error
    except KafkaError:
        raise
    except Exception as error:
        raise Undecodable(type(error).__name__) from error


def unreadable(positions: Mapping[Partition, int], make_reader: Callable[[], Consumer]) -> dict[Partition, str]:
    """The partitions whose next record can't be decoded, with the reason. Takes up to 3 s each.

    Args:
        positions: where each partition is read next.
        make_reader: a consumer outside the group.

    Raises:
        KafkaError: no broker answers.
    """
    found: dict[Partition, str] = {}
    reader = make_reader()
    try:
        ends = reader.end_offsets(list(positions), timeout_ms=limits.PROBE_MS)
        for partition, position in positions.items():
            if position >= ends.get(partition, position):
                continue
            reader.assign([partition])
            reader.seek(partition, position)
            try:
                poll(reader, limits.PROBE_MS, max_records=1)
            except Undecodable as error:
                found[partition] = str(error)
                reader.close(autocommit=False, timeout_ms=limits.PROBE_CLOSE_MS)
                reader = make_reader()
    finally:
        reader.close(autocommit=False, timeout_ms=limits.PROBE_CLOSE_MS)
    return found

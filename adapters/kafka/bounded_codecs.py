"""Decompression with a limit: kafka-python inflates a whole batch into memory, however large it becomes (3.0.12).

A record of some KB that becomes hundreds of MiB would end the bridge, and the next one, for as long as it is in the
topic. Beyond the limit the batch counts as one that can't be decoded: its partition stands still and says so.
Snappy's ratio is bounded by its format (about 21), so that the broker's own limit of a message is one for it too.
"""

import zlib
from collections.abc import Callable
from typing import Any, cast

import lz4.frame  # pyright: ignore[reportMissingTypeStubs] - it brings none
import zstandard
from kafka.errors import CorruptRecordError
from kafka.record import default_records

from adapters.kafka import limits

GZIP_WINDOW = 16 + zlib.MAX_WBITS


class BatchTooLarge(CorruptRecordError):
    """A batch would decompress to more than the limit."""


def gzip_decode(payload: memoryview | bytes) -> bytes:
    """As kafka-python's, within the limit."""
    whole = bytearray()
    rest = bytes(payload)
    while rest:  # members one after the other are one stream (RFC 1952)
        member = zlib.decompressobj(GZIP_WINDOW)
        whole += _within(member.decompress(rest, limits.BATCH_BYTES + 1 - len(whole)), len(whole))
        if not member.eof:
            raise CorruptRecordError("the gzip stream ends too early")
        rest = member.unused_data
    return bytes(whole)


def lz4_decode(payload: memoryview | bytes) -> bytes:
    """As kafka-python's, within the limit."""
    decompressor = cast("Any", lz4.frame).LZ4FrameDecompressor()
    return _within(decompressor.decompress(bytes(payload), max_length=limits.BATCH_BYTES + 1))


def zstd_decode(payload: memoryview | bytes) -> bytes:
    """As kafka-python's, within the limit."""
    with zstandard.ZstdDecompressor().stream_reader(bytes(payload), read_across_frames=True) as stream:
        return _within(stream.read(limits.BATCH_BYTES + 1))


def _within(data: bytes, before: int = 0) -> bytes:
    if before + len(data) > limits.BATCH_BYTES:
        raise BatchTooLarge(f"a batch decompresses to more than {limits.BATCH_BYTES} bytes")
    return data


def install() -> None:
    """Give kafka-python these in place of its own. Once per process; a second time changes nothing."""
    ours: dict[str, Callable[[bytes], bytes]] = {
        "gzip_decode": gzip_decode,
        "lz4_decode": lz4_decode,
        "zstd_decode": zstd_decode,
    }
    for name, decode in ours.items():
        if not hasattr(default_records, name):
            raise ImportError(f"kafka-python has no kafka.record.default_records.{name} to replace: use 3.0.12")
        setattr(default_records, name, decode)

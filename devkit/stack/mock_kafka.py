"""An embedded Kafka: librdkafka's mock cluster, in a process of its own, with nothing installed but pip.

It speaks the wire protocol over loopback TCP, keeps everything in memory, and serves a first run; it proves nothing
about a real broker. kafka-python needs `api_version=(2, 3)` against it (measured). The cluster's functions are exported
by the library inside the confluent-kafka wheel and are called through ctypes.

`python -m devkit.stack.mock_kafka --topic NAME=PARTITIONS …` prints one line, the bootstrap servers, once it listens,
and writes the same to `--address-file`; it runs until SIGTERM.
"""

import argparse
import ctypes
import signal
import sys
from pathlib import Path
from typing import Any

REBALANCE_DELAY_MS = 20
"""The mock's default of 3 s would be most of a short run's start."""
NAME_BYTES = 512


class MockKafkaMissing(Exception):
    """The library is not there or has no mock cluster; the text says what to install."""


class MockKafka:
    """One broker with its topics. Lives until `close` or the end of the process.

    Raises:
        MockKafkaMissing: the library cannot be used.
    """

    def __init__(self, topics: dict[str, int]) -> None:
        self._library = library = _load()
        error = ctypes.create_string_buffer(NAME_BYTES)
        configuration = library.rd_kafka_conf_new()
        self._handle = library.rd_kafka_new(0, configuration, error, NAME_BYTES)
        if not self._handle:
            raise MockKafkaMissing(f"librdkafka could not start its mock cluster: {error.value.decode()}")
        self._cluster = library.rd_kafka_mock_cluster_new(self._handle, 1)
        if not self._cluster:
            raise MockKafkaMissing("librdkafka could not start its mock cluster; is loopback TCP allowed here?")
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, REBALANCE_DELAY_MS)
        for name, partitions in topics.items():
            code = library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
            if code != 0:
                why = library.rd_kafka_err2str(code).decode()
                raise MockKafkaMissing(f"the mock cluster could not create the topic {name}: {why}")

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of the broker."""
        return self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        """End the broker; its records are gone."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def _load() -> ctypes.CDLL:
    try:
        import confluent_kafka.cimpl as extension  # noqa: PLC0415 - an extra; its absence is a sentence, not a traceback
    except ImportError as error:
        raise MockKafkaMissing("the embedded Kafka needs confluent-kafka: install the extra `local`") from error
    beside = Path(str(extension.__file__)).parent.parent / "confluent_kafka.libs"
    bundled = sorted(beside.glob("librdkafka*"))
    # Without a bundled library the extension itself is linked with it, and the symbols resolve through it.
    library = ctypes.CDLL(str(bundled[0] if bundled else extension.__file__))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_new": (pointer, [number, pointer, ctypes.c_char_p, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [number]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in signatures.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise MockKafkaMissing(f"this confluent-kafka has no {name}: install 2.16 or newer") from error
        function.restype, function.argtypes = result, arguments
    return library


def _topic(text: str) -> tuple[str, int]:
    name, _, partitions = text.partition("=")
    if not name or not partitions.isdigit() or int(partitions) < 1:
        raise argparse.ArgumentTypeError("write NAME=PARTITIONS, as in topup.paid-orders=12")
    return name, int(partitions)


def main() -> None:
    """Run the broker until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m devkit.stack.mock_kafka", description=__doc__)
    parser.add_argument("--topic", action="append", type=_topic, default=[], metavar="NAME=PARTITIONS")
    parser.add_argument("--address-file", type=Path)
    options = parser.parse_args()
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before librdkafka's threads, which inherit the mask
    try:
        broker = MockKafka(dict(options.topic))
    except MockKafkaMissing as error:
        sys.exit(str(error))
    address = broker.bootstrap_servers
    if options.address_file:
        temporary = options.address_file.with_suffix(".new")
        temporary.write_text(address)
        temporary.replace(options.address_file)  # a reader never sees half an address
    print(address, flush=True)
    signal.sigwait(signals)
    broker.close()


if __name__ == "__main__":
    main()

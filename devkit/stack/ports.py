"""Loopback ports: the usual one where it is free, else another."""

import secrets
import socket

LOOPBACK = "127.0.0.1"
FREE_RANGE = range(20_000, 32_000)
"""Below 32768, where Linux starts to take ports for outgoing connections: a part that is down for a while finds its
port free when it comes back."""


def is_free(port: int) -> bool:
    """Whether nothing listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Ports:
    """Hands out loopback ports, none of them twice.

    Args:
        usual: whether a part gets its usual port where that is free; else every port is an arbitrary free one.
    """

    def __init__(self, *, usual: bool) -> None:
        self._usual = usual
        self._given: set[int] = set()
        self.moved: list[str] = []
        """A sentence for each part that did not get its usual port."""

    def take(self, name: str, usual: int) -> int:
        """A port for the part that usually listens on `usual`."""
        if self._usual and usual not in self._given:
            if is_free(usual):
                self._given.add(usual)
                return usual
            port = self.any()
            self.moved.append(f"port {usual} is taken, so {name} listens on {port}")
            return port
        return self.any()

    def any(self) -> int:
        """A port that nothing listens on now."""
        while True:
            port = secrets.choice(FREE_RANGE)
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port

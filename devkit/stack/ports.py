"""Loopback ports of a stack: the usual one where it is free, else another."""

from devkit.servers.process import free_port, is_free

LOOPBACK = "127.0.0.1"


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
        if not self._usual or usual in self._given:
            return free_port()
        if is_free(usual):
            self._given.add(usual)
            return usual
        port = free_port()
        self.moved.append(f"port {usual} is taken, so {name} listens on {port}")
        return port

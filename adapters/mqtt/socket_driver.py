"""A connected paho-mqtt client served by the event loop, instead of by paho's network thread.

As paho's `loop_read`, `loop_write` and `loop_misc` are made for. So every callback runs on the loop's own thread: an
acknowledgement can't come before the message ID is known, a broken packet that makes paho raise ends one connection
instead of a silent thread, more than 1023 open files don't break `select`, and nothing ever has to be joined.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, Final, cast

from paho.mqtt.client import Client

_TICK_SECONDS: Final = 1.0
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER 1, 0: the kernel throws its send buffer away instead of delivering it some time later."""


class SocketDriver:
    """Reads, writes and pings for one client until `stop`. Bound to one event loop.

    Args:
        client: connected, its socket served by nobody else.
        broken: called with whatever paho raised on broken input; must call `stop`.
    """

    def __init__(self, client: Client, *, broken: Callable[[Exception], None]) -> None:
        self._client = client
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._stopped = False
        self._writer_added = False
        self._tick_seconds = min(_TICK_SECONDS, client.keepalive / 4)
        opened = socket_of(client)
        assert opened is not None, "the connector gives away no client without one"
        self._socket = opened
        client.on_socket_close = self._forget_socket
        client.on_socket_register_write = self._on_want_write
        client.on_socket_unregister_write = self._on_written
        self._loop.add_reader(opened, self._read)
        if client.want_write():  # CONNECT did not go out whole
            self._on_want_write()
        if isinstance(opened, ssl.SSLSocket) and opened.pending():
            self._loop.call_soon(self._read)
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    def stop(self, *, reset: bool) -> None:
        """Close the connection now, without waiting for anything; the second time it does nothing.

        Args:
            reset: throw away what the kernel has not sent yet; else say DISCONNECT and let the kernel finish.
        """
        if self._stopped:
            return
        self._stopped = True
        self._timer.cancel()
        self._forget_socket()
        # Without callbacks: this may run inside one, and paho's lock around them would lock the loop up against itself.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_publish = None
        client.on_socket_close = client.on_socket_register_write = client.on_socket_unregister_write = None
        with contextlib.suppress(Exception):  # whatever fails here: the socket is closed below
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            elif client.is_connected():
                client.disconnect()
                client.loop_write()
        with contextlib.suppress(OSError):
            self._socket.close()

    def _read(self) -> None:
        self._guarded(self._read_all)

    def _read_all(self) -> None:
        self._client.loop_read()
        # What TLS has decrypted already doesn't make the socket readable again.
        while isinstance(opened := socket_of(self._client), ssl.SSLSocket) and opened.pending():
            self._client.loop_read()

    def _write(self) -> None:
        self._guarded(self._write_all)

    def _write_all(self) -> None:
        self._client.loop_write()
        if not self._stopped and self._client.want_write() and not self._writer_added:
            self._writer_added = True
            self._loop.add_writer(self._socket, self._write)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        self._guarded(self._client.loop_misc)

    def _guarded(self, step: Callable[[], object]) -> None:
        if self._stopped:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001 - what a hostile or broken peer can make paho raise is open-ended
            self._broken(error)

    def _on_want_write(self, *_: Any) -> None:
        # Once for all that is published in this turn of the loop.
        self._loop.call_soon(self._write)

    def _on_written(self, *_: Any) -> None:
        if self._writer_added:
            self._writer_added = False
            self._loop.remove_writer(self._socket)

    def _forget_socket(self, *_: Any) -> None:
        """Before the socket is closed, while it still has its number."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)


def socket_of(client: Client) -> socket.socket | None:
    """The client's socket; paho's own type for it allows for WebSockets, which nobody uses here."""
    return cast("socket.socket | None", client.socket())

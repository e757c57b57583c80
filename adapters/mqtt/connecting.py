"""Opening the TCP and TLS connection of a paho client, which blocks, on a daemon thread of its own.

A daemon thread, not an executor: executors join their threads at the interpreter's exit, and a name look-up can't be
interrupted, so that a hung one would delay the exit.
"""

import asyncio
import contextlib
import functools
import socket
import ssl
import threading
from typing import Final

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from adapters.mqtt.broker import Broker, Credentials
from adapters.mqtt.errors import no_certificates, no_connection
from adapters.mqtt.socket_driver import socket_of
from adapters.tls import trusting

_HUNG_MOST: Final = 4
"""Given-up connects of one platform that may still hang in their threads; more than one, because one bad look-up
must not keep a platform down that the next would reach."""


class NotConnected(Exception):
    """No connection came about; the text is a sentence for the operator."""


class Connector:
    """Opens connections to one platform. Bound to one event loop."""

    def __init__(self, broker: Broker, credentials: Credentials) -> None:
        self._broker = broker
        self._credentials = credentials
        self._hung = 0

    async def open(self, client_id: str, *, timeout_seconds: float) -> Client:
        """A client whose CONNECT is sent and whose socket nobody serves yet.

        Cancelled (or timed out from outside) it returns at once; the thread closes its socket whenever it is done.

        Args:
            client_id: of this connection alone.
            timeout_seconds: limits each address's TCP connect and each read of the TLS handshake, so that threads
                end; the caller limits the whole.

        Raises:
            NotConnected: there is no connection, or too many given-up ones still hang.
        """
        if self._hung >= _HUNG_MOST:
            raise NotConnected(
                f"{self._broker.whom}: {self._hung} connects hang in the name look-up or the TLS handshake:"
                " check the name service and the broker."
            )
        opened: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
        work = functools.partial(self._run, asyncio.get_running_loop(), opened, client_id, timeout_seconds)
        threading.Thread(target=work, name=f"mqtt-connect-{self._broker.name}", daemon=True).start()
        try:
            return await opened
        except asyncio.CancelledError:
            if opened.cancelled():
                self._hung += 1
            elif opened.exception() is None:
                _drop(opened.result())
            raise

    def _run(
        self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[Client], client_id: str, timeout_seconds: float
    ) -> None:
        """What the thread does: connect, and hand over to the loop."""
        outcome: Client | NotConnected
        try:
            outcome = self._connect(client_id, timeout_seconds)
        except NotConnected as error:
            outcome = error
        try:
            loop.call_soon_threadsafe(self._deliver, opened, outcome)
        except RuntimeError:  # the loop is closed: nobody waits any more
            _drop(outcome)

    def _deliver(self, opened: asyncio.Future[Client], outcome: Client | NotConnected) -> None:
        if opened.cancelled():
            self._hung -= 1
            _drop(outcome)
        elif isinstance(outcome, NotConnected):
            opened.set_exception(outcome)
        else:
            opened.set_result(outcome)

    def _connect(self, client_id: str, timeout_seconds: float) -> Client:
        client = self._client(client_id, timeout_seconds)
        try:
            client.connect(self._broker.host, self._broker.port, self._broker.keepalive_seconds)
        except Exception as error:
            raise NotConnected(no_connection(self._broker, error)) from error
        opened = socket_of(client)
        if opened is None:  # the other side was gone before CONNECT could be written
            raise NotConnected(no_connection(self._broker, ConnectionResetError()))
        # Many small packets, each awaited: Nagle's algorithm would hold them back.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _client(self, client_id: str, timeout_seconds: float) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._broker.version == "5" else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,  # else paho answers a refused 3.1.1 by connecting again as 3.1, and blocks
        )
        client.connect_timeout = timeout_seconds
        client.max_inflight_messages = 0  # `Connection` has a window of its own, and paho never a queue
        try:
            login = self._credentials(self._broker)
        except Exception as error:
            sentence = (
                f"{self._broker.whom}: its credentials can't be had ({type(error).__name__}): check their source."
            )
            raise NotConnected(sentence) from error
        client.username_pw_set(login.username, login.password)
        if self._broker.tls:
            try:
                client.tls_set_context(self._tls_context())  # pyright: ignore[reportUnknownMemberType] - paho's is untyped
            except (OSError, ValueError) as error:
                raise NotConnected(no_certificates(self._broker, error)) from error
        return client

    def _tls_context(self) -> ssl.SSLContext:
        """Read anew for each connect, so that renewed certificates are taken up."""
        context = trusting(self._broker.cafile)
        if self._broker.certfile is not None:
            # Without a password, OpenSSL would ask for the key's passphrase on the terminal and wait.
            context.load_cert_chain(self._broker.certfile, self._broker.keyfile, password="")
        return context


def _drop(outcome: Client | NotConnected) -> None:
    """Close the socket of a client that nobody waits for."""
    opened = socket_of(outcome) if isinstance(outcome, Client) else None
    if opened is not None:
        with contextlib.suppress(OSError):
            opened.close()

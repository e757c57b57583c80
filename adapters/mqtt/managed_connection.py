"""One platform: kept connected in the background, published to through whichever connection is alive."""

import asyncio
import contextlib
import random
from typing import Final

import structlog

from adapters.mqtt.broker import Broker, Credentials, MqttLimits, client_id
from adapters.mqtt.connecting import Connector, NotConnected
from adapters.mqtt.connection import Connection, ConnectionEnded, TooLarge
from adapters.mqtt.errors import FIRST_ERROR, NO_SUBSCRIBER, QUOTA_EXCEEDED, TOO_LARGE, TOPIC_INVALID, refusal
from adapters.mqtt.rate_limiter import RateLimiter
from orders.errors import NotAcknowledged
from orders.notices import Notice

_LEAST_SECONDS_TO_ACKNOWLEDGE: Final = 0.02
"""With less time left a publish isn't sent: it would only be sent twice."""
_SHORTEST_JITTER: Final = 0.5
_ENDING: Final = "{}: this process is about to end; another will try."

_log = structlog.get_logger()


class ManagedConnection:
    """The way to one platform. Nothing in it waits for another platform. Bound to one event loop.

    Up, coming up (the first connect, or the one right after a loss: publishes wait for it), or known to be down (the
    last connect failed, or an acknowledgement was missed: publishes are refused at once, while it is tried again in
    the background with back-off).
    """

    def __init__(
        self, broker: Broker, limits: MqttLimits, credentials: Credentials, *, service: str, process_id: int
    ) -> None:
        self.broker = broker
        self._limits = limits
        self._service = service
        self._process_id = process_id
        self._connector = Connector(broker, credentials)
        self._rate_limiter = RateLimiter(broker.publishes_per_second)
        self._changed = asyncio.Event()
        self._connection: Connection | None = None
        self._known_down = ""
        self._away_since: float | None = None
        self._next_attempt_at = 0.0
        self._failures = 0
        self._quota_refusals = 0
        self._closing = False
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect in the background, unless that has begun."""
        if self._keeper is None and not self._closing:
            self._keeper = asyncio.create_task(self._keep_connected(), name=f"mqtt-{self.broker.name}")

    @property
    def is_up(self) -> bool:
        """Let in by the broker, and no caller has waited in vain since the last acknowledgement."""
        connection = self._live()
        return connection is not None and not connection.doubted

    @property
    def state(self) -> str:
        """Where it stands, one sentence."""
        whom = self.broker.whom
        connection = self._live()
        if connection is not None:
            return f"{whom} owes an acknowledgement." if connection.doubted else f"{whom} is connected."
        if self._closing or self._keeper is None:
            return f"{whom} is not connected: this process has not started or is about to end."
        if not self._known_down:
            return f"{whom} is being connected."
        seconds = self._next_attempt_at - asyncio.get_running_loop().time()
        return self._known_down + (f" Next attempt in {seconds:.0f} s." if seconds > 0 else " It is being tried.")

    async def publish(self, notice: Notice, *, timeout_seconds: float) -> str:
        """See `Notifier.publish`."""
        self.start()
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._slot(deadline)
                answer = connection.publish(notice.topic(self.broker.topic), notice.payload)
        except TimeoutError:
            raise NotAcknowledged(self._not_sent(timeout_seconds)) from None
        except TooLarge:
            raise refusal(self.broker, TOO_LARGE) from None
        except ConnectionEnded as ended:
            raise NotAcknowledged(str(ended)) from None
        except ValueError:  # paho's, about the topic
            raise refusal(self.broker, TOPIC_INVALID) from None
        return self._judge(await self._answer(connection, answer, deadline, timeout_seconds))

    async def close(self, *, timeout_seconds: float) -> None:
        """Refuse what is new, wait for what is on its way, hang up. Never longer than `timeout_seconds`."""
        self._closing = True
        self._rate_limiter.wake_all()
        if (connection := self._live()) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_seconds):
                    await connection.drained()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        self._announce()

    # --- publishing --------------------------------------------------------------------------------------------------

    async def _slot(self, deadline: float) -> Connection:
        """A live connection with a slot of its window, when it is this publish's turn. No await may follow it."""
        while True:
            await self._connected()
            loop = asyncio.get_running_loop()
            if loop.time() + self._rate_limiter.seconds_to_wait() + _LEAST_SECONDS_TO_ACKNOWLEDGE > deadline:
                raise TimeoutError
            if not await self._rate_limiter.turn():
                continue
            connection = await self._connected()
            await connection.slots.acquire()
            if connection.ended is None and loop.time() + _LEAST_SECONDS_TO_ACKNOWLEDGE <= deadline:
                return connection
            connection.slots.release()

    async def _connected(self) -> Connection:
        while True:
            if self._closing:
                raise NotAcknowledged(_ENDING.format(self.broker.whom))
            if (connection := self._live()) is not None:
                return connection
            if self._known_down:
                raise NotAcknowledged(self._known_down, away_seconds=self._away_seconds())
            await self._changed.wait()

    async def _answer(
        self, connection: Connection, answer: asyncio.Future[int], deadline: float, timeout_seconds: float
    ) -> int:
        try:
            async with asyncio.timeout_at(deadline):
                return await answer
        except TimeoutError:
            connection.doubted = answer.cancelled()  # it may have come in this very moment
            raise NotAcknowledged(
                f"{self.broker.whom} did not acknowledge within {timeout_seconds:g} s: look whether the broker hangs."
            ) from None
        except ConnectionEnded as ended:
            if ended.too_large:
                raise refusal(self.broker, TOO_LARGE) from None
            raise NotAcknowledged(str(ended)) from None

    def _judge(self, code: int) -> str:
        """What the acknowledgement's reason code means; a remark, or `NotAcknowledged`."""
        self._away_since = None
        if code == QUOTA_EXCEEDED:
            self._quota_refusals += 1
            self._rate_limiter.hold(self._back_off_seconds(self._quota_refusals))
        else:
            self._quota_refusals = 0
        if code >= FIRST_ERROR:
            raise refusal(self.broker, code)
        return "no subscriber" if code == NO_SUBSCRIBER else ""

    def _not_sent(self, timeout_seconds: float) -> str:
        """Why the time was over before anything was sent."""
        whom, within = self.broker.whom, f"within {timeout_seconds:g} s; nothing was sent, it will be tried again"
        connection = self._live()
        if connection is None:
            return f"{whom} was not connected {within}: look whether the broker answers."
        if connection.slots.locked():
            return f"{whom} acknowledges too slowly for all that is on its way, {within}: look at the broker's load."
        if self._quota_refusals:
            return f"{whom} has said that the quota is exceeded, so publishing pauses; no turn came {within}."
        rate = self.broker.publishes_per_second
        if rate is None:
            return f"{whom} came back too late for this attempt, {within}."
        return f"{whom} takes {rate:g} publishes per second, and no turn came {within}."

    # --- staying connected -------------------------------------------------------------------------------------------

    def _live(self) -> Connection | None:
        connection = self._connection
        return connection if connection is not None and connection.ended is None else None

    async def _keep_connected(self) -> None:
        try:
            while True:
                await self._connected_once()
        finally:
            if self._connection is not None:
                self._connection.end(_ENDING.format(self.broker.whom), reset=False)

    async def _connected_once(self) -> None:
        """Connect, stay until that ends, and wait as long as is right before the next attempt."""
        loop = asyncio.get_running_loop()
        try:
            self._connection = connection = await self._connect()
            since = loop.time()
            self._up()
            sentence = await connection.wait_ended()
            if connection.proved or loop.time() - since >= self._limits.back_off_longest_seconds:
                self._failures = int(connection.missed)
                self._away_since = self._away_since if connection.missed else None
            else:
                self._failures += 1
        except NotConnected as error:
            sentence = str(error)
            self._failures += 1
        except Exception as error:  # noqa: BLE001 - or nobody would try any more
            _log.exception("mqtt platform: unexpected failure", platform=self.broker.name)
            sentence = f"{self.broker.whom}: unexpected {type(error).__name__}: report it with the log."
            self._failures += 1
        await self._down(sentence)

    async def _connect(self) -> Connection:
        """Connect and be let in, all within one limit."""
        connection: Connection | None = None
        limit_seconds = self._limits.connect_seconds
        try:
            async with asyncio.timeout(limit_seconds):
                client = await self._connector.open(
                    client_id(self._service, self._process_id), timeout_seconds=limit_seconds
                )
                connection = Connection(client, self.broker, self._limits)
                await connection.let_in()
        except TimeoutError:
            what = "no connection was made" if connection is None else "the broker accepted it and did not answer"
            sentence = (
                f"{self.broker.whom}: {what} within {limit_seconds:g} s: look whether it hangs or a firewall drops."
            )
            if connection is not None:
                connection.end(sentence, reset=True)
            raise NotConnected(sentence) from None
        except BaseException:
            if connection is not None:
                connection.end(f"{self.broker.whom}: the connect was given up.", reset=True)
            raise
        return connection

    def _up(self) -> None:
        _log.info("mqtt platform up", platform=self.broker.name)
        self._known_down = ""
        self._announce()

    async def _down(self, sentence: str) -> None:
        """Say so where it is news, and wait before the next attempt; right after a good connection not at all."""
        if sentence != self._known_down:
            _log.warning("mqtt platform down", platform=self.broker.name, why=sentence)
        delay_seconds = self._back_off_seconds(self._failures)
        self._known_down = sentence if self._failures else ""
        now = asyncio.get_running_loop().time()
        self._next_attempt_at = now + delay_seconds
        if self._known_down:
            self._away_since = now if self._away_since is None else self._away_since
            self._rate_limiter.wake_all()
        self._announce()
        await asyncio.sleep(delay_seconds)

    def _away_seconds(self) -> float | None:
        """Since the first failure after the last acknowledgement: one that lets us in and then hangs is away too."""
        return None if self._away_since is None else asyncio.get_running_loop().time() - self._away_since

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _back_off_seconds(self, failures: int) -> float:
        """0 without a failure, else doubling from the first to the longest, with jitter so that workers spread."""
        if failures == 0:
            return 0
        limits = self._limits
        full = min(limits.back_off_longest_seconds, limits.back_off_first_seconds * 2.0 ** min(failures - 1, 30))
        return full * random.uniform(_SHORTEST_JITTER, 1)  # noqa: S311 - spreads load, guards nothing

"""What `topup doctor` asks an MQTT platform: does it let the product in?

It publishes nothing, so what may be published stays unasked: MQTT has no question for that, and a notice that is
refused says so (alert `notice_refused`).
"""

import asyncio
import os
from typing import Any, Final

from adapters.mqtt.broker import Broker, client_id, static_credentials
from adapters.mqtt.connecting import Connector, NotConnected
from adapters.mqtt.errors import not_let_in
from console.display import Step

CONNECT_SECONDS: Final = 8.0
"""Above a broker's look at its user database, below a person's patience."""
_ACCEPTED: Final = 0


async def let_in(broker: Broker) -> str | Step:
    """Sign in as the worker does, with a client ID of its own, and leave."""
    part = f"mqtt {broker.name}"
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[int] = loop.create_future()

    def on_connect(_client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        loop.call_soon_threadsafe(answer, int(reason.value))

    def answer(code: int) -> None:
        if not answered.done():
            answered.set_result(code)

    try:
        connector = Connector(broker, static_credentials)
        client = await connector.open(client_id("topup-doctor", os.getpid()), timeout_seconds=CONNECT_SECONDS)
    except NotConnected as error:
        return Step(part, ok=False, says=str(error))
    client.on_connect = on_connect
    client.loop_start()
    try:
        code = await asyncio.wait_for(answered, CONNECT_SECONDS)
    except TimeoutError:
        return Step(part, ok=False, says=f"{broker.whom} takes connections and answers no CONNECT: restart it.")
    finally:
        client.disconnect()
        client.loop_stop()
    if code != _ACCEPTED:
        return Step(part, ok=False, says=not_let_in(broker, code))
    return f"{broker.whom} lets this user in; what it may publish is seen with a notice."

"""What can go wrong with an MQTT platform, as one sentence for the operator: what happened, then what to check.

The one mapping point for errors of sockets, TLS and MQTT reason codes. Sentences hold neither credentials nor a topic
(its template may name the car).
"""

import errno
import socket
import ssl
from typing import Final

from adapters.mqtt.broker import Broker
from orders.errors import NotAcknowledged

NO_SUBSCRIBER: Final = 0x10
FIRST_ERROR: Final = 0x80
NOT_AUTHORIZED: Final = 0x87
TOPIC_INVALID: Final = 0x90
TOO_LARGE: Final = 0x95
QUOTA_EXCEEDED: Final = 0x97
QOS_NOT_SUPPORTED: Final = 0x9B

_PERSON_NEEDED: Final = {
    NOT_AUTHORIZED: "does not allow this user to publish there: let its access rules allow the configured topic",
    TOPIC_INVALID: "does not take the topic's name: correct `topic` in TOPUP_MQTT_BROKERS",
    TOO_LARGE: "takes no message of this size: raise its limit to at least 4 KiB",
    0x99: "does not take the payload's format: let it accept CloudEvents JSON",
}
"""Refused until a person changes something: another try alone changes nothing (`NotAcknowledged.retryable`)."""

_CHECK_SETTINGS: Final = "check user, password and address in TOPUP_MQTT_BROKERS"
_NOT_LET_IN: Final = {
    0x84: "does not speak this protocol version: set `version` in TOPUP_MQTT_BROKERS to the one it speaks",
    0x85: "does not take our client ID: let its rules accept letters, digits, `_` and `-`",
    0x86: f"refused user name or password: {_CHECK_SETTINGS}",
    NOT_AUTHORIZED: f"does not authorize this user: {_CHECK_SETTINGS}, and its access rules",
    0x88: "says that it is unavailable: look at the broker",
    0x89: "says that it is busy: look at the broker's load",
    0x8A: "has banned this client: ask who runs it",
    0x8C: f"wants another way of authentication: {_CHECK_SETTINGS}",
    QUOTA_EXCEEDED: "says that the quota is exceeded: raise it or connect fewer workers",
    0x9C: "wants another server to be used: change `url` in TOPUP_MQTT_BROKERS",
    0x9D: "has moved: change `url` in TOPUP_MQTT_BROKERS",
    0x9F: "says that connects come too fast: connect fewer workers",
}
_THROWN_OFF: Final = {
    0x8B: "is shutting down",
    0x8D: "missed our keepalive: lower `keepalive_seconds` in TOPUP_MQTT_BROKERS",
    0x8E: "gave our session to another client with the same ID: look for one",
    TOO_LARGE: "takes no message of this size: raise its limit to at least 4 KiB",
    0x96: "says that messages come too fast: lower `publishes_per_second` in TOPUP_MQTT_BROKERS",
    QUOTA_EXCEEDED: "says that the quota is exceeded: lower `publishes_per_second` in TOPUP_MQTT_BROKERS",
    0x98: "closed the connection by an administrator's action: ask who runs it",
    QOS_NOT_SUPPORTED: "does not take QoS 1: it can't be used",
    0x9D: "has moved: change `url` in TOPUP_MQTT_BROKERS",
}


def no_connection(broker: Broker, error: Exception) -> str:
    """Why the name look-up, the TCP connect or the TLS handshake failed."""
    match error:
        case ssl.SSLCertVerificationError():
            why = f"its certificate is not trusted ({error.verify_message}): check `cafile` and the host's name"
        case ssl.SSLError():
            why = f"TLS failed ({error.reason or 'unknown'}): check that this port speaks TLS, `certfile` and `keyfile`"
        case socket.gaierror():
            why = "its name was not found: check the host in TOPUP_MQTT_BROKERS and the name service"
        case ConnectionRefusedError():
            why = "the connection was refused: check that the broker runs and listens there"
        case TimeoutError():
            why = "nobody answered: check the address and the firewalls between"
        case ConnectionError():
            why = "the connection was closed at once: check that this port speaks MQTT, with TLS if the url says mqtts"
        case OSError():
            why = f"no way there ({errno.errorcode.get(error.errno or 0, type(error).__name__)}): check the network"
        case _:
            why = f"the connect failed ({type(error).__name__}): check its url in TOPUP_MQTT_BROKERS"
    return f"{broker.whom}: {why}."


def no_certificates(broker: Broker, error: Exception) -> str:
    """Why `cafile`, `certfile` or `keyfile` can't be used."""
    why = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    return (
        f"{broker.whom}: `cafile`, `certfile` or `keyfile` can't be used ({why or type(error).__name__}):"
        " give PEM files that this process may read, the key without a passphrase."
    )


def not_let_in(broker: Broker, code: int) -> str:
    """Why the broker refused at CONNACK."""
    why = _NOT_LET_IN.get(code, f"refused the connection (reason 0x{code:02x}): look at its log")
    return f"{broker.whom} {why}."


def thrown_off(broker: Broker, code: int) -> str:
    """Why the broker said DISCONNECT."""
    why = _THROWN_OFF.get(code, f"closed the connection (reason 0x{code:02x}): look at its log")
    return f"{broker.whom} {why}."


def refusal(broker: Broker, code: int) -> NotAcknowledged:
    """The error for a PUBACK with a reason of 0x80 or more."""
    if code in _PERSON_NEEDED:
        return NotAcknowledged(f"{broker.whom} {_PERSON_NEEDED[code]}; then the notice goes out.", retryable=False)
    if code == QUOTA_EXCEEDED:
        return NotAcknowledged(f"{broker.whom} {_THROWN_OFF[code]}; it will be tried again.")
    return NotAcknowledged(
        f"{broker.whom} did not accept the notice (reason 0x{code:02x}): look at its log; it will be tried again."
    )

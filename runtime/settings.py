"""One typed load of the environment (contracts §9); every fault a sentence that names the variable and an example."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from runtime import values
from runtime.mqtt_brokers import MqttBroker
from runtime.redaction import showable
from runtime.scale import SHORTEST_SECONDS, scaled
from runtime.temporal_environment import TemporalAddress, temporal_address
from runtime.values import host_in
from runtime.variables import (
    ALIPAY,
    DEFAULT_HTTP_PORTS,
    FILE_SUFFIX,
    PREFIX,
    VARIABLES,
    WECHAT,
    Process,
    Variable,
)

__all__ = ["VARIABLES", "MqttBroker", "Process", "Settings", "SettingsError", "Variable", "load"]

PUBLIC_PROVIDER_DOMAINS: Final = ("weixin.qq.com", "alipay.com", "alipaydev.com")
"""Where real money moves (and Alipay's sandbox, whose clock is not scaled either)."""
LARGEST_FILE_BYTES: Final = 1024 * 1024


class SettingsError(Exception):
    """The configuration is wrong: exit code 2.

    Attributes:
        faults: One sentence each; names the variable, shows an example, holds no secret.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process runs with. Attribute = the variable without `TOPUP_`, lower case; None = not set.

    Strings that a process needs and that have no default are never empty in the `Settings` of that process; `""` (or
    `b""`) stands for "not set" in those of others. Secrets stay out of `repr`. PEM keys are text that was seen to load.
    """

    process: Process
    temporal: TemporalAddress = field(repr=False)
    """Where Temporal is, as the `temporal` CLI would read the same environment."""
    warnings: tuple[str, ...] = ()
    """Sentences to log once at start."""

    task_queue: str
    database_url: str = field(repr=False)
    kafka_bootstrap_servers: str
    """`host:port,host:port`, as the client library takes it."""
    kafka_topic: str
    kafka_dlq_topic: str
    kafka_group: str
    kafka_partitions: int
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    kafka_sasl_mechanism: str | None
    kafka_sasl_username: str | None
    kafka_sasl_password: str | None = field(repr=False)
    kafka_ssl_cafile: str | None
    kafka_ssl_certfile: str | None
    kafka_ssl_keyfile: str | None
    kafka_api_version: tuple[int, ...] | None
    carrier_dialect: str
    carrier_url: str
    carrier_token: str = field(repr=False)
    carrier_longest_latency_seconds: float
    carrier_visibility_lag_seconds: float
    carrier_completion_seconds: float
    wechat_url: str
    wechat_mchid: str
    wechat_appid: str
    wechat_serial_no: str
    wechat_private_key: str = field(repr=False)
    wechat_api_v3_key: str = field(repr=False)
    wechat_public_key_id: str
    wechat_public_key: str = field(repr=False)
    alipay_url: str
    alipay_app_id: str
    alipay_seller_id: str
    alipay_private_key: str = field(repr=False)
    alipay_public_key: str = field(repr=False)
    refund_notify_url: str | None
    mqtt_brokers: tuple[MqttBroker, ...]
    mqtt_message_expiry_seconds: int
    http_port: int
    http_host: str
    pii_key: bytes = field(repr=False)
    pii_old_keys: tuple[bytes, ...] = field(repr=False)
    time_scale: float
    bridge_max_first_pass: int
    local_first: bool
    two_persons: bool
    restored_at: datetime | None
    worker_build_id: str
    worker_deployment: str
    worker_max_activities: int

    @property
    def pii_keys(self) -> tuple[bytes, ...]:
        """The key that encrypts, then the others that decrypt."""
        return (self.pii_key, *self.pii_old_keys)

    @property
    def wechat_configured(self) -> bool:
        """Whether refunds can be made at WeChat Pay (its variables are all set)."""
        return all(getattr(self, variable.attribute) for variable in WECHAT)

    @property
    def alipay_configured(self) -> bool:
        """Whether refunds can be made at Alipay (its variables are all set)."""
        return all(getattr(self, variable.attribute) for variable in ALIPAY)


def load(environ: Mapping[str, str], process: Process) -> Settings:
    """The settings of `process` out of `environ`, with `_FILE` variables read.

    An empty variable counts as unset. A value that is set is checked whichever process loads it; a file is opened only
    by a process that uses it, so that secrets can be given to the process that needs them alone.

    Raises:
        SettingsError: with every fault found, not just the first.
    """
    reader = _Reader(environ, process)
    texts = {variable.name: text for variable in VARIABLES if (text := reader.text(variable))}
    found: dict[str, Any] = {
        variable.attribute: reader.value(variable, texts.get(variable.name)) for variable in VARIABLES
    }
    _check_relations(reader, texts, found)
    _check_carrier_times(reader, texts, found)
    _check_certificates(reader, found)
    _check_providers(reader, texts, found)
    temporal = temporal_address(environ)
    if isinstance(temporal, str):
        reader.faults.append(temporal)
    if reader.faults or isinstance(temporal, str):
        raise SettingsError(tuple(reader.faults))
    return Settings(process=process, temporal=temporal, warnings=_warnings(environ, found), **found)


class _Reader:
    """Reads variables of one process and collects the faults."""

    def __init__(self, environ: Mapping[str, str], process: Process) -> None:
        self._environ = environ
        self.process: Process = process
        self.faults: list[str] = []
        self.broken: set[str] = set()
        """Variables with a fault of their own; relations with these are not worth a second sentence."""

    def fault(self, variable: Variable, clause: str, text: str | None = None) -> None:
        """Collect `NAME clause, for example NAME=…`."""
        shown = showable(text) if text is not None and not variable.secret else ""
        self.faults.append(f"{variable.name}{shown} {clause}, for example {variable.name}={variable.example}.")
        self.broken.add(variable.name)

    def text(self, variable: Variable) -> str:
        """The variable's own text, or that of the file it names, or `""`."""
        direct = self._environ.get(variable.name, "")
        file_variable = variable.name + FILE_SUFFIX
        path = self._environ.get(file_variable, "")
        if not path:
            return direct
        if direct:
            self.fault(variable, f"is set and so is {file_variable}, where only one of the two can be right")
            return ""
        return self._file(variable, path) if self.uses(variable) else ""

    def uses(self, variable: Variable) -> bool:
        """Whether the process needs to know it."""
        return self.process in variable.used_by or self.process == "doctor"

    def _file(self, variable: Variable, path: str) -> str:
        name = variable.name + FILE_SUFFIX
        problem = ""
        text = ""
        try:
            with Path(path).open("rb") as file:
                text = file.read(LARGEST_FILE_BYTES).decode().strip("\r\n")
        except OSError as error:
            problem = f"can't be read ({error.strerror})"
        except ValueError:
            problem = "is no UTF-8 text"
        else:
            problem = "" if text else "is empty"
        if problem:
            self.faults.append(
                f"{name} names {path!r}, which {problem}: give the file that holds {variable.name}, "
                f"for example {name}=/run/secrets/{variable.attribute}."
            )
            self.broken.add(variable.name)
        return text

    def value(self, variable: Variable, text: str | None) -> object:
        """The parsed value; the default, or what stands for "not set", where there is none or a wrong one."""
        if text is None:
            if self.process in variable.needed_by and variable.name not in self.broken:
                self.fault(variable, f"is not set and the {self.process} needs it")
            return self._unset(variable)
        try:
            return variable.parse(text)
        except ValueError as error:
            self.fault(variable, str(error), text)
            return self._unset(variable)

    def _unset(self, variable: Variable) -> object:
        match variable.attribute:
            case "http_port":
                return DEFAULT_HTTP_PORTS.get(self.process, 0)
            case "mqtt_brokers" | "pii_old_keys":
                return ()
            case "pii_key":
                return b""
            case attribute if attribute in _NONE_WHEN_UNSET:
                return None
            case _:
                return variable.parse(variable.default) if variable.default else ""


_NONE_WHEN_UNSET: Final = frozenset(
    {
        "kafka_sasl_mechanism",
        "kafka_sasl_username",
        "kafka_sasl_password",
        "kafka_ssl_cafile",
        "kafka_ssl_certfile",
        "kafka_ssl_keyfile",
        "kafka_api_version",
        "refund_notify_url",
        "restored_at",
    }
)
TLS_FILES: Final = ("cafile", "certfile", "keyfile")
_BY_NAME: Final = {variable.name: variable for variable in VARIABLES}


def _check_relations(reader: _Reader, texts: Mapping[str, str], found: Mapping[str, Any]) -> None:
    """Rules between variables."""

    def fault(name: str, clause: str) -> None:
        if name not in reader.broken:
            reader.fault(_BY_NAME[name], clause)

    if found["kafka_topic"] == found["kafka_dlq_topic"]:
        fault("TOPUP_KAFKA_DLQ_TOPIC", "must be another topic than TOPUP_KAFKA_TOPIC")
    if found["kafka_security_protocol"].startswith("SASL_"):
        for name in ("TOPUP_KAFKA_SASL_MECHANISM", "TOPUP_KAFKA_SASL_USERNAME", "TOPUP_KAFKA_SASL_PASSWORD"):
            if name not in texts:
                fault(name, f"is not set and TOPUP_KAFKA_SECURITY_PROTOCOL={found['kafka_security_protocol']} needs it")
    if ("TOPUP_KAFKA_SSL_CERTFILE" in texts) != ("TOPUP_KAFKA_SSL_KEYFILE" in texts):
        missing = "KEYFILE" if "TOPUP_KAFKA_SSL_CERTFILE" in texts else "CERTFILE"
        fault(f"TOPUP_KAFKA_SSL_{missing}", "is not set, and certificate and key belong together")
    if reader.process == "worker" and "TOPUP_MQTT_BROKERS" in texts and not found["mqtt_brokers"]:
        fault("TOPUP_MQTT_BROKERS", "names no broker and the worker needs at least one")


def _check_carrier_times(reader: _Reader, texts: Mapping[str, str], found: Mapping[str, Any]) -> None:
    """A POST needs time to leave and to act before its date, unscaled and where no wait is scaled any further."""
    unscaled = [found[f"carrier_{name}_seconds"] for name in ("longest_latency", "visibility_lag", "completion")]
    latency, lag, completion = unscaled
    variable = _BY_NAME["TOPUP_CARRIER_COMPLETION_SECONDS"]
    if variable.name in reader.broken:
        return
    if completion <= latency + lag:
        reader.fault(
            variable, f"must be above the carrier's longest latency plus its visibility lag ({latency + lag:g} s)"
        )
        return
    latency, lag, completion = (scaled(seconds, found["time_scale"]) for seconds in unscaled)
    if completion <= latency + lag and reader.uses(variable):
        reader.fault(
            _BY_NAME["TOPUP_TIME_SCALE"],
            f"is too small: no wait is scaled below {SHORTEST_SECONDS:g} s, which leaves an order at the carrier "
            f"{completion:g} s for its longest latency plus its visibility lag ({latency + lag:g} s)",
            texts.get("TOPUP_TIME_SCALE"),
        )


def _check_certificates(reader: _Reader, found: Mapping[str, Any]) -> None:
    """Files that TLS needs: a client that can't read them says no more than that the other side is away."""
    of_kafka = tuple(found[f"kafka_ssl_{name}"] for name in TLS_FILES)
    names = {f"TOPUP_KAFKA_SSL_{name.upper()}" for name in TLS_FILES}
    checked = reader.uses(_BY_NAME["TOPUP_KAFKA_SSL_CAFILE"]) and not names & reader.broken
    if checked and (wrong := values.unusable(*of_kafka)):
        reader.fault(_BY_NAME[f"TOPUP_KAFKA_SSL_{wrong[0].upper()}"], f"names a file that {wrong[1]}")
    for broker in found["mqtt_brokers"] if reader.uses(_BY_NAME["TOPUP_MQTT_BROKERS"]) else ():
        if wrong := values.unusable(broker.cafile, broker.certfile, broker.keyfile):
            clause = f"names a file as `{wrong[0]}` of {broker.name} that {wrong[1]}"
            reader.fault(_BY_NAME["TOPUP_MQTT_BROKERS"], clause)


def _check_providers(reader: _Reader, texts: Mapping[str, str], found: Mapping[str, Any]) -> None:
    """A provider is configured as a whole or not at all; never with its real address while time is scaled."""
    needs_one = reader.process in ("worker", "gateway")
    configured = 0
    for title, group, url in (("WeChat Pay", WECHAT, "TOPUP_WECHAT_URL"), ("Alipay", ALIPAY, "TOPUP_ALIPAY_URL")):
        missing = [v for v in group if v.name not in texts and v.name not in reader.broken]
        if len(missing) == len(group):
            continue
        configured += 1
        if needs_one:
            for variable in missing:
                reader.fault(variable, f"is not set while other settings of {title} are")
        real = url not in reader.broken and host_in(found[_BY_NAME[url].attribute], PUBLIC_PROVIDER_DOMAINS)
        if found["time_scale"] < 1 and real:
            reader.fault(
                _BY_NAME["TOPUP_TIME_SCALE"],
                f"is below 1 while {url} is the real {title}, which is never asked in scaled time: "
                f"leave the scale at 1, or set {url} to a simulator",
                texts.get("TOPUP_TIME_SCALE"),
            )
    if needs_one and not configured:
        names = (", ".join(variable.name for variable in group) for group in (WECHAT, ALIPAY))
        reader.faults.append(
            f"No payment provider is configured and the {reader.process} needs at least one: set "
            f"{' or else '.join(names)}, for example TOPUP_WECHAT_MCHID={_BY_NAME['TOPUP_WECHAT_MCHID'].example}."
        )


def _warnings(environ: Mapping[str, str], found: Mapping[str, Any]) -> tuple[str, ...]:
    sentences: list[str] = []
    if found["time_scale"] < 1:
        sentences.append(
            f"TOPUP_TIME_SCALE is {found['time_scale']:g}: every wait for the outside world is shortened, which is "
            "right for demonstrations and tests only; unset it in production."
        )
    if found["restored_at"] is not None:
        sentences.append(
            f"TOPUP_RESTORED_AT is {found['restored_at'].isoformat()}: every order asks carrier and provider before "
            "it sends anything; unset it when docs/restore.md says so."
        )
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in _BY_NAME and name.removesuffix(FILE_SUFFIX) not in _BY_NAME:
            close = difflib.get_close_matches(name.removesuffix(FILE_SUFFIX), _BY_NAME, n=1)
            hint = f"did you mean {close[0]}?" if close else "README.md lists the ones there are."
            sentences.append(f"{name} is set and no setting has this name: {hint}")
    return tuple(sentences)

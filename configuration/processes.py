"""The settings of each process: the groups that it reads, and nothing else.

A variable that no process reads isn't known: `runtime.settings.load` warns of it.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import InstanceOf, field_validator

from adapters.carriers.registry import Carrier, dialect_groups
from adapters.mqtt.settings import Vehicles
from adapters.otlp.settings import TraceLines, Tracing
from adapters.payments.registry import (
    Notifications,
    Refunds,
    notification_groups,
    refund_groups,
    scaled_at_real_providers,
)
from adapters.push.settings import Pushing
from configuration import cleartext
from orders.holds import PARTS
from runtime import values
from runtime.settings import Environment, Group, ProcessSettings, parsed, setting
from runtime.settings.groups import (
    Admission,
    Attachments,
    CallbackServer,
    Calling,
    CodecServer,
    ConsumerGroup,
    Database,
    Holding,
    OrdersAccess,
    Port,
    Purchases,
    RecordSigning,
    RestoredBook,
    Rules,
    ServerSettings,
    TaskQueue,
    TopicCreation,
    Topics,
    TwoPersons,
    UnmatchedTopic,
    Working,
    http_port,
)


class _Process(ProcessSettings):
    """With the rules that hold in each: time isn't scaled where real money moves, and nothing travels in clear."""

    def refusals(self) -> list[str]:
        """What is spoken to without TLS."""
        return [*super().refusals(), *cleartext.refusals(self)]

    @classmethod
    def other_faults(cls, environment: Environment) -> list[str]:
        """Scaled time with a provider's real address."""
        try:
            time_scale = values.time_scale(environment.environ.get("TOPUP_TIME_SCALE") or "1")
        except ValueError:
            return []  # it has a sentence of its own
        return scaled_at_real_providers(environment, time_scale)


class IntakeAccess(UnmatchedTopic, RecordSigning, Attachments):
    """What it takes to write to Kafka a payment whose callback never came."""


class Reconciling(Group):
    """Where reconciliation puts payments that are in none of the books (contracts §10)."""

    intake: InstanceOf[IntakeAccess] | None
    """None where Kafka is not configured: such payments then wait for a process that has it."""

    @field_validator("intake", mode="before")
    @classmethod
    def _where_kafka_is_configured(cls, environment: Environment) -> IntakeAccess | None:
        return environment.load(IntakeAccess) if environment.mentions(IntakeAccess) else None


class Calls(Group):
    """How often the outside world is called."""

    calls_per_second: Annotated[Mapping[str, float], parsed(values.rates(PARTS, 0.1, 10_000))] = setting(
        {},
        meaning="calls per second that all workers together make to `carrier`, `wechat`, `alipay` for orders; the same "
        "in each worker; one that is not named is not limited",
        example="carrier=20,wechat=10",
    )


class WorkerSettings(
    _Process,
    ServerSettings,
    OrdersAccess,
    Carrier,
    Refunds,
    Vehicles,
    Working,
    Calling,
    Holding,
    Calls,
    Pushing,
    Tracing,
    Rules,
    Reconciling,
):
    """`topup worker`."""

    process: ClassVar[str] = "worker"
    http_port: Port = http_port(8081)

    @classmethod
    def groups(cls) -> tuple[type[Group], ...]:
        """The carrier's and the providers', and Kafka's."""
        return (*dialect_groups(), *refund_groups(), IntakeAccess)

    def cautions(self) -> list[str]:
        """Also: that the order book came from a backup."""
        if self.restored_at is None:
            return super().cautions()
        sentence = (
            f"TOPUP_RESTORED_AT is {self.restored_at.isoformat()}: every order asks carrier and provider before it "
            "sends anything; unset it when docs/restore.md says so."
        )
        return [*super().cautions(), sentence]


class BridgeSettings(
    _Process, ServerSettings, OrdersAccess, ConsumerGroup, UnmatchedTopic, Admission, RecordSigning, TraceLines
):
    """`topup bridge`."""

    process: ClassVar[str] = "bridge"
    http_port: Port = http_port(8082)

    def cautions(self) -> list[str]:
        """Also: that records are taken unsigned."""
        return [*super().cautions(), *self.unsigned_records()]


class ServeSettings(WorkerSettings, BridgeSettings):
    """`topup serve`: what a worker and a bridge read."""

    process: ClassVar[str] = "serve"
    http_port: Port = http_port(8081)


class GatewaySettings(
    _Process,
    ServerSettings,
    TaskQueue,
    UnmatchedTopic,
    RecordSigning,
    CallbackServer,
    Purchases,
    Notifications,
    TraceLines,
):
    """`topup gateway`."""

    process: ClassVar[str] = "gateway"
    http_port: Port = http_port(8083)

    @classmethod
    def groups(cls) -> tuple[type[Group], ...]:
        """The providers'."""
        return notification_groups()

    def cautions(self) -> list[str]:
        """Also: that records go unsigned."""
        return [*super().cautions(), *self.unsigned_records()]


class CodecServerSettings(_Process, ServerSettings, CodecServer):
    """`topup codec-server`."""

    process: ClassVar[str] = "codec-server"
    http_port: Port = http_port(8084)

    def refusals(self) -> list[str]:
        """Also: nothing to decrypt with, nobody to answer to."""
        return [*super().refusals(), *self.who_may_ask()]


class SetupSettings(_Process, TaskQueue, Database, TopicCreation):
    """`topup setup`."""

    process: ClassVar[str] = "setup"


class OrdersSettings(_Process, OrdersAccess):
    """`topup orders` and `topup keys`, where they need the order book."""

    process: ClassVar[str] = "orders"


class GoodwillSettings(OrdersSettings, RestoredBook):
    """`topup orders goodwill`."""


class RunsSettings(OrdersSettings):
    """`topup orders` where Temporal is enough; the order book is looked at where it is configured."""

    demands: ClassVar[bool] = False


class HoldSettings(_Process, Database):
    """`topup hold`."""

    process: ClassVar[str] = "hold"


class DlqSettings(_Process, Topics, UnmatchedTopic, Database, TwoPersons, RecordSigning):
    """`topup dlq`."""

    process: ClassVar[str] = "dlq"


class ReconcileSettings(_Process, Database, Carrier, Refunds, Reconciling):
    """`topup reconcile run`."""

    process: ClassVar[str] = "reconcile"

    @classmethod
    def groups(cls) -> tuple[type[Group], ...]:
        """The carrier's and the providers', and Kafka's."""
        return (*dialect_groups(), *refund_groups(), IntakeAccess)


class DifferencesSettings(_Process, Database, TwoPersons):
    """`topup reconcile`, where the order book is enough."""

    process: ClassVar[str] = "reconcile"


class PaymentsSettings(_Process, OrdersAccess, UnmatchedTopic, RecordSigning, Rules):
    """`topup payments`."""

    process: ClassVar[str] = "payments"


class DoctorSettings(_Process, OrdersAccess, TopicCreation, Carrier, Refunds, Notifications, Vehicles):
    """`topup doctor`: whatever it looks at may be set, and nothing needs to be."""

    process: ClassVar[str] = "doctor"
    demands: ClassVar[bool] = False

    @classmethod
    def groups(cls) -> tuple[type[Group], ...]:
        """The carrier's and the providers'."""
        return (*dialect_groups(), *refund_groups(), *notification_groups())


PROCESSES = (
    WorkerSettings,
    BridgeSettings,
    ServeSettings,
    GatewaySettings,
    CodecServerSettings,
    SetupSettings,
    GoodwillSettings,  # of `topup orders`: one of its commands reads more than the others
    HoldSettings,
    DlqSettings,
    PaymentsSettings,
    ReconcileSettings,
    DoctorSettings,
)
"""As the README lists them."""

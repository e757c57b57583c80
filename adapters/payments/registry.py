"""The payment providers that there are. A new one is its folder, its line here, and its word in `orders.paid_order`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import InstanceOf, field_validator
from pydantic_core import PydanticCustomError

from adapters.payments.alipay.settings import AlipayNotifications, AlipayRefunds
from adapters.payments.settings import NotificationSettings, ProviderGroup, RefundSettings
from adapters.payments.wechat.settings import WeChatPayNotifications, WeChatPayRefunds
from runtime.settings import Environment, Group, already_told, sentence_fault, variables_of
from runtime.values import host_in


@dataclass(frozen=True, slots=True)
class ProviderPackage:
    """One provider: what refunds at it need, and what its notifications need.

    Attributes:
        refunds: Its settings, which open its client.
        notifications: Its settings for whoever takes its callbacks.
    """

    refunds: type[RefundSettings]
    notifications: type[NotificationSettings]


PROVIDERS: Final[dict[str, ProviderPackage]] = {
    "wechat": ProviderPackage(WeChatPayRefunds, WeChatPayNotifications),
    "alipay": ProviderPackage(AlipayRefunds, AlipayNotifications),
}
"""By the word that stands for it in a paid order (`orders.paid_order.Provider`)."""


class Refunds(Group):
    """The providers at which refunds can be made; the process needs at least one."""

    payments: Mapping[str, InstanceOf[RefundSettings]]
    """By the word that stands for the provider in a paid order; those that are configured."""

    @field_validator("payments", mode="before")
    @classmethod
    def _configured_for_refunds(cls, environment: Environment) -> Mapping[str, Any]:
        return _load(environment, {name: package.refunds for name, package in PROVIDERS.items()})


class Notifications(Group):
    """The providers whose notifications can be read; the process needs at least one."""

    notifications: Mapping[str, InstanceOf[NotificationSettings]]
    """By the word that stands for the provider in a paid order; those that are configured."""

    @field_validator("notifications", mode="before")
    @classmethod
    def _configured_for_notifications(cls, environment: Environment) -> Mapping[str, Any]:
        return _load(environment, {name: package.notifications for name, package in PROVIDERS.items()})


def refund_groups() -> tuple[type[ProviderGroup], ...]:
    """What a process with `Refunds` reads."""
    return tuple(package.refunds for package in PROVIDERS.values())


def notification_groups() -> tuple[type[ProviderGroup], ...]:
    """What a process with `Notifications` reads."""
    return tuple(package.notifications for package in PROVIDERS.values())


def scaled_at_real_providers(environment: Environment, time_scale: float) -> list[str]:
    """A fault for each provider that is configured with its real address while time is scaled (contracts §9)."""
    faults: list[str] = []
    for package in PROVIDERS.values():
        refunds = package.refunds
        [url] = [variable for variable in variables_of(refunds) if variable.field == "url"]
        address = environment.seen(url) or ("" if environment.is_set(url) else url.default)
        if time_scale < 1 and environment.mentions(refunds) and host_in(address, refunds.real_domains):
            faults.append(
                f"TOPUP_TIME_SCALE is below 1 while {url.name} is the real {refunds.title}, which is never asked in "
                f"scaled time: leave the scale at 1, or set {url.name} to a simulator, for example TOPUP_TIME_SCALE=1."
            )
    return faults


def _load(environment: Environment, models: Mapping[str, type[ProviderGroup]]) -> dict[str, ProviderGroup]:
    mentioned = {name: model for name, model in models.items() if environment.mentions(model)}
    if environment.demands and not mentioned:
        needed = (", ".join(one.name for one in variables_of(model) if one.needed) for model in models.values())
        example = next(one for model in models.values() for one in variables_of(model) if one.needed)
        raise sentence_fault(
            f"No payment provider is configured and the {environment.process} needs at least one: set "
            f"{' or else '.join(needed)}, for example {example.name}={example.example}."
        )
    loaded: dict[str, ProviderGroup] = {}
    broken = False
    for name, model in mentioned.items():
        try:
            one = environment.load(model)
        except PydanticCustomError:
            broken = True  # the others' faults are to be told, too
        else:
            loaded |= {name: one} if environment.completes(model) else {}
    if broken:
        raise already_told()
    return loaded

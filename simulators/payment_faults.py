"""Faults of WeChat Pay and Alipay, per transaction ID, out_trade_no or refund number."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter

from simulators.faults import (
    ActingFault,
    AimedFault,
    Delay,
    Error,
    Fault,
    FaultPlans,
    Hang,
    Layer,
    Malformed,
    Reset,
    Seconds,
    UnknownState,
)

Target = Literal["refund", "query"]


class WrongSignature(AimedFault[Target]):
    """Act, then sign something else than what is answered."""

    kind: Literal["wrong_signature"]


class Unsigned(AimedFault[Target]):
    """Act, then answer without any signature."""

    kind: Literal["unsigned"]


class NotEnough(AimedFault[Target]):
    """The merchant's balance is too low: NOT_ENOUGH, ACQ.SELLER_BALANCE_NOT_ENOUGH. Nothing happens."""

    kind: Literal["not_enough"]


class Processing(Fault):
    """The refund stays under way for so long; without `seconds`, until it is settled by `POST /refunds/…/settle`."""

    kind: Literal["processing"]
    seconds: Seconds | None = None


class NotExists(Fault):
    """Queries don't know the refund for so long after it was taken."""

    layer: ClassVar[Layer] = Layer.LAG
    kind: Literal["not_exists"]
    seconds: Seconds


class Abnormal(Fault):
    """WeChat: the refund ends ABNORMAL until the merchant settles it."""

    kind: Literal["abnormal"]


class Closed(Fault):
    """WeChat: the refund ends CLOSED; only then may another refund number follow."""

    kind: Literal["closed"]


class SystemError_(ActingFault[Target]):  # noqa: N801  # SystemError is a builtin; the wire name is system_error
    """WeChat: 500 SYSTEM_ERROR."""

    kind: Literal["system_error"]


class FrequencyLimited(AimedFault[Target]):
    """WeChat: 429 FREQUENCY_LIMITED. Nothing happens."""

    kind: Literal["frequency_limited"]


class UserAccountAbnormal(AimedFault[Target]):
    """WeChat: 403 USER_ACCOUNT_ABNORMAL, the payer's account is gone. Nothing happens."""

    kind: Literal["user_account_abnormal"]


class WechatRefuse(AimedFault[Target]):
    """WeChat: any other error (NO_AUTH, PARAM_ERROR, INVALID_REQUEST, …). Nothing happens."""

    kind: Literal["refuse"]
    status: int = Field(default=403, ge=400, le=499)
    code: str = "NO_AUTH"


class AlipaySystemError(ActingFault[Target]):
    """Alipay: code 20000, or 40004 with ACQ.SYSTEM_ERROR."""

    kind: Literal["system_error"]
    code: Literal["20000", "ACQ.SYSTEM_ERROR"] = "ACQ.SYSTEM_ERROR"


class AlipayRefuse(AimedFault[Target]):
    """Alipay: 40004 with any sub_code (ACQ.TRADE_HAS_FINISHED, ACQ.TRADE_STATUS_ERROR, …). Nothing happens."""

    kind: Literal["refuse"]
    sub_code: str = "ACQ.TRADE_HAS_FINISHED"


class FundChangeN(AimedFault[Target]):
    """Alipay: the refund is done, but the answer says fund_change N, or nothing about it."""

    kind: Literal["fund_change_n"]
    absent: bool = False


Unhelpful = (
    Delay[Target]
    | Hang[Target]
    | Error[Target]
    | Reset[Target]
    | Malformed[Target]
    | UnknownState[Target]
    | WrongSignature
    | Unsigned
    | NotEnough
    | Processing
    | NotExists
)

WechatFault = Annotated[
    Unhelpful | Abnormal | Closed | SystemError_ | FrequencyLimited | UserAccountAbnormal | WechatRefuse,
    Field(discriminator="kind"),
]
AlipayFault = Annotated[Unhelpful | AlipaySystemError | AlipayRefuse | FundChangeN, Field(discriminator="kind")]


def wechat_fault_desk() -> FaultPlans[Fault]:
    """An empty desk that reads WeChat Pay's faults."""
    return FaultPlans[Fault](TypeAdapter[Fault](WechatFault), main_target="refund")


def alipay_fault_desk() -> FaultPlans[Fault]:
    """An empty desk that reads Alipay's faults."""
    return FaultPlans[Fault](TypeAdapter[Fault](AlipayFault), main_target="refund")

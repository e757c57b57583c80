"""Faults of WeChat Pay and Alipay, per transaction ID, out_trade_no or refund number."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter, field_validator

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

Target = Literal["refund", "query", "notice"]


class WrongSignature(AimedFault[Target]):
    """Act, then sign something else than what is answered."""

    kind: Literal["wrong_signature"]


class Unsigned(AimedFault[Target]):
    """Act, then answer without any signature."""

    kind: Literal["unsigned"]


class NoticeFault(AimedFault[Target]):
    """A fault of a notice alone, with or without `target`."""

    @field_validator("target")
    @classmethod
    def _of_a_notice(cls, target: Target | None) -> Target | None:
        if target not in (None, "notice"):
            raise ValueError("is a fault of notices; leave the target out")
        return target

    def aims_at(self, target: str, main_target: str) -> bool:  # noqa: ARG002  # it has one target
        """Whether an attempt at a notice is hit."""
        return target == "notice"


class Repeat(NoticeFault):
    """Send this attempt so many times at once, as from several servers."""

    kind: Literal["repeat"]
    count: int = Field(default=2, ge=2, le=100)


class Probe(NoticeFault):
    """WeChat: sign by `WECHATPAY/SIGNTEST/…`, to see whether signatures are verified."""

    kind: Literal["probe"]


class OldKey(NoticeFault):
    """Sign by a key that is no longer configured anywhere."""

    kind: Literal["old_key"]


class TamperedAmount(NoticeFault):
    """Somebody on the way writes another amount."""

    kind: Literal["tampered_amount"]
    amount_fen: int = Field(default=1, ge=1, le=100_000_000)


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
    | Repeat
    | OldKey
    | TamperedAmount
)

WechatFault = Annotated[
    Unhelpful | Probe | Abnormal | Closed | SystemError_ | FrequencyLimited | UserAccountAbnormal | WechatRefuse,
    Field(discriminator="kind"),
]
AlipayFault = Annotated[Unhelpful | AlipaySystemError | AlipayRefuse | FundChangeN, Field(discriminator="kind")]


def wechat_fault_plans() -> FaultPlans[Fault]:
    """No plans yet; reads WeChat Pay's faults."""
    return FaultPlans[Fault](TypeAdapter[Fault](WechatFault), main_target="refund")


def alipay_fault_plans() -> FaultPlans[Fault]:
    """No plans yet; reads Alipay's faults."""
    return FaultPlans[Fault](TypeAdapter[Fault](AlipayFault), main_target="refund")

"""Thirdpay's variables, and the client that they open."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar

from adapters.payments.settings import ProviderGroup, RefundSettings
from runtime import values
from runtime.settings import parsed, setting

if TYPE_CHECKING:
    from tests.conformance.thirdpay.client import Thirdpay


class ThirdpayIdentity(ProviderGroup):
    """Who we are at Thirdpay, and the key of both sides."""

    title: ClassVar[str] = "Thirdpay"
    prefix: ClassVar[str] = "THIRDPAY_"

    shop: Annotated[str, parsed(values.identifier)] = setting(meaning="our shop at Thirdpay", example="shop-7")
    key: Annotated[str, parsed(values.identifier)] = setting(meaning="the shared key", example="'a key'", secret=True)


class ThirdpayRefunds(ThirdpayIdentity, RefundSettings):
    """What refunds at Thirdpay need."""

    real_domains: ClassVar[Collection[str]] = ("thirdpay.example",)

    url: Annotated[str, parsed(values.http_url)] = setting(
        "https://api.thirdpay.example", meaning="Thirdpay's address", example="https://api.thirdpay.example"
    )

    def open(self) -> "AbstractAsyncContextManager[Thirdpay]":
        """Its client."""
        from tests.conformance.thirdpay.client import Thirdpay  # noqa: PLC0415 - as the product's providers do

        return Thirdpay.open(url=self.url, shop=self.shop, key=self.key)


class ThirdpayNotifications(ThirdpayIdentity):
    """What it takes to read Thirdpay's notifications."""

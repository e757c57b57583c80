"""Alipay's variables, and the client that they open."""

from collections.abc import AsyncGenerator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import field_validator

from adapters.payments.settings import NotificationSettings, ProviderGroup, RefundSettings, another_than_ours
from runtime import values
from runtime.settings import parsed, setting

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.payments.alipay.bills import AlipayBills
    from adapters.payments.alipay.client import Alipay
    from adapters.payments.notifications import NotificationReader


class AlipayIdentity(ProviderGroup):
    """Who we are at Alipay, and the key by which its words are known."""

    title: ClassVar[str] = "Alipay"
    prefix: ClassVar[str] = "ALIPAY_"

    app_id: Annotated[str, parsed(values.identifier)] = setting(
        meaning="our app ID at Alipay", example="2021000117650139"
    )
    seller_id: Annotated[str, parsed(values.identifier)] = setting(
        meaning="our seller ID at Alipay", example="2088102146225135"
    )
    public_key: Annotated[str, parsed(values.public_key)] = setting(
        meaning="Alipay's public key (PEM)", example="'-----BEGIN PUBLIC KEY-----\\n…'", secret=True
    )


class AlipayRefunds(AlipayIdentity, RefundSettings):
    """What refunds at Alipay need."""

    real_domains: ClassVar[Collection[str]] = ("alipay.com", "alipaydev.com")

    url: Annotated[str, parsed(values.http_url)] = setting(
        "https://openapi.alipay.com/gateway.do",
        meaning="Alipay's gateway, with its path",
        example="https://openapi.alipay.com/gateway.do",
    )
    private_key: Annotated[str, parsed(values.private_key)] = setting(
        meaning="our private key for Alipay (PEM)", example="'-----BEGIN PRIVATE KEY-----\\n…'", secret=True
    )
    bill_host: Annotated[str, parsed(values.matching(r"[0-9A-Za-z.-]{1,253}", "must be a host name"))] = setting(
        "dwbillcenter.alipay.com",
        meaning="the only host, beside the gateway's, from which a bill is fetched",
        example="dwbillcenter.alipay.com",
    )
    bill_cleartext: Annotated[bool, parsed(values.boolean)] = setting(
        False,
        meaning="fetch the bill over http where Alipay's link says so; `false`: over https, whatever it says",
        example="true",
    )

    _another_than_ours = field_validator("private_key", mode="after")(another_than_ours)

    def open(self) -> "AbstractAsyncContextManager[Alipay]":
        """Its client."""
        from adapters.payments.alipay.client import Alipay  # noqa: PLC0415 - heavy

        return Alipay.open(
            url=self.url,
            app_id=self.app_id,
            seller_id=self.seller_id,
            private_key=self.private_key,
            public_key=self.public_key,
            cafile=self.cafile,
        )

    @asynccontextmanager
    async def open_bills(self) -> "AsyncGenerator[AlipayBills, None]":
        """Who fetches its bills."""
        from adapters.payments.alipay.bills import AlipayBills  # noqa: PLC0415 - heavy

        async with self.open() as alipay:
            yield AlipayBills(alipay, host=self.bill_host, cleartext=self.bill_cleartext)


class AlipayNotifications(AlipayIdentity, NotificationSettings):
    """What it takes to read Alipay's notifications: its key, or several while one replaces another."""

    public_key: Annotated[str, parsed(values.public_keys)] = setting(
        meaning="Alipay's public key (PEM); several, one after the other, while one replaces another",
        example="'-----BEGIN PUBLIC KEY-----\\n…'",
        secret=True,
    )

    def open(self) -> "NotificationReader":
        """Its reader of callbacks."""
        from adapters.payments.alipay.notifications import (  # noqa: PLC0415 - heavy
            AlipayNotifications as Reader,
        )
        from adapters.payments.notifications import public_keys  # noqa: PLC0415 - heavy

        return Reader(app_id=self.app_id, seller_id=self.seller_id, keys=public_keys(self.public_key))

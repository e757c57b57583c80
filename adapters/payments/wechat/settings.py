"""WeChat Pay's variables, and the client that they open."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Annotated, ClassVar

from adapters.payments.settings import ProviderGroup, RefundSettings
from runtime import values
from runtime.settings import parsed, setting

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.payments.wechat.client import WeChatPay


class WeChatPayIdentity(ProviderGroup):
    """Who we are at WeChat Pay, and the key by which its words are known."""

    title: ClassVar[str] = "WeChat Pay"
    prefix: ClassVar[str] = "WECHAT_"

    mchid: Annotated[str, parsed(values.identifier)] = setting(meaning="our merchant number", example="1900000109")
    public_key_id: Annotated[str, parsed(values.identifier)] = setting(
        meaning="ID of WeChat Pay's public key", example="PUB_KEY_ID_0119000001092024"
    )
    public_key: Annotated[str, parsed(values.public_key)] = setting(
        meaning="WeChat Pay's public key (PEM)", example="'-----BEGIN PUBLIC KEY-----\\n…'", secret=True
    )


class WeChatPayRefunds(WeChatPayIdentity, RefundSettings):
    """What refunds at WeChat Pay need."""

    real_domains: ClassVar[Collection[str]] = ("weixin.qq.com",)

    url: Annotated[str, parsed(values.http_url)] = setting(
        "https://api.mch.weixin.qq.com", meaning="WeChat Pay's address", example="https://api.mch.weixin.qq.com"
    )
    serial_no: Annotated[str, parsed(values.identifier)] = setting(
        meaning="serial number of our API certificate", example="5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
    )
    private_key: Annotated[str, parsed(values.private_key)] = setting(
        meaning="our private key for WeChat Pay (PEM)", example="'-----BEGIN PRIVATE KEY-----\\n…'", secret=True
    )
    refund_notify_url: Annotated[str | None, parsed(values.http_url)] = setting(
        None,
        name="TOPUP_REFUND_NOTIFY_URL",
        meaning="public address of the gateway for refund notices",
        example="https://pay.example/callbacks/wechat",
    )

    def open(self) -> "AbstractAsyncContextManager[WeChatPay]":
        """Its client."""
        from adapters.payments.wechat.client import WeChatPay  # noqa: PLC0415 - heavy

        return WeChatPay.open(
            url=self.url,
            merchant_id=self.mchid,
            serial_no=self.serial_no,
            private_key=self.private_key,
            public_key_id=self.public_key_id,
            public_key=self.public_key,
            notify_url=self.refund_notify_url or "",
        )


class WeChatPayNotifications(WeChatPayIdentity):
    """What it takes to read WeChat Pay's notifications."""

    appid: Annotated[str, parsed(values.identifier)] = setting(
        meaning="our app ID at WeChat", example="wxd678efh567hg6787"
    )
    api_v3_key: Annotated[str, parsed(values.api_v3_key)] = setting(
        meaning="API v3 key, 32 characters: decrypts notifications",
        example="'the 32 characters set in the merchant platform'",
        secret=True,
    )

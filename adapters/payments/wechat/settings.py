"""WeChat Pay's variables, and the client that they open."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import field_validator

from adapters.payments.settings import NotificationSettings, ProviderGroup, RefundSettings, another_than_ours
from runtime import values
from runtime.settings import parsed, setting

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.payments.notifications import NotificationReader
    from adapters.payments.wechat.bills import WeChatBills
    from adapters.payments.wechat.client import WeChatPay


CALLBACK_PATH: Final = "/callbacks/wechat"


def refund_notices(text: str) -> str:
    """Where refund notices go; an origin alone is the gateway's, which takes them at one path and knows no other."""
    url = values.http_url(text)
    return url if urlsplit(url).path else url + CALLBACK_PATH


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
    refund_notify_url: Annotated[str | None, parsed(refund_notices)] = setting(
        None,
        name="TOPUP_REFUND_NOTIFY_URL",
        meaning="public address of the gateway for refund notices; `/callbacks/wechat` is added to one without a path",
        example="https://pay.example/callbacks/wechat",
    )

    _another_than_ours = field_validator("private_key", mode="after")(another_than_ours)

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
            cafile=self.cafile,
        )

    @asynccontextmanager
    async def open_bills(self) -> "AsyncGenerator[WeChatBills, None]":
        """Who fetches its bills."""
        from adapters.payments.wechat.bills import WeChatBills  # noqa: PLC0415 - heavy

        async with self.open() as pay:
            yield WeChatBills(pay)


class WeChatPayNotifications(WeChatPayIdentity, NotificationSettings):
    """What it takes to read WeChat Pay's notifications."""

    appid: Annotated[str, parsed(values.identifier)] = setting(
        meaning="our app ID at WeChat", example="wxd678efh567hg6787"
    )
    api_v3_key: Annotated[str, parsed(values.api_v3_key)] = setting(
        meaning="API v3 key, 32 characters: decrypts notifications",
        example="'the 32 characters set in the merchant platform'",
        secret=True,
    )
    api_v3_old_keys: Annotated[tuple[str, ...], parsed(values.api_v3_keys)] = setting(
        (),
        meaning="older API v3 keys, separated by commas, for notifications sent before a change",
        example="'the 32 characters set before'",
        secret=True,
    )
    callback_keys: Annotated[Mapping[str, str], parsed(values.keys_by_id)] = setting(
        default_factory=dict,
        name="TOPUP_CALLBACK_WECHAT_KEYS",
        meaning="JSON object of further keys that sign callbacks: ID, or certificate's serial in hexadecimal → PEM of "
        "a public key or a certificate",
        example='\'{"5157F09EFDC096DE15EBE81A47057A7232F1B8E1": "-----BEGIN CERTIFICATE-----\\n…"}\'',
        secret=True,
    )

    def open(self) -> "NotificationReader":
        """Its reader of callbacks."""
        from adapters.payments.notifications import public_keys  # noqa: PLC0415 - heavy
        from adapters.payments.wechat.notifications import WechatNotifications, key_id  # noqa: PLC0415 - heavy

        pems = {**self.callback_keys, self.public_key_id: self.public_key}
        return WechatNotifications(
            merchant_id=self.mchid,
            app_id=self.appid,
            keys={key_id(name): public_keys(pem)[0] for name, pem in pems.items()},
            api_v3_keys=tuple(key.encode() for key in (self.api_v3_key, *self.api_v3_old_keys)),
        )

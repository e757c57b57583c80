"""The readers under test, with the keys that tests sign by."""

from adapters.payments.alipay.notifications import AlipayNotifications
from adapters.payments.notifications import Notice, NotificationRefused
from adapters.payments.wechat.notifications import WechatNotifications, key_id
from tests.gateway.providers import (
    ALIPAY,
    ALIPAY_OLD,
    API_V3_KEY,
    APP_ID,
    APPID,
    KEY_ID,
    MCHID,
    NOW,
    SELLER_ID,
    SERIAL,
    WECHAT,
    WECHAT_CERTIFICATE,
    Callback,
)

OLD_API_V3_KEY = b"an old key of thirty-two letters"
WECHAT_READER = WechatNotifications(
    merchant_id=MCHID,
    app_id=APPID,
    keys={key_id(KEY_ID): WECHAT.public, key_id(SERIAL): WECHAT_CERTIFICATE.public},
    api_v3_keys=(API_V3_KEY, OLD_API_V3_KEY),
)
ALIPAY_READER = AlipayNotifications(app_id=APP_ID, seller_id=SELLER_ID, keys=(ALIPAY_OLD.public, ALIPAY.public))


def read(reader: WechatNotifications | AlipayNotifications, callback: Callback) -> Notice:
    headers, body = callback
    return reader.read([(name.lower(), value) for name, value in headers.items()], body, NOW)


def flaw(reader: WechatNotifications | AlipayNotifications, callback: Callback) -> str:
    """Why it is refused; "" where it is not."""
    try:
        read(reader, callback)
    except NotificationRefused as refusal:
        return refusal.flaw if str(refusal).endswith(".") else "no sentence"
    return ""

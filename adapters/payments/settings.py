"""What the settings of every payment provider have in common."""

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, ClassVar

from pydantic import ValidationInfo

from runtime import values
from runtime.settings import Group, fault_of, setting

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.payments.notifications import NotificationReader
    from adapters.payments.port import RefundClient
    from reconciliation.ports import Bills


def another_than_ours(private_key: str, info: ValidationInfo) -> str:
    """Refuse our own public key as the provider's.

    Whoever verifies by it believes whatever we could have signed, and nothing that the provider says.
    """
    if private_key and values.of_one_pair(private_key, info.data.get("public_key", "")):
        raise fault_of("public_key", "is the public half of our own private key: give the provider's")
    return private_key


class ProviderGroup(Group):
    """Variables of one provider: configured as a whole, or not at all.

    Attributes:
        title: The provider, as people know it.
    """

    title: ClassVar[str]


class NotificationSettings(ProviderGroup):
    """What a process needs to read one provider's callbacks."""

    def open(self) -> "NotificationReader":
        """Its reader.

        Raises:
            ValueError: a key can't be one.
        """
        raise NotImplementedError(f"{type(self).__name__} reads no callbacks")


class RefundSettings(ProviderGroup):
    """What a process needs to refund at one provider.

    Attributes:
        real_domains: Where real money moves: never asked in scaled time. A sandbox whose clock isn't scaled counts too.
        url: Where it is asked, and what `/readyz` watches.
    """

    real_domains: ClassVar[Collection[str]]
    url: str

    cafile: values.CaFile | None = setting(
        None,
        meaning="file with the CA of a proxy before this provider (PEM), in place of the public ones",
        example="/run/secrets/proxy-ca.pem",
    )

    def open(self) -> "AbstractAsyncContextManager[RefundClient]":
        """Its client, closed at the end; connects when it is asked.

        Raises:
            ValueError: an address or a key can't be one.
        """
        raise NotImplementedError(f"{type(self).__name__} opens no client")

    def open_bills(self) -> "AbstractAsyncContextManager[Bills] | None":
        """Who fetches its bills and asks it for payments, closed at the end; None: it is not reconciled.

        Raises:
            ValueError: an address or a key can't be one.
        """
        return None

"""Where pushes go, and in which form."""

from typing import Annotated, Literal

from pydantic import ValidationInfo, field_validator

from runtime import values
from runtime.settings import Group, parsed, setting

Format = Literal["json", "slack", "wecom", "dingtalk", "feishu"]
SIGNED = frozenset({"json", "dingtalk", "feishu"})
"""The forms that a secret means something to."""


class Pushing(Group):
    """A push when orders need a person and when they are freed."""

    push_url: Annotated[str | None, parsed(values.push_url)] = setting(
        None,
        meaning="webhook that is told of orders that need a person and of those that are freed, in full, its key "
        "included; none: nobody is told",
        example="'https://hooks.example/the-whole-address'",
        secret=True,
    )
    push_format: Format = setting(
        "json", meaning="what is sent there: `json`, `slack`, `wecom`, `dingtalk` or `feishu`", example="wecom"
    )
    push_secret: Annotated[str | None, parsed(values.token)] = setting(
        None,
        meaning="`json`: bearer token; `dingtalk`, `feishu`: the secret that its robot signs by (加签)",
        example="'the secret of the robot'",
        secret=True,
    )

    push_cafile: values.CaFile | None = setting(
        None,
        meaning="file with the CA of the webhook (PEM), in place of the public ones",
        example="/run/secrets/webhook-ca.pem",
    )

    @field_validator("push_secret", mode="after")
    @classmethod
    def _of_a_form_that_has_one(cls, secret: str | None, info: ValidationInfo) -> str | None:
        chosen = info.data.get("push_format")
        if secret is not None and chosen is not None and chosen not in SIGNED:
            raise ValueError(f"means nothing to TOPUP_PUSH_FORMAT={chosen}: its key is in TOPUP_PUSH_URL")
        return secret

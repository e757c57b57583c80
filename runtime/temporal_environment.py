"""`TEMPORAL_*` as the `temporal` CLI and the SDKs read them, with a sentence instead of their errors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig

from runtime.redaction import redacted, showable
from runtime.values import is_port

DEFAULT_ADDRESS: Final = "127.0.0.1:7233"
DEFAULT_NAMESPACE: Final = "default"


@dataclass(frozen=True, slots=True)
class TemporalAddress:
    """Where Temporal is and how it is entered."""

    address: str
    namespace: str
    profile: ClientConfigProfile = field(repr=False)

    def connect_config(self) -> ClientConnectConfig:
        """Keyword arguments for `Client.connect`: address, namespace, API key, TLS, gRPC metadata."""
        config = self.profile.to_client_connect_config()
        config["target_host"] = self.address
        config["namespace"] = self.namespace
        return config


def temporal_address(environ: Mapping[str, str]) -> TemporalAddress | str:
    """The address, or the sentence that says what is wrong with it. Reads `temporal.toml` where the CLI would."""
    variables = {name: value for name, value in environ.items() if value}
    try:
        profile = ClientConfigProfile.load(override_env_vars=variables)
        profile.to_client_connect_config()
    except Exception as error:  # noqa: BLE001 - the SDK raises RuntimeError from Rust, ValueError, OSError, …
        # The first line alone: the next ones quote the file, an API key perhaps.
        reason = redacted(str(error).partition("\n")[0])[:200]
        return (
            f"The TEMPORAL_* variables or temporal.toml can't be read ({reason}): set TEMPORAL_ADDRESS, "
            "TEMPORAL_PROFILE or TEMPORAL_TLS_* as for the temporal command, "
            f"for example TEMPORAL_ADDRESS={DEFAULT_ADDRESS}."
        )
    address = profile.address or DEFAULT_ADDRESS
    host, _, port = address.rpartition(":")
    if re.fullmatch(r"[^\s/@]+", host) is None or not is_port(port):
        shown = f"TEMPORAL_ADDRESS{showable(address)}"
        return f"{shown} must be host:port, for example TEMPORAL_ADDRESS={DEFAULT_ADDRESS}."
    return TemporalAddress(address, profile.namespace or DEFAULT_NAMESPACE, profile)

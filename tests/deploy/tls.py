"""The stack's certificates, as the made secrets have them, for parts that run here instead of in containers."""

import ssl
from pathlib import Path


def client_context(secrets: Path, name: str | None = None) -> ssl.SSLContext:
    """Trusts the stack's authority alone; with `name`'s certificate, where one is given."""
    context = ssl.create_default_context(cafile=str(secrets / "ca_certificate"))
    if name is not None:
        context.load_cert_chain(secrets / f"{name}_certificate", secrets / f"{name}_key")
    return context

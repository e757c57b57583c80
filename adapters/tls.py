"""Whom a connection trusts that is checked by a file of ours."""

import ssl


def trusting(cafile: str | None) -> ssl.SSLContext:
    """The authorities of this file, PEM, and nobody else; None: the machine's.

    On from Python 3.13 `ssl` refuses authorities without RFC 5280's key identifiers, as private ones often are. Trust
    is the same without that check, and a new Python must not cut anybody off.

    Raises:
        OSError: the file can't be read or holds no certificate (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=cafile)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context

"""What the config server proves itself with: a certificate and its key, from PEM files."""

from __future__ import annotations

import ssl
from pathlib import Path

from gevent.ssl import SSLContext

from kv.errors import BadSetting


def load(cert: Path, key: Path) -> SSLContext:
    """For TLS 1.2 and 1.3. Raises BadSetting."""
    context = SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password="")  # else OpenSSL asks for one at the terminal
    except ssl.SSLError as error:
        raise BadSetting(
            f"{cert} and {key} have to be a certificate and its own key in PEM, the key without a password"
        ) from error
    except OSError as error:
        raise BadSetting(f"{cert} or {key} cannot be read: {error.strerror}") from error
    return context

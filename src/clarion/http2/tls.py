"""TLS as a push service expects it: 1.2 or newer, the system's trust store, and HTTP/2 by ALPN."""

import ssl
from tempfile import NamedTemporaryFile
from typing import NoReturn


def client_tls(ca_file: str | None = None, certificate: bytes | None = None) -> ssl.SSLContext:
    """Make a context for `Connection` and `Pool`.

    The authorities in `ca_file` (PEM) are trusted besides the system's. `certificate` is what we show when a
    server asks who we are: a certificate, its chain and its private key as PEM; raises ValueError when it is not.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    if certificate is not None:
        _load(context, certificate)
    return context


def _load(context: ssl.SSLContext, certificate: bytes) -> None:
    # Python reads certificates from files only. This one is readable by us alone and gone at once.
    with NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate)
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_refuse_to_guess)
        except ssl.SSLError:
            raise ValueError(
                "not a certificate with its private key, both as PEM, the key matching the certificate"
            ) from None


def _refuse_to_guess() -> NoReturn:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the certificate's private key is encrypted; store it without a password")

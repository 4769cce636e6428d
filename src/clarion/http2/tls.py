"""TLS as a push service expects it: 1.2 or newer, the system's trust store, and HTTP/2 by ALPN."""

import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _as_file(certificate) as path:
        try:
            context.load_cert_chain(path, password=_refuse_to_guess)
        except ssl.SSLError:
            raise ValueError(
                "not a certificate with its private key, both as PEM, the key matching the certificate"
            ) from None


@contextmanager
def _as_file(octets: bytes) -> Iterator[str]:
    """Python reads certificates from files only. A private key must not come onto a disk, where a crash would leave
    it: on Linux the file is in memory and has no name; elsewhere it is readable by us alone, and gone at once."""
    if sys.platform == "linux":
        with os.fdopen(os.memfd_create("certificate"), "wb") as file:
            file.write(octets)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with NamedTemporaryFile(suffix=".pem") as file:
            file.write(octets)
            file.flush()
            yield file.name


def _refuse_to_guess() -> NoReturn:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the certificate's private key is encrypted; store it without a password")

"""TLS as a push service expects it: 1.2 or newer, the system's trust store, and HTTP/2 by ALPN."""

import ssl


def client_tls(ca_file: str | None = None) -> ssl.SSLContext:
    """Make a context for `Connection` and `Origin`; the authorities in `ca_file` (PEM) are trusted besides
    the system's."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context

"""What can go wrong on the wire.

    Http2Error
    ├── ConnectFailed      no connection could be made; nothing was sent
    │   └── NoHttp2        there is a server, but it does not speak HTTP/2
    └── PeerError          the other side broke a rule of HTTP/2; ends the connection

Callers of this package meet `ConnectFailed` and `NoHttp2` only. A `PeerError` stays inside: the connection answers
it with GOAWAY, and the requests that it touched end as `NotProcessed` or `Unknown`.
"""


class Http2Error(Exception):
    """The root of everything that this package raises for reasons outside the program."""


class ConnectFailed(Http2Error):  # noqa: N818 - named after what happened, as a caller says it
    """No connection could be made: DNS, TCP, a proxy, TLS, or a server that never sent its SETTINGS."""


class NoHttp2(ConnectFailed):
    """The server did not choose `h2` by ALPN. Another protocol may reach it."""


class PeerError(Http2Error):
    """The peer broke a rule; `code` is what GOAWAY tells it (RFC 9113 §7)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code

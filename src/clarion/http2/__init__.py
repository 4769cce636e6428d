"""An HTTP/2 client for bursts of near-identical requests: small, complete, and nearly as fast as C.

It knows nothing of push and imports nothing of ours. Callers use the names below; inside, octets flow one
way:

    origin      one host and port: a live connection, reconnecting, safe resends
    connection  one TLS connection: the asyncio shell around the pure parts, and its one timer
    sending     requests -> frames, as many as the peer takes       (pure)
    receiving   frames cut from octets; what concerns the connection (pure)
    answers     header blocks and bodies -> results                  (pure)
    exchanges   which stream carries which request                   (pure)
    headers, frames, results, limits, errors, heartbeat, tls         (values and small rules)

Every request ends as an `Answer`, as `NotProcessed` (safe to send again) or as `Unknown`.
"""

from clarion.http2.connection import Connection
from clarion.http2.errors import ConnectFailed, Http2Error
from clarion.http2.headers import Hole, Template, literal
from clarion.http2.limits import Limits
from clarion.http2.origin import Origin
from clarion.http2.results import Answer, NotProcessed, Result, Unknown
from clarion.http2.tls import client_tls

__all__ = [
    "Answer",
    "ConnectFailed",
    "Connection",
    "Hole",
    "Http2Error",
    "Limits",
    "NotProcessed",
    "Origin",
    "Result",
    "Template",
    "Unknown",
    "client_tls",
    "literal",
]

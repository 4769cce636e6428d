"""An HTTP/2 client for bursts of near-identical requests: small, complete, and nearly as fast as C.

It knows nothing of push and imports nothing of ours. Callers use the names below; inside, octets flow one
way:

    pool        one host and port: as many connections as are needed, back-off, safe resends
    backlog     what waits for a stream, the same for all connections of a pool  (pure)
    connection  one TLS connection: the asyncio shell around the pure parts, and its one timer
    dialing     from a name to TLS: look-up, addresses, a tunnel through a proxy
    sending     requests -> frames, as many as the peer takes       (pure)
    receiving   frames cut from octets; what concerns the connection (pure)
    answers     header blocks and bodies -> results                  (pure)
    exchanges   which stream carries which request                   (pure)
    backoff, errors, frames, headers, heartbeat, limits, patience, proxy, results, tls  (values and small rules)

Every request ends as an `Answer`, as `NotProcessed` (safe to send again) or as `Unknown`.
"""

from clarion.http2.connection import Connection
from clarion.http2.dialing import Resolve, Route, dial, look_up
from clarion.http2.errors import ConnectFailed, Http2Error, NoHttp2
from clarion.http2.headers import Hole, Template, authority, literal
from clarion.http2.limits import Limits, PoolLimits
from clarion.http2.pool import Pool
from clarion.http2.proxy import Proxy
from clarion.http2.results import Answer, NotProcessed, Result, Unknown
from clarion.http2.tls import client_tls

__all__ = [
    "Answer",
    "ConnectFailed",
    "Connection",
    "Hole",
    "Http2Error",
    "Limits",
    "NoHttp2",
    "NotProcessed",
    "Pool",
    "PoolLimits",
    "Proxy",
    "Resolve",
    "Result",
    "Route",
    "Template",
    "Unknown",
    "authority",
    "client_tls",
    "dial",
    "literal",
    "look_up",
]

"""Every bound of a connection in one place."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may cost us, in seconds and octets."""

    deadline_seconds: float = 10.0
    """From a request's HEADERS to the end of its answer; then the stream is
    reset and its result is `Unknown`. If the peer has answered nothing for as long, the connection ends and
    what waits for its turn is `NotProcessed`."""

    connect_seconds: float = 10.0
    """DNS, TCP and TLS together."""

    settings_seconds: float = 10.0
    """For the peer's first SETTINGS, and again for its acknowledgement of ours."""

    silence_seconds: float = 4.0
    """While requests are in flight and no octet arrives for this long, a PING asks whether the peer is
    there."""

    idle_ping_seconds: float = 3600.0
    """While nothing is in flight, a PING this often (Apple suggests hourly) keeps the way open."""

    ping_seconds: float = 4.0
    """A PING, of either sort, that meets silence for this long means that the connection is dead."""

    close_seconds: float = 2.0
    """For a farewell to be written and TLS to be closed; then the socket is dropped."""

    max_streams: int = 1000
    """Requests in flight at most, whatever the peer allows: this many become `Unknown` when it vanishes."""

    max_answer_octets: int = 65_536
    """A longer answer body is cut here and its stream reset; the answer stands."""

    max_header_octets: int = 16_384
    """A longer header block, encoded or decoded, ends the connection."""


DEFAULT_LIMITS: Final = Limits()

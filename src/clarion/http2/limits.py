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

    max_answer_octets: int = 16_384
    """A longer answer body is cut here and its stream reset; the answer stands. So a connection holds at most
    `max_streams` bodies of this length, and as many header lists of the length below."""

    max_header_octets: int = 8192
    """A longer header block, encoded or decoded, ends the connection."""

    max_idle_frames: int = 20_000
    """Frames of a peer that end no request: this many within `deadline_seconds`, and 64 more for each request
    that ended. A peer that sends more only keeps us busy, and the connection ends. A frame other than DATA
    counts once more for every 256 octets, an interim answer (1xx) for every field."""


DEFAULT_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections a host and port may cost, how long they live, and how often something is tried."""

    most_connections: int = 20
    """That take requests at the same time. As many may be on their way out, with answers still to come."""

    patience_seconds: float = 0.05
    """When requests have waited for this long, and those still waiting are more than were sent meanwhile, the
    number of connections is doubled. At once it never is: every connection must have answered before."""

    idle_seconds: float = 60.0
    """A connection that had nothing to do for this long is closed, unless it is the last one."""

    oldest_seconds: float = 3600.0
    """A connection is replaced at this age, or up to a quarter earlier by chance, so that they do not all go
    together. Its requests in flight keep their answers."""

    attempts: int = 3
    """A request that a peer refuses this many times ends as `NotProcessed`. Likewise, after as many connections
    in a row that ended without a single answer, all that waits does."""

    first_pause_seconds: float = 0.5
    """After a failed attempt to connect; doubled by each failure that follows."""

    longest_pause_seconds: float = 60.0
    """The doubling ends here."""


DEFAULT_POOL_LIMITS: Final = PoolLimits()

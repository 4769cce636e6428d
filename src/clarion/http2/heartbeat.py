"""Whether the peer is still there: when to ask with a PING, and when to stop waiting. Pure: no socket, no
timer."""

from clarion.http2.limits import Limits


class Heartbeat:
    """Follows when the peer was last heard. Any octet counts as a sign of life, so an answered PING needs no
    bookkeeping."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._heard_at = now
        self._asked_at: float | None = None

    def hear(self, now: float) -> None:
        """Note that octets arrived."""
        self._heard_at = now
        self._asked_at = None

    def next_step_at(self, busy_since: float | None) -> float:
        """Return when to look again; `busy_since` is when the oldest request in flight was sent."""
        if self._asked_at is not None:
            return self._asked_at + self._limits.ping_seconds
        if busy_since is not None:
            return max(self._heard_at, busy_since) + self._limits.silence_seconds
        return self._heard_at + self._limits.idle_ping_seconds

    def must_ask(self, now: float, busy_since: float | None) -> bool:
        """Whether a PING is due; if so, it counts as asked."""
        if self._asked_at is not None or now < self.next_step_at(busy_since):
            return False
        self._asked_at = now
        return True

    def is_dead(self, now: float) -> bool:
        """Whether a PING has met silence for too long."""
        return self._asked_at is not None and now >= self._asked_at + self._limits.ping_seconds

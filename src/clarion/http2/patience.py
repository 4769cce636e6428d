"""How long a peer may keep us busy for nothing. Pure: no socket, no clock.

The receiver spends patience on every frame that is not a plain success. It comes back with time and with every
request that ends, however it ends; a peer that uses it up without either is told to be calm and left. So a
busy server never notices, nor does one that says something every second for days.
"""

from typing import Final

from clarion.http2.errors import PeerError
from clarion.http2.exchanges import Streams
from clarion.http2.frames import Code
from clarion.http2.limits import Limits
from clarion.http2.sending import Sender

FRAMES_PER_REQUEST: Final = 64


class Patience:
    """Counts down from `max_idle_frames`, and looks only at the end whether there is reason to go on."""

    def __init__(self, streams: Streams, sender: Sender, limits: Limits, now: float) -> None:
        self.now = now
        """To be kept by the receiver."""
        self._streams = streams
        self._sender = sender
        self._limits = limits
        self._left = limits.max_idle_frames
        self._renewed_at = now
        self._ended = 0

    def spend(self, frames: int) -> None:
        """Take what so many small frames cost, or raise `PeerError`."""
        self._left -= frames
        if self._left < 0:
            self._renew()

    def _renew(self) -> None:
        most, ended = self._limits.max_idle_frames, (self._sender.next_id >> 1) - len(self._streams.open)
        share = (self.now - self._renewed_at) / self._limits.deadline_seconds
        earned = (ended - self._ended) * FRAMES_PER_REQUEST + int(share * most)
        if earned <= 0:
            raise PeerError(Code.ENHANCE_YOUR_CALM, "too many frames that end no request")
        self._left = min(earned, most)
        self._renewed_at, self._ended = self.now, ended

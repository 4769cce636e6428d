"""What befalls a push that is right: a fault that all requests meet, or the wish of its address.

Every stand-in has one `Fates` for all its connections. Wishes are read by the stand-ins, each from its own
table; what happens on the wire is a `Reply`, which `wire.py` and `http1.py` carry out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from h2.errors import ErrorCodes

from clarion.sandbox.conversation import Act, Reply
from clarion.sandbox.outcomes import SLOW_SECONDS, Gone, Later, Mishap, Wish
from clarion.sandbox.push import Push, Refused
from clarion.sandbox.stage import Stage

REMEMBERED_ATTEMPTS = 100_000

# Mishap -> (is the push accepted all the same, what happens on the wire).
ON_THE_WIRE = {
    Mishap.SILENT: (False, Reply(Act.IGNORE)),
    Mishap.SLOW: (True, Reply(after=SLOW_SECONDS)),
    Mishap.REFUSED_STREAM: (False, Reply(Act.RESET, code=ErrorCodes.REFUSED_STREAM)),
    Mishap.CANCELLED_STREAM: (True, Reply(Act.RESET, code=ErrorCodes.CANCEL)),
    Mishap.GOAWAY_UNPROCESSED: (False, Reply(Act.GOAWAY_BEFORE)),
    Mishap.GOAWAY_UNANSWERED: (True, Reply(Act.GOAWAY_UNANSWERED)),
    Mishap.GOAWAY_ANSWERED: (True, Reply(Act.GOAWAY_ANSWER)),
    Mishap.DROPPED: (False, Reply(Act.DROP)),
    Mishap.DROPPED_AFTER_ACCEPTING: (True, Reply(Act.DROP)),
    Mishap.CUT: (True, Reply(Act.CUT)),
}

# What a fault that comes now and then does to the request that it meets.
STRIKES = {
    "goaway": Mishap.GOAWAY_ANSWERED,
    "reset": Mishap.CANCELLED_STREAM,
    "drop": Mishap.DROPPED,
    "tls_cut": Mishap.CUT,
}


class Fates:
    """What the stand-in of one provider has in store; `unavailable` is how that provider says so.

    A connection begins with `first_streams`; from the first success on it has `usual_streams`.
    """

    def __init__(
        self,
        stage: Stage,
        clock: Callable[[], float],
        unavailable: Refused,
        *,
        first_streams: int,
        usual_streams: int,
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._unavailable = unavailable
        self._first_streams = first_streams
        self._usual_streams = usual_streams
        self._attempted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._requests = 0

    def streams(self) -> int:
        """Return the limit of concurrent streams after the first success."""
        fault = self._stage.fault
        return fault.value if fault.mode == "limit" else self._usual_streams

    def of(self, wish: Wish | None, address: str, message: str) -> Refused | Mishap | None:
        """Return what happens to a push, in this order: a fault, the wish of its address, nothing special.

        Address and message tell the attempts of one push from those of others; a message without a name is
        the same as every other without.
        """
        self._requests += 1
        fault = self._stage.fault
        if fault.mode == "unavailable":
            return self._unavailable
        if fault.strikes(self._requests):
            return STRIKES[fault.mode]
        if wish is None or (wish.only_first and not self._is_first(address, message)):
            return None
        if isinstance(wish.outcome, Gone | Later):
            return wish.outcome.at(self._clock())
        return wish.outcome

    def take(self, push: Push, mishap: Mishap | None, answer: Reply) -> Reply:
        """Note what becomes of a push that no fate refuses; returns the answer, or what comes instead of it."""
        accepted = mishap is None or ON_THE_WIRE[mishap][0]
        if accepted:
            self._stage.accepted(push)
        if mishap and mishap is not Mishap.SLOW:
            self._stage.noted(push, mishap.name.lower().replace("_", " "))
        reply = self.meet(mishap, answer)
        opens = accepted and self.streams() != self._first_streams
        return replace(reply, streams=self.streams()) if opens else reply

    def meet(self, mishap: Mishap | None, answer: Reply) -> Reply:
        """Return the answer, or what comes instead of it."""
        reply = ON_THE_WIRE[mishap][1] if mishap else Reply()
        return self.delayed(replace(reply, status=answer.status, headers=answer.headers, body=answer.body))

    def delayed(self, reply: Reply) -> Reply:
        """Return the reply as late as the fault wants it."""
        fault = self._stage.fault
        return replace(reply, after=fault.value / 1000) if fault.mode == "slow" else reply

    def _is_first(self, address: str, message: str) -> bool:
        if (address, message) in self._attempted:
            return False
        self._attempted[address, message] = None
        if len(self._attempted) > REMEMBERED_ATTEMPTS:
            self._attempted.popitem(last=False)
        return True

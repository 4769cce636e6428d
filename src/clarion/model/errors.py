"""What Clarion refuses, and why: one class per kind of refusal.

Raised by the rules and the services, turned into HTTP by the one table in `api/errors.py`; nothing here
knows a status code. The tree:

    Refusal
    ├── Invalid            the request itself is wrong; names every fault with its path
    ├── TooLarge           more octets than the service takes
    ├── TooSlow            the request did not arrive in time
    ├── NotJson            the body is declared to be something other than JSON
    ├── Unauthenticated    no token, or one that is malformed, unknown, expired, lapsed or revoked
    ├── Forbidden          a valid token that may not do this
    ├── NotFound           absent, or hidden from this caller: no difference is made
    ├── Conflict           the request contradicts what is stored
    ├── TooOld             what the caller goes on from cannot be gone on from; they start anew
    ├── WrongRegion        the organization or the token lives elsewhere; says where
    ├── TooManyRequests    this caller asks more often than it may
    ├── TooManyStreams     this process keeps as many live streams open as it can
    ├── IssuerUnavailable  an ID token cannot be checked right now: its issuer's keys are not to be had
    └── StoreUnavailable   nothing can be stored right now; nothing was, or the database did not say so any more
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_FAULTS: Final = 1_000
"""How many faults a refusal names at most: a body of 1 MiB can have more than an answer should tell."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: where (`content.text`, `emails[3]`, a header, a query) and what."""

    path: str
    message: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not an error of ours
    """The service declines; `code` is stable and documented, `message` is a plain sentence for people."""

    code = "refused"

    def __init__(self, message: str, *, code: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.faults = tuple(faults)


class Invalid(Refusal):
    """The request itself is wrong."""

    code = "invalid_request"

    @classmethod
    def because(cls, faults: Sequence[Fault], *, code: str | None = None) -> "Invalid":
        """Make a refusal whose sentence names the first fault and counts the others; it tells `MOST_FAULTS`."""
        first, told = faults[0], faults[:MOST_FAULTS]
        end = ", where the list ends" if len(told) == MOST_FAULTS else ""
        more = f" ({len(told) - 1} more in details{end})" if len(told) > 1 else ""
        where = f"{first.path}: " if first.path else ""
        return cls(f"{where}{first.message}{more}", code=code, faults=told)


class TooLarge(Refusal):
    """More octets than the service takes."""

    code = "body_too_large"


class TooSlow(Refusal):
    """The request did not arrive in time."""

    code = "body_too_slow"


class NotJson(Refusal):
    """The body is declared to be something other than JSON."""

    code = "not_json"


class Unauthenticated(Refusal):
    """The caller did not prove who they are. The message never says which part was wrong."""

    code = "unauthorized"

    def __init__(self) -> None:
        super().__init__("Unauthorized")


class Forbidden(Refusal):
    """A valid token that may not do this."""

    code = "forbidden"


class NotFound(Refusal):
    """Absent, or hidden from this caller."""

    code = "not_found"


class Conflict(Refusal):
    """The request contradicts what is stored."""

    code = "conflict"


class TooOld(Refusal):
    """What the caller goes on from is too old, or not of this database: forget everything and start anew."""

    code = "sync_token_too_old"


class WrongRegion(Refusal):
    """The token belongs to another region, and so do the organizations that it can see."""

    code = "wrong_region"

    def __init__(self, region: str, base_url: str | None) -> None:
        place = f"; call {base_url}" if base_url else ""
        super().__init__(f"This token belongs to the region {region}{place}.")
        self.region = region
        self.base_url = base_url


class TooManyRequests(Refusal):
    """This caller asks more often than it may."""

    code = "too_many_requests"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("Too many requests with this token or for this organization; try again later.")
        self.retry_after_seconds = retry_after_seconds


class TooManyStreams(Refusal):
    """This process keeps as many live streams open as it can, or is about to end."""

    code = "too_many_streams"

    def __init__(self, retry_after_seconds: int = 10) -> None:
        super().__init__("The service cannot keep another live stream open right now; try again later.")
        self.retry_after_seconds = retry_after_seconds


class IssuerUnavailable(Refusal):
    """An ID token cannot be checked right now; it may be good."""

    code = "issuer_unavailable"

    def __init__(self, retry_after_seconds: int = 30) -> None:
        super().__init__(
            "The issuer of this ID token cannot be asked for its keys right now; try again later."
        )
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(Refusal):
    """Nothing can be stored right now, and nothing of this request was.

    `in_doubt`: the database went away while it was to make the request durable, and may have done so.
    """

    code = "store_unavailable"

    def __init__(self, retry_after_seconds: int = 5, *, in_doubt: bool = False) -> None:
        super().__init__(_IN_DOUBT if in_doubt else _NOTHING_STORED)
        self.retry_after_seconds = retry_after_seconds


_NOTHING_STORED: Final = "The service cannot store anything right now; nothing was accepted. Try again later."
_IN_DOUBT: Final = (
    "The database did not confirm, so it is unknown whether this was accepted. "
    "Try again later, with the same Idempotency-Key."
)

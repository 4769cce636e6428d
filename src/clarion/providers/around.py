"""What providers get from outside: the time, whom to trust, the way to the network, and what they share.

Made by `bootstrap.py`; tests make their own.
"""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Generic, TypeVar

from clarion import http2

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Loan(Generic[T_co]):
    """The use of a shared thing, until it is given back; giving back once more does nothing."""

    thing: T_co
    give_back: Callable[[], Awaitable[None]]


class Shared:
    """What several channels use together, such as the connections of one credential. The last user closes it."""

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def borrow(
        self, key: Hashable, make: Callable[[], T], close: Callable[[T], Awaitable[None]] | None = None
    ) -> Loan[T]:
        """Use what this key stands for; it is made for its first user."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(make())
        entry.users += 1
        is_out = True

        async def give_back() -> None:
            nonlocal is_out
            if not is_out:
                return
            is_out = False
            entry.users -= 1
            if not entry.users:
                del self._entries[key]
                if close is not None:
                    await close(entry.thing)

        return Loan(entry.thing, give_back)


@dataclass(slots=True)
class _Entry:
    thing: Any
    users: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The world of a provider. `clock` answers in milliseconds.

    `trusted_hosts` are those whose Web Push endpoints may be anywhere, also on private networks; `host` or
    `host:port`.
    """

    clock: Callable[[], int]
    tls: SSLContext
    ca_file: str | None = None
    proxy: http2.Proxy | None = None
    trusted_hosts: frozenset[str] = frozenset()
    shared: Shared = field(default_factory=Shared)

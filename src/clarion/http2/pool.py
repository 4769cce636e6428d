"""One host and port, and as many connections as are needed. Called by whoever sends; knows nothing of push.

Bursts go into one backlog, from which every connection takes what its windows and streams let through. So what
waits never waits for a certain connection, and what a peer surely did not process is sent again by whichever is
free. Only that is sent again; `Unknown` never is.

One connection carries no more than its streams divided by the delay. While that is what requests wait for, the
number of connections doubles, up to a cap; those with nothing to do are closed again, and old ones are replaced.
A failed attempt is followed by a pause that doubles, so that a dead provider costs one attempt per pause however
many bursts ask for it, and a live one never sees rapid reconnects (which Apple treats as an attack).
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Sequence

from clarion.http2.backlog import Backlog, Burst
from clarion.http2.backoff import Backoff
from clarion.http2.connection import Connection
from clarion.http2.dialing import Resolve, Route
from clarion.http2.errors import ConnectFailed
from clarion.http2.headers import Hole, Template
from clarion.http2.limits import DEFAULT_LIMITS, DEFAULT_POOL_LIMITS, Limits, PoolLimits
from clarion.http2.proxy import Proxy
from clarion.http2.results import NotProcessed, Result

CLOSED = "closed by us"


class Pool:
    """A host and port that outlives its connections."""

    def __init__(  # noqa: PLR0913 - two of them are the world, injected
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext,
        limits: Limits = DEFAULT_LIMITS,
        pool_limits: PoolLimits = DEFAULT_POOL_LIMITS,
        proxy: Proxy | None = None,
        resolve: Resolve | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._route = Route(host, port, tls, proxy, resolve)
        self._limits = limits
        self._pool_limits = pool_limits
        self._clock = clock
        self._jitter = jitter
        self._backlog = Backlog(pool_limits.attempts)
        self._members: list[_Member] = []
        self._leaving: list[Connection] = []
        self._opening: set[asyncio.Task[ConnectFailed | None]] = set()
        self._dials = 0
        self._fruitless = 0
        pauses = pool_limits.first_pause_seconds, pool_limits.longest_pause_seconds
        self._rest = Backoff(*pauses, clock, jitter)
        self._rest_from_growing = Backoff(*pauses, clock, jitter)
        self._grow_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._look_is_due = False
        self._closed = False

    @property
    def connections(self) -> int:
        """How many connections take requests now."""
        return sum(member.connection.usable for member in self._members)

    async def connect(self) -> None:
        """Make sure that a live connection exists, or raise `ConnectFailed`; within a pause, at once."""
        if self._closed:
            raise ConnectFailed(CLOSED)
        if self.connections:
            return
        failure = None if self._opening else self._rest.failure
        if failure is None:
            task = next(iter(self._opening), None) or self._open()
            await asyncio.wait({task})
            failure = ConnectFailed(CLOSED) if task.cancelled() else task.result()
        if failure is not None:
            raise type(failure)(str(failure))

    async def burst(self, template: Template, holes: Sequence[Hole]) -> list[Result]:
        """Send one request per hole and return their results in the same order, when all have one.

        Bursts may overlap: streams are opened first come, first served. Cancelling resets what is in flight and
        forgets what waits. `holes` must not change meanwhile. A plain 200 or 201 comes without headers and body
        unless the template keeps them; trailers and 1xx are dropped. Raises nothing but for a wrong hole.
        """
        done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        burst = Burst(template, holes, lambda results: None if done.done() else done.set_result(results))
        if self._closed or not holes:
            return [NotProcessed(CLOSED)] * len(holes)
        self._backlog.add(burst)
        self._look()
        try:
            return await done
        except asyncio.CancelledError:
            self._forget(burst)
            raise

    def renew(self) -> None:
        """Send all that follows over new connections; what is in flight keeps its answers."""
        for member in tuple(self._members):
            member.connection.retire("replaced because the caller wished it")

    async def close(self) -> None:
        """Close for good; requests in flight end as `Unknown`."""
        self._closed = True
        self._backlog.refuse(CLOSED)
        if self._timer is not None:
            self._timer.cancel()
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._all()))
        self._backlog.refuse(CLOSED)

    def _all(self) -> list[Connection]:
        return [*(member.connection for member in self._members), *self._leaving]

    def _forget(self, burst: Burst) -> None:
        self._backlog.forget(burst)
        for connection in self._all():
            connection.forget(burst)

    # -- one look at everything, after whatever may have changed something

    def _on_change(self, connection: Connection) -> None:
        """Look soon; whoever calls is in the middle of something. The others go first with what came back."""
        self._members.sort(key=lambda member: member.connection is connection)
        if not self._look_is_due and not self._closed:
            self._look_is_due = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._look_is_due = False
        if self._closed:
            return
        now = self._clock()
        self._part_from_the_leaving()
        self._note_the_proven()
        for member in tuple(self._members):
            member.note_use(now)
            if self._backlog.first is not None:
                member.connection.pump()
        self._see_to_one()
        self._rotate(now)
        self._shrink(now)
        self._grow(now)
        self._look_later()

    def _look_later(self) -> None:
        """Come back without being called while time alone can change something."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._backlog.first is not None:
            seconds = self._pool_limits.patience_seconds
        elif len(self._members) > 1:
            seconds = self._pool_limits.idle_seconds
        else:
            return
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _part_from_the_leaving(self) -> None:
        leaving = [member for member in self._members if not member.connection.usable]
        self._members = [member for member in self._members if member.connection.usable]
        self._leaving = [each for each in self._leaving if not each.is_gone]
        for member in leaving:
            if not member.connection.is_gone:
                self._leaving.append(member.connection)
            if not member.is_proven and not member.connection.is_proven:
                self._note_fruitless(member.connection)

    def _note_fruitless(self, connection: Connection) -> None:
        """Bear with a peer whose connections end without an answer, but not for ever."""
        if not connection.sent and self._backlog.first is None:
            return
        failure = ConnectFailed(connection.useless_because or "it ended")
        if self._members:
            self._rest_from_growing.fail(failure)
            return
        self._fruitless += 1
        if self._fruitless >= self._pool_limits.attempts:
            self._give_up(failure)

    def _note_the_proven(self) -> None:
        for member in self._members:
            if member.connection.is_proven and not member.is_proven:
                member.is_proven = True
                self._fruitless = 0
                self._grow_at = None
                self._rest.succeed()
                if len(self._members) > 1:
                    self._rest_from_growing.succeed()

    def _give_up(self, failure: ConnectFailed) -> None:
        self._rest.fail(failure)
        if not self._opening:
            self._backlog.refuse(str(failure))

    # -- how many connections

    def _see_to_one(self) -> None:
        """What waits needs a connection, or an end."""
        if self._members or self._opening or self._backlog.first is None:
            return
        if failure := self._rest.failure:
            self._backlog.refuse(str(failure))
        elif self._room() > 0:
            self._open()

    def _rotate(self, now: float) -> None:
        """Let those go that are too old, once there is another."""
        old = [member for member in self._members if now >= member.retires_at]
        if old and len(old) < len(self._members):
            for member in old:
                member.connection.retire("replaced because of its age")
        elif old and not self._opening and not self._is_resting():
            self._open()

    def _shrink(self, now: float) -> None:
        """Let those go that nobody needed for a while, all but one."""
        idle = [
            member.connection
            for member in self._members
            if not member.connection.in_flight and now - member.used_at >= self._pool_limits.idle_seconds
        ]
        for connection in idle:
            if connection.usable and self.connections > 1:
                connection.retire("not needed any more")

    def _grow(self, now: float) -> None:
        """Double the number of connections when those there are leave requests waiting for too long.

        Apple allows a new connection one stream until its first success. So one that has not answered yet is no
        reason to open more.
        """
        if self._backlog.first is None:
            self._grow_at = None
            return
        may_grow = not self._opening and all(member.is_proven for member in self._members)
        if self._grow_at is not None and may_grow and now < self._grow_at:
            return
        if self._grow_at is not None and may_grow and not self._is_resting() and self._is_behind():
            for _ in range(min(len(self._members), self._room())):
                self._open()
        self._grow_at = now + self._pool_limits.patience_seconds
        self._backlog.taken = 0

    def _is_behind(self) -> bool:
        return self._backlog.count > self._backlog.taken

    def _is_resting(self) -> bool:
        return bool(self._rest.failure or self._rest_from_growing.failure)

    def _room(self) -> int:
        """How many connections may be added; those that only wait for answers count as well, but less."""
        most, members = self._pool_limits.most_connections, len(self._members)
        answering = sum(not each.ended for each in self._leaving)
        return min(most - members, 2 * most - members - answering) - len(self._opening)

    # -- opening

    def _open(self) -> asyncio.Task[ConnectFailed | None]:
        task = asyncio.create_task(self._add_connection())
        self._opening.add(task)
        task.add_done_callback(self._note_opened)
        return task

    async def _add_connection(self) -> ConnectFailed | None:
        turn, self._dials = self._dials, self._dials + 1
        try:
            connection = await Connection.over(
                self._route, self._limits, self._backlog, self._on_change, turn
            )
        except ConnectFailed as error:
            return error
        age = self._pool_limits.oldest_seconds * (1 - self._jitter() / 4)
        self._members.append(_Member(connection, self._clock(), age))
        return None

    def _note_opened(self, task: asyncio.Task[ConnectFailed | None]) -> None:
        self._opening.discard(task)
        if self._closed or task.cancelled():
            return
        failure = ConnectFailed("the attempt to connect broke off") if task.exception() else task.result()
        if fault := task.exception():
            # Of `resolve`, say: nobody must be left waiting for it.
            context = {"message": "a connection broke off while it was made", "exception": fault}
            task.get_loop().call_exception_handler(context)
        if failure and self.connections:
            self._rest_from_growing.fail(failure)
        elif failure:
            self._give_up(failure)
        self._look()


class _Member:
    """A connection that takes requests, and what the pool remembers of it."""

    __slots__ = ("_sent", "connection", "is_proven", "retires_at", "used_at")

    def __init__(self, connection: Connection, now: float, age_seconds: float) -> None:
        self.connection = connection
        self.is_proven = False
        self.retires_at = now + age_seconds
        self.used_at = now
        self._sent = 0

    def note_use(self, now: float) -> None:
        """Remember whether it was used since the last look."""
        if self.connection.in_flight or self.connection.sent != self._sent:
            self.used_at, self._sent = now, self.connection.sent

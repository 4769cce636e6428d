"""One TLS connection: the asyncio shell around the pure parts.

It owns what they must not know: the transport, the clock, one timer for all deadlines. Works on asyncio and on
uvloop. Nothing waits for anything but `open`, `over`, `burst` and `close`; all the rest happens in callbacks of
the loop, in short slices. What waits for a stream is in a backlog, of which a pool gives the same one to all its
connections.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Final, Self, cast

from clarion.http2 import frames
from clarion.http2.backlog import Backlog, Burst
from clarion.http2.dialing import NO_H2, Route, dial
from clarion.http2.errors import ConnectFailed, NoHttp2, PeerError
from clarion.http2.exchanges import Streams
from clarion.http2.frames import Code
from clarion.http2.headers import Hole, Template
from clarion.http2.heartbeat import Heartbeat
from clarion.http2.limits import DEFAULT_LIMITS, Limits
from clarion.http2.receiving import Receiver
from clarion.http2.results import NotProcessed, Result, Unknown
from clarion.http2.sending import Sender

MAX_CONTROL_OCTETS: Final = 65_536
USED_UP: Final = "the stream ids of this connection are used up"


class Connection(asyncio.BufferedProtocol):
    """One TLS connection; make it with `open`, or with `over` when a pool owns it. Its methods without
    documentation are asyncio's callbacks."""

    def __init__(self, limits: Limits, backlog: Backlog, on_change: Callable[["Connection"], None]) -> None:
        self.is_proven = False
        """Whether the peer has ended a request that it took."""
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._backlog = backlog
        self._on_change = on_change
        self._streams = Streams(backlog)
        self._sender = Sender(self._streams, backlog, limits)
        self._receiver = Receiver(self._streams, self._sender, limits, self._loop.time())
        self._heartbeat = Heartbeat(limits, self._loop.time())
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._made_at = self._progress_at = self._loop.time()
        self._stuck_since: float | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._lost = asyncio.Event()
        self._paused = False
        self._pump_is_due = False
        self._retired: str | None = None
        self._ended: str | None = None

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext, limits: Limits = DEFAULT_LIMITS
    ) -> Self:
        """Connect without a pool: what cannot be sent ends as `NotProcessed`; raises `ConnectFailed`.

        The name is looked up anew each time. `tls` must offer `h2` by ALPN, as `client_tls` does.
        """
        return await cls.over(Route(host, port, tls), limits, Backlog(), _refuse_if_useless)

    @classmethod
    async def over(
        cls,
        route: Route,
        limits: Limits,
        backlog: Backlog,
        on_change: Callable[["Connection"], None],
        turn: int = 0,
    ) -> Self:
        """Connect and return once the server's SETTINGS have arrived; raises `ConnectFailed`.

        `on_change` is told when the connection is proven, when requests came back to the backlog, and when it
        takes no more or has ended. `turn` chooses among several addresses.
        """
        connection = cls(limits, backlog, on_change)
        where = f"{route.host}:{route.port}"
        await dial(route, lambda: connection, limits, turn)
        try:
            async with asyncio.timeout(limits.settings_seconds):
                await connection._ready
        except TimeoutError as error:
            raise ConnectFailed(f"{where}: no SETTINGS within {limits.settings_seconds:g} s") from error
        except ConnectFailed as error:
            raise type(error)(f"{where}: {error}") from error
        finally:
            if not connection._receiver.greeted:
                await connection._give_up_life()
        return connection

    async def _give_up_life(self) -> None:
        """Drop a connection that never came to life, unless it is ending with a farewell."""
        if self._ended is None and self._transport is not None:
            self._end("never came to life")
            self._transport.abort()
            await self._lost.wait()

    @property
    def usable(self) -> bool:
        """Whether a burst has a chance; False after GOAWAY, loss, close, or when the stream ids are used
        up."""
        return self.useless_because is None

    @property
    def useless_because(self) -> str | None:
        """Why it takes no more requests."""
        if reason := self._ended or self._receiver.leaving or self._retired:
            return reason
        if self._transport is None or self._transport.is_closing():
            return "not connected"
        return None

    @property
    def ended(self) -> bool:
        """Whether it is over, all its requests with a result."""
        return self._ended is not None

    @property
    def is_gone(self) -> bool:
        """Whether its socket is closed as well."""
        return self._lost.is_set()

    @property
    def in_flight(self) -> int:
        """How many requests it has sent that have no result."""
        return len(self._streams.open)

    @property
    def sent(self) -> int:
        """How many requests it has sent in its life."""
        return self._sender.next_id >> 1

    async def burst(self, template: Template, holes: Sequence[Hole]) -> list[Result]:
        """Send one request per hole and return their results in the same order, when all have one.

        Bursts may overlap: streams are opened first come, first served. Cancelling resets what is in flight.
        `holes` must not change meanwhile. A plain 200 or 201 comes without headers and body unless the
        template keeps them; trailers and 1xx are dropped.
        """
        done: asyncio.Future[list[Result]] = self._loop.create_future()
        burst = Burst(template, holes, lambda results: None if done.done() else done.set_result(results))
        if reason := self.useless_because:
            return [NotProcessed(reason)] * len(holes)
        if not holes:
            return []
        self._backlog.add(burst)
        self.pump()
        try:
            return await done
        except asyncio.CancelledError:
            self._backlog.forget(burst)
            self.forget(burst)
            raise

    def forget(self, burst: Burst) -> None:
        """Reset what is in flight of a burst that nobody waits for."""
        self._sender.forget(burst)
        self.pump()

    def retire(self, reason: str) -> None:
        """Take no more requests, and end when those in flight have their results."""
        if self.useless_because is None:
            self._retired = reason
            self._sender.stop()
            self._on_change(self)
            self._pump_soon()

    async def close(self) -> None:
        """Say GOAWAY and close; requests in flight end as `Unknown`."""
        self._end("closed by us")
        await self._lost.wait()

    # -- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast("asyncio.Transport", transport)
        if self._transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self._fail_to_open(NoHttp2(NO_H2))
            self._transport.abort()
            self._end(NO_H2)
        else:
            self._transport.write(self._receiver.greeting())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102, ARG002
        return self._receiver.space()

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        if self._ended is not None:
            return
        now = self._loop.time()
        self._heartbeat.hear(now)
        in_flight, given_back = len(self._streams.open), self._streams.given_back
        try:
            self._receiver.receive(nbytes, now)
        except PeerError as error:
            self._end(f"{Code(error.code).name}: {error}", error.code)
            return
        if self._receiver.greeted and not self._ready.done():
            self._ready.set_result(None)
            self._watch()
        given_back = self._streams.given_back - given_back
        proved = in_flight - len(self._streams.open) > given_back and not self.is_proven
        if in_flight != len(self._streams.open):
            self._progress_at, self._stuck_since = now, None
        self.is_proven |= proved
        if proved or given_back or self._receiver.leaving:
            # The others go first: what this one refused is not offered to it again at once.
            self._on_change(self)
            self._pump_soon()
        else:
            self.pump()

    def pause_writing(self) -> None:  # noqa: D102
        self._paused = True

    def resume_writing(self) -> None:  # noqa: D102
        self._paused = False
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._end(f"connection lost: {exc}" if exc else "connection closed by the peer")
        if self._timer is not None:
            self._timer.cancel()
        self._lost.set()

    # -- the work

    def pump(self) -> None:
        """Write what the peer and the transport take: replies first, then one slice of requests."""
        if self._ended is not None or self._transport is None or self._leave_when_done():
            return
        control = self._sender.control
        if self._paused:
            if len(control) > MAX_CONTROL_OCTETS:
                self._end("the peer asks for replies and does not read them", Code.ENHANCE_YOUR_CALM)
            return
        now, was_idle = self._loop.time(), not self._streams.open
        requests = self._sender.next_slice(now)
        if control or requests:
            self._transport.write(bytes(control) + requests)
            control.clear()
        if self._sender.more:
            self._pump_soon()
        if self._sender.exhausted:
            self.retire(USED_UP)
        self._note_progress(now, was_idle=was_idle)

    def _note_progress(self, now: float, *, was_idle: bool) -> None:
        """Remember since when requests wait that this connection does not take."""
        begins = was_idle and bool(self._streams.open)
        if begins or not self._is_awaited:
            self._stuck_since = None
        if self._stuck_since is None and self._is_awaited:
            self._stuck_since = now
            begins = True
        if begins:
            self._look_again_by(self._next_step_at())

    @property
    def _is_awaited(self) -> bool:
        """Whether requests wait that it might take."""
        return self._backlog.first is not None and self.useless_because is None

    def _pump_soon(self) -> None:
        if not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self._pump_again)

    def _pump_again(self) -> None:
        self._pump_is_due = False
        self.pump()

    def _leave_when_done(self) -> bool:
        """End a connection that takes no more requests and has answered those it took."""
        leaving = self._receiver.leaving or self._retired
        if not leaving or self._streams.open:
            return False
        self._end(leaving)
        return True

    def _end(self, reason: str, code: int = Code.NO_ERROR) -> None:
        """End the connection: every request gets its result now, the socket closes within `close_seconds`."""
        if self._ended is not None:
            return
        self._ended = reason
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None and not self._lost.is_set():
            if not self._transport.is_closing():
                self._transport.write(bytes(self._sender.control) + frames.goaway(0, code, reason.encode()))
            self._transport.close()
            self._timer = self._loop.call_later(self._limits.close_seconds, self._transport.abort)
        self._fail_to_open(ConnectFailed(reason))
        self._streams.settle_all(Unknown(reason))
        self._on_change(self)

    def _fail_to_open(self, failure: ConnectFailed) -> None:
        if not self._ready.done():
            self._ready.set_exception(failure)
            self._ready.exception()  # read by `over`, or by nobody when `over` itself was cancelled

    # -- the timer

    def _look_again_by(self, moment: float) -> None:
        if self._ended is None and (self._timer is None or self._timer.when() > moment):
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(moment, self._watch)

    def _watch(self) -> None:
        """Do what is due, and come back when the next thing is."""
        self._timer = None
        now, limits = self._loop.time(), self._limits
        self._give_up_overdue(now)
        if not self._is_awaited:
            self._stuck_since = None
        if not self._receiver.acknowledged and now >= self._made_at + limits.settings_seconds:
            self._end("our SETTINGS were not acknowledged in time", Code.SETTINGS_TIMEOUT)
        elif self._stuck_since is not None and now >= self._stuck_since + limits.deadline_seconds:
            self._end(self._nothing_answered())
        elif self._heartbeat.is_dead(now):
            self._end("no sign of life: PING unanswered")
        elif self._heartbeat.must_ask(now, self._busy_since()):
            self._sender.control += frames.frame(frames.PING, 0, 0, bytes(8))
        self.pump()
        self._look_again_by(self._next_step_at())

    def _give_up_overdue(self, now: float) -> None:
        """Reset the streams whose time is over; a peer that answered nothing in all that time gets no more."""
        overdue, busy_since = self._streams.overdue(now), self._busy_since()
        for stream_id in overdue:
            reason = f"no answer within {self._limits.deadline_seconds:g} s"
            self._sender.fail_stream(stream_id, Code.CANCEL, reason)
        if overdue and busy_since is not None and self._progress_at < busy_since:
            self.retire(self._nothing_answered())

    def _nothing_answered(self) -> str:
        return f"the peer answered nothing for {self._limits.deadline_seconds:g} s"

    def _busy_since(self) -> float | None:
        deadline = self._streams.first_deadline()
        return None if deadline is None else deadline - self._limits.deadline_seconds

    def _next_step_at(self) -> float:
        moments = [self._heartbeat.next_step_at(self._busy_since())]
        if (deadline := self._streams.first_deadline()) is not None:
            moments.append(deadline)
        if self._stuck_since is not None:
            moments.append(self._stuck_since + self._limits.deadline_seconds)
        if not self._receiver.acknowledged:
            moments.append(self._made_at + self._limits.settings_seconds)
        return min(moments)


def _refuse_if_useless(connection: Connection) -> None:
    """Without a pool, what a connection does not take has nowhere to go."""
    if reason := connection.useless_because:
        connection._backlog.refuse(reason)

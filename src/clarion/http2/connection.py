"""One TLS connection: the asyncio shell around the pure parts.

It owns what they must not know: the transport, the clock, one timer for all deadlines, and one Future per
burst. Works on asyncio and on uvloop. Nothing waits for anything but `burst`, `open` and `close`; all the
rest happens in callbacks of the loop, in short slices.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final, Self, cast

from clarion.http2 import frames
from clarion.http2.errors import ConnectFailed, PeerError
from clarion.http2.exchanges import Burst, Streams
from clarion.http2.frames import Code
from clarion.http2.headers import PATH, Hole, Template
from clarion.http2.heartbeat import Heartbeat
from clarion.http2.limits import DEFAULT_LIMITS, Limits
from clarion.http2.receiving import Receiver
from clarion.http2.results import NotProcessed, Result, Unknown
from clarion.http2.sending import Sender

MAX_CONTROL_OCTETS: Final = 65_536


class Connection(asyncio.BufferedProtocol):
    """One TLS connection; make it with `open`. Its methods without documentation are asyncio's callbacks."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._streams = Streams()
        self._sender = Sender(self._streams, limits)
        self._receiver = Receiver(self._streams, self._sender, limits)
        self._heartbeat = Heartbeat(limits, self._loop.time())
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._made_at = self._progress_at = self._loop.time()
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._lost = asyncio.Event()
        self._paused = False
        self._pump_is_due = False
        self._ended: str | None = None

    @classmethod
    async def open(
        cls, host: str, port: int, *, tls: ssl.SSLContext, limits: Limits = DEFAULT_LIMITS
    ) -> Self:
        """Connect and return once the server's SETTINGS have arrived; raises `ConnectFailed`.

        The name is looked up anew each time. `tls` must offer `h2` by ALPN, as `client_tls` does.
        """
        where = f"{host}:{port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(limits.connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: cls(limits),
                    host,
                    port,
                    ssl=tls,
                    server_hostname=host,
                    ssl_shutdown_timeout=limits.close_seconds,
                )
        except TimeoutError as error:
            raise ConnectFailed(f"{where}: no connection within {limits.connect_seconds:g} s") from error
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"{where}: {error}") from error
        try:
            async with asyncio.timeout(limits.settings_seconds):
                await connection._ready
        except TimeoutError as error:
            raise ConnectFailed(f"{where}: no SETTINGS within {limits.settings_seconds:g} s") from error
        except ConnectFailed as error:
            raise ConnectFailed(f"{where}: {error}") from error
        finally:
            if not connection._receiver.greeted:
                connection._end("never came to life")
        return connection

    @property
    def usable(self) -> bool:
        """Whether a burst has a chance; False after GOAWAY, loss, close, or when the stream ids are used
        up."""
        return self._why_not() is None

    @property
    def ended(self) -> bool:
        """Whether it is over, all its requests with a result."""
        return self._ended is not None

    async def burst(self, template: Template, holes: Sequence[Hole]) -> list[Result]:
        """Send one request per hole and return their results in the same order, when all have one.

        Bursts may overlap: streams are opened first come, first served. Cancelling resets what is in flight.
        `holes` must not change meanwhile. A plain 200 or 201 comes without headers and body unless the
        template keeps them; trailers and 1xx are dropped.
        """
        for fields, middle in holes:
            if fields[:1] != PATH or not isinstance(middle, bytes):
                raise ValueError(
                    "a hole is (header fields that begin with literal(b':path', …), piece of body)"
                )
        if reason := self._why_not():
            return [NotProcessed(reason)] * len(holes)
        if not holes:
            return []
        done: asyncio.Future[list[Result]] = self._loop.create_future()
        burst = Burst(template, holes, lambda results: None if done.done() else done.set_result(results))
        if not self._streams.open and not self._sender.waiting:
            self._progress_at = self._loop.time()
        self._sender.add(burst)
        self._pump()
        self._look_again_by(self._next_step_at())
        try:
            return await done
        except asyncio.CancelledError:
            self._sender.abandon(burst)
            self._pump()
            raise

    async def close(self) -> None:
        """Say GOAWAY and close; requests in flight end as `Unknown`."""
        self._end("closed by us")
        await self._lost.wait()

    def _why_not(self) -> str | None:
        if self._ended or self._receiver.leaving:
            return self._ended or self._receiver.leaving
        if self._sender.exhausted:
            return "the stream ids of this connection are used up"
        if self._transport is None or self._transport.is_closing():
            return "not connected"
        return None

    # -- callbacks of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102
        self._transport = cast("asyncio.Transport", transport)
        if self._transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self._transport.abort()
            self._end("the server does not speak HTTP/2 (no h2 by ALPN)")
        else:
            self._transport.write(self._receiver.greeting())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: D102, ARG002
        return self._receiver.space()

    def buffer_updated(self, nbytes: int) -> None:  # noqa: D102
        if self._ended is not None:
            return
        self._heartbeat.hear(self._loop.time())
        in_flight = len(self._streams.open)
        try:
            self._receiver.receive(nbytes)
        except PeerError as error:
            self._end(f"{Code(error.code).name}: {error}", error.code)
            return
        if self._receiver.greeted and not self._ready.done():
            self._ready.set_result(None)
            self._watch()
        if len(self._streams.open) != in_flight:
            self._progress_at = self._loop.time()
        self._pump()

    def pause_writing(self) -> None:  # noqa: D102
        self._paused = True

    def resume_writing(self) -> None:  # noqa: D102
        self._paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        self._end(f"connection lost: {exc}" if exc else "connection closed by the peer")
        if self._timer is not None:
            self._timer.cancel()
        self._lost.set()

    # -- the work

    def _pump(self) -> None:
        """Write what the peer and the transport take: replies first, then one slice of requests."""
        if self._ended is not None or self._transport is None or self._leave_when_done():
            return
        control = self._sender.control
        if self._paused:
            if len(control) > MAX_CONTROL_OCTETS:
                self._end("the peer asks for replies and does not read them", Code.ENHANCE_YOUR_CALM)
            return
        now = self._loop.time()
        requests = self._sender.next_slice(now)
        if control or requests:
            self._transport.write(bytes(control) + requests)
            control.clear()
        if self._sender.more and not self._pump_is_due:
            self._pump_is_due = True
            self._loop.call_soon(self._pump_again)

    def _pump_again(self) -> None:
        self._pump_is_due = False
        self._pump()

    def _leave_when_done(self) -> bool:
        """End a connection that takes no more requests and has answered those it took."""
        if self._sender.exhausted:
            self._sender.refuse_waiting("the stream ids of this connection are used up")
        if not (self._receiver.leaving or self._sender.exhausted) or self._streams.open:
            return False
        self._end(self._receiver.leaving or "the stream ids of this connection are used up")
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
        if not self._ready.done():
            self._ready.set_exception(ConnectFailed(reason))
            self._ready.exception()  # read by `open`, or by nobody when `open` itself was cancelled
        self._sender.refuse_waiting(reason)
        self._streams.settle_above(0, Unknown(reason))

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
        for stream_id in self._streams.overdue(now):
            self._sender.fail_stream(
                stream_id, Code.CANCEL, f"no answer within {limits.deadline_seconds:g} s"
            )
        if not self._receiver.acknowledged and now >= self._made_at + limits.settings_seconds:
            self._end("our SETTINGS were not acknowledged in time", Code.SETTINGS_TIMEOUT)
        elif self._sender.waiting and now >= self._progress_at + limits.deadline_seconds:
            self._end(f"the peer answered nothing for {limits.deadline_seconds:g} s")
        elif self._heartbeat.is_dead(now):
            self._end("no sign of life: PING unanswered")
        elif self._heartbeat.must_ask(now, self._busy_since()):
            self._sender.control += frames.frame(frames.PING, 0, 0, bytes(8))
        self._pump()
        self._look_again_by(self._next_step_at())

    def _busy_since(self) -> float | None:
        deadline = self._streams.first_deadline()
        return None if deadline is None else deadline - self._limits.deadline_seconds

    def _next_step_at(self) -> float:
        moments = [self._heartbeat.next_step_at(self._busy_since())]
        if (deadline := self._streams.first_deadline()) is not None:
            moments.append(deadline)
        if self._sender.waiting:
            moments.append(self._progress_at + self._limits.deadline_seconds)
        if not self._receiver.acknowledged:
            moments.append(self._made_at + self._limits.settings_seconds)
        return min(moments)

"""HTTP/2 over TLS for every stand-in, with the `h2` library over asyncio.

`server.py` listens with it; what the stand-ins reply is carried out here. Nothing here waits: a client that does not
read is not read from, so that it cannot grow the buffers.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame, SettingsFrame

from clarion.sandbox.conversation import KEPT_BODY, Act, Conversation, Reply, Request

CONNECTION_WINDOW = 1 << 24
STREAM_WINDOW = 65_535


@dataclass(slots=True)
class _Upload:
    method: str
    path: str
    authority: str
    headers: tuple[tuple[str, str], ...]
    body: bytearray = field(default_factory=bytearray)
    size: int = 0


class Listener:
    """Makes connections and knows those that are open."""

    def __init__(self, converse: Callable[[], Conversation]) -> None:
        self._converse = converse
        self._stall_seconds = 0.0
        self.connections: set[Connection] = set()

    def __call__(self) -> Connection:
        """Make the protocol of a new connection, as asyncio asks for it."""
        return Connection(self._converse(), self.connections, self._stall_seconds)

    def announce_streams(self, limit: int) -> None:
        """Tell the open connections a new limit of concurrent streams, where the first limit is past."""
        for connection in tuple(self.connections):
            connection.announce_streams(limit)

    def stall(self, seconds: float) -> None:
        """Take no bodies for so long: from now on where a connection is open, from its first octet where one
        comes later. 0 ends it."""
        self._stall_seconds = seconds
        for connection in tuple(self.connections):
            connection.stall(seconds)

    def close(self) -> None:
        """End all connections at once."""
        for connection in tuple(self.connections):
            connection.drop()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, conversation: Conversation, others: set[Connection], stall_seconds: float) -> None:
        self._talk = conversation
        self._others = others
        self._stall_seconds = stall_seconds
        self._reopening: asyncio.TimerHandle | None = None  # while the windows are shut
        self._is_cut = False
        self._open: dict[int, _Upload] = {}
        self._unsent: dict[int, bytes] = {}  # bodies that wait for the client's window
        self._limit = conversation.first_streams
        self._last_stream: int | None = None  # once a GOAWAY was sent
        self._highest = 0

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet a client that speaks h2; let others go."""
        self._transport = cast("asyncio.Transport", transport)
        tls = self._transport.get_extra_info("ssl_object")
        if isinstance(tls, (ssl.SSLObject, ssl.SSLSocket)) and tls.selected_alpn_protocol() != "h2":
            self._transport.close()
            return
        self._others.add(self)
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None)
        )
        first = {SettingCodes.MAX_CONCURRENT_STREAMS: self._limit}
        if self._stall_seconds:
            first[SettingCodes.INITIAL_WINDOW_SIZE] = 0
            self._reopen_after(self._stall_seconds)
        self._h2.local_settings = Settings(client=False, initial_values=first)
        self._h2.initiate_connection()
        # From here on the first limit is ours to hold: a client may open streams before it has read it, and
        # deserves REFUSED_STREAM (RFC 9113 §5.1.2) where h2 would end the connection.
        self._h2.local_settings = Settings(client=False)
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take octets; answer what became whole."""
        if self not in self._others or self._is_cut:
            return
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
                if self not in self._others or self._is_cut:
                    return  # over: what came in the same breath is lost with it
        except h2.exceptions.ProtocolError:
            self._flush()  # h2 has put a GOAWAY with the fault's code there
            self._transport.close()
            return
        self._flush()
        self._close_when_done()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client."""
        self._others.discard(self)
        self._open.clear()
        if self._reopening:
            self._reopening.cancel()

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    # --- h2's side ---

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event)
            case h2.events.DataReceived():
                self._collect(event)
            case h2.events.StreamEnded():
                self._end(event.stream_id or 0)
            case h2.events.StreamReset():
                self._forget(event.stream_id or 0)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream in tuple(self._unsent):
                    self._send_body(stream)
            case h2.events.ConnectionTerminated():
                self._transport.close()

    def _begin(self, event: h2.events.RequestReceived) -> None:
        stream = event.stream_id or 0
        if self._last_stream is not None and stream > self._last_stream:
            return
        self._highest = max(self._highest, stream)
        if self._limit == self._talk.first_streams and len(self._open) >= self._limit:
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        headers = tuple((_text(name), _text(value)) for name, value in event.headers or ())
        pseudo = dict(header for header in headers if header[0].startswith(":"))
        plain = tuple(header for header in headers if not header[0].startswith(":"))
        self._open[stream] = _Upload(
            pseudo.get(":method", ""), pseudo.get(":path", ""), pseudo.get(":authority", ""), plain
        )

    def _collect(self, event: h2.events.DataReceived) -> None:
        stream, data = event.stream_id or 0, event.data or b""
        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
        if upload := self._open.get(stream):
            upload.size += len(data)
            upload.body += data[: KEPT_BODY - len(upload.body)]

    def _end(self, stream: int) -> None:
        upload = self._open.get(stream)
        if upload is None:
            return
        request = Request(
            upload.method, upload.path, upload.authority, upload.headers, bytes(upload.body), upload.size
        )
        reply = self._talk.answer(request)
        if reply.after:
            asyncio.get_running_loop().call_later(reply.after, self._carry_out_later, stream, reply)
        else:
            self._carry_out(stream, reply)

    def _forget(self, stream: int) -> None:
        self._open.pop(stream, None)
        self._unsent.pop(stream, None)

    # --- replies ---

    def _carry_out_later(self, stream: int, reply: Reply) -> None:
        if self in self._others and stream in self._open and not self._is_cut:
            self._carry_out(stream, reply)
            self._flush()
            self._close_when_done()

    def _carry_out(self, stream: int, reply: Reply) -> None:
        if reply.streams is not None and self._limit == self._talk.first_streams:
            self._set_limit(reply.streams)
        match reply.act:
            case Act.ANSWER:
                self._send(stream, reply)
            case Act.IGNORE:
                pass
            case Act.RESET:
                self._h2.reset_stream(stream, reply.code)
                self._forget(stream)
            case Act.DROP:
                self.drop()
            case Act.CUT:
                self._cut()
            case _:
                self._send_goaway(stream, reply)

    def _send(self, stream: int, reply: Reply) -> None:
        headers = [(":status", str(reply.status)), *reply.headers]
        self._h2.send_headers(stream, headers, end_stream=not reply.body)
        if reply.body:
            self._unsent[stream] = reply.body
            self._send_body(stream)
        else:
            self._forget(stream)

    def _send_body(self, stream: int) -> None:
        rest = self._unsent[stream]
        while rest and (room := self._h2.local_flow_control_window(stream)) > 0:
            piece = rest[: min(room, self._h2.max_outbound_frame_size)]
            rest = rest[len(piece) :]
            self._h2.send_data(stream, piece, end_stream=not rest)
        self._unsent[stream] = rest
        if not rest:
            self._forget(stream)

    def _send_goaway(self, stream: int, reply: Reply) -> None:
        """Send GOAWAY; streams that it covers still get their answers, save this one if so wished.

        As a frame of its own, because h2 takes a GOAWAY for the end and would send nothing more.
        """
        covered = stream - 2 if reply.act is Act.GOAWAY_BEFORE else self._highest
        # A second GOAWAY never takes back what the first one said (RFC 9113 §6.8).
        self._last_stream = max(0, covered if self._last_stream is None else min(covered, self._last_stream))
        self._flush()
        reason = self._talk.goaway_reason
        self._transport.write(
            GoAwayFrame(
                0, last_stream_id=self._last_stream, error_code=reply.code, additional_data=reason
            ).serialize()
        )
        if reply.act is Act.GOAWAY_ANSWER:
            self._send(stream, reply)
        for other in [s for s in self._open if s > self._last_stream or s == stream]:
            self._open.pop(other)

    def _close_when_done(self) -> None:
        if self._last_stream is not None and not self._open and not self._unsent:
            self._transport.close()

    def announce_streams(self, limit: int) -> None:
        """Change the limit of concurrent streams, unless the first one still holds."""
        if self._limit != self._talk.first_streams and not self._is_cut:
            self._set_limit(limit)
            self._flush()

    def _set_limit(self, limit: int) -> None:
        self._limit = limit
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: limit})

    def stall(self, seconds: float) -> None:
        """Shut the windows of all streams for so long, or open them."""
        if seconds:
            self._announce_window(0)
            self._reopen_after(seconds)
        elif self._reopening:
            self._reopen()

    def _reopen_after(self, seconds: float) -> None:
        if self._reopening:
            self._reopening.cancel()
        self._reopening = asyncio.get_running_loop().call_later(seconds, self._reopen)

    def _reopen(self) -> None:
        if self._reopening:
            self._reopening.cancel()
        self._reopening = None
        self._announce_window(STREAM_WINDOW)

    def _announce_window(self, octets: int) -> None:
        """As a frame that h2 does not know of: it would hold the client to it before the client has read it."""
        if not self._is_cut:
            self._flush()
            settings = {int(SettingCodes.INITIAL_WINDOW_SIZE): octets}
            self._transport.write(SettingsFrame(0, settings=settings).serialize())

    def _cut(self) -> None:
        """End our side below TLS, once what is written has left; the client's side is for the client to end."""
        self._flush()
        self._is_cut = True
        asyncio.get_running_loop().call_soon(self._shut_down)

    def _shut_down(self) -> None:
        # A twin of the socket, because asyncio and uvloop do not both give theirs out of hand.
        number = os.dup(self._transport.get_extra_info("socket").fileno())
        with socket.socket(fileno=number) as twin, suppress(OSError):
            twin.shutdown(socket.SHUT_WR)

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._others.discard(self)
        self._transport.abort()

    def _flush(self) -> None:
        if self._is_cut:
            return
        if data := self._h2.data_to_send():
            self._transport.write(data)


def _text(octets: bytes | str) -> str:
    return octets if isinstance(octets, str) else octets.decode("utf-8", "surrogateescape")

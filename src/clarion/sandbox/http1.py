"""HTTP/1.1 over TLS for stand-ins of services that speak nothing newer, with the `h11` library over asyncio.

`server.py` listens with it. The same conversations and replies as in `wire.py`; what HTTP/1.1 has no word for
becomes the nearest that it has: a reset stream is a lost connection, a GOAWAY is `Connection: close`. Requests
on a connection are answered one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import h11

from clarion.sandbox.conversation import KEPT_BODY, Act, Conversation, Reply, Request


class Listener:
    """Makes connections and knows those that are open."""

    def __init__(self, converse: Callable[[], Conversation]) -> None:
        self._converse = converse
        self.connections: set[Connection] = set()

    def __call__(self) -> Connection:
        """Make the protocol of a new connection, as asyncio asks for it."""
        return Connection(self._converse(), self.connections)

    def close(self) -> None:
        """End all connections at once."""
        for connection in tuple(self.connections):
            connection.drop()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, conversation: Conversation, others: set[Connection]) -> None:
        self._talk = conversation
        self._others = others
        self._h11 = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._size = 0
        self._waiting = False

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the client."""
        self._transport = cast("asyncio.Transport", transport)
        self._others.add(self)

    def data_received(self, data: bytes) -> None:
        """Take octets; answer what became whole."""
        self._h11.receive_data(data)
        self._go_on()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the client."""
        self._others.discard(self)

    def pause_writing(self) -> None:
        """Stop reading from a client that does not read."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def drop(self) -> None:
        """Cut the connection without a word."""
        self._others.discard(self)
        self._transport.abort()

    # --- h11's side ---

    def _go_on(self) -> None:
        while not self._waiting and self in self._others:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                self._give_up(error.error_status_hint)
                return
            if event in (h11.NEED_DATA, h11.PAUSED):
                return
            self._handle(event)

    def _handle(self, event: object) -> None:
        match event:
            case h11.Request():
                self._head, self._size = event, 0
                self._body.clear()
                if self._h11.they_are_waiting_for_100_continue:
                    self._write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            case h11.Data():
                self._size += len(event.data)
                self._body += event.data[: KEPT_BODY - len(self._body)]
            case h11.EndOfMessage():
                self._end()
            case h11.ConnectionClosed():
                self._transport.close()
                self._others.discard(self)

    def _end(self) -> None:
        assert self._head is not None
        headers = tuple((_text(name), _text(value)) for name, value in self._head.headers)
        authority = next((value for name, value in headers if name == "host"), "")
        path, method = _text(self._head.target), _text(self._head.method)
        reply = self._talk.answer(Request(method, path, authority, headers, bytes(self._body), self._size))
        self._waiting = True
        if reply.after:
            asyncio.get_running_loop().call_later(reply.after, self._carry_out_later, reply)
        else:
            self._carry_out(reply)

    # --- replies ---

    def _carry_out_later(self, reply: Reply) -> None:
        if self in self._others:
            self._carry_out(reply)
            self._go_on()

    def _carry_out(self, reply: Reply) -> None:
        match reply.act:
            case Act.IGNORE:
                return
            case Act.ANSWER:
                self._send(reply)
            case Act.GOAWAY_ANSWER:
                self._send(reply, ("connection", "close"))
            case _:
                self.drop()
                return
        self._waiting = False
        if self._h11.our_state is h11.MUST_CLOSE:
            self._transport.close()
            self._others.discard(self)
        else:
            self._h11.start_next_cycle()

    def _send(self, reply: Reply, *more: tuple[str, str]) -> None:
        headers = [*reply.headers, *more, ("content-length", str(len(reply.body)))]
        self._write(h11.Response(status_code=reply.status, headers=headers))
        self._write(h11.Data(data=reply.body))
        self._write(h11.EndOfMessage())

    def _give_up(self, status: int) -> None:
        """Tell a client that does not speak HTTP/1.1, and let it go."""
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(Reply(status=status), ("connection", "close"))
        self._transport.close()
        self._others.discard(self)

    def _write(self, event: h11.Event) -> None:
        self._transport.write(self._h11.send(event) or b"")


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")

"""Bodies that never end, over a real socket: refused, the connection closed, the memory bounded."""

import re
import socket
from pathlib import Path
from threading import Event

import pytest

from tests.process.installation import Installation, Process, facts

MEBIBYTE = 1_048_576


def resident_octets(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def open_post(installation: Installation, token: str | None, *headers: str) -> socket.socket:
    """A connection that has sent the head of a POST."""
    connection = socket.create_connection(("127.0.0.1", installation.port), timeout=20)
    organization = facts(installation)["organizationId"]
    lines = [
        f"POST /v2.0/tool/organizations/{organization}/notifications HTTP/1.1", "Host: localhost",
        "Content-Type: application/json", *headers,
    ]  # fmt: skip
    if token is not None:
        lines.append(f"Authorization: BEARER {token}")
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def send_without_end(connection: socket.socket, chunk: bytes, pause_seconds: float = 0) -> int:
    """Send until the other side closes, or 64 MiB went out; returns how many octets."""
    sent, pause = 0, Event()
    while sent < 64 * MEBIBYTE:
        try:
            connection.sendall(chunk)
        except OSError:
            break
        sent += len(chunk)
        if pause_seconds:
            pause.wait(pause_seconds)
    return sent


def answer_of(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    found = b""
    try:
        while data := connection.recv(65_536):
            found += data
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize(("size", "pause_seconds"), [(65_536, 0.0), (131_072, 0.02)])
@pytest.mark.usefixtures("sandbox")
def test_a_chunked_body_that_never_ends_is_refused_and_the_connection_closed(
    demo_installation: Installation, demo: Process, size: int, pause_seconds: float
) -> None:
    before = resident_octets(demo.pid)
    chunk = b"%x\r\n%s\r\n" % (size, b" " * size)
    with open_post(
        demo_installation, facts(demo_installation)["token"], "Transfer-Encoding: chunked"
    ) as post:
        sent = send_without_end(post, chunk, pause_seconds)
        assert sent < 32 * MEBIBYTE, "it was cut off"
        assert resident_octets(demo.pid) - before < 16 * MEBIBYTE


@pytest.mark.usefixtures("sandbox")
def test_the_refusal_of_a_body_that_is_too_large_can_be_read(
    demo_installation: Installation, demo: Process
) -> None:
    token = facts(demo_installation)["token"]
    with open_post(demo_installation, token, f"Content-Length: {10**12}") as post:
        answer = answer_of(post)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"body_too_large" in answer
    assert b"connection: close" in answer.lower()
    with open_post(demo_installation, token, "Transfer-Encoding: chunked") as post:
        post.sendall(b"%x\r\n%s" % (2 * MEBIBYTE, b" " * (MEBIBYTE + 1)))
        answer = answer_of(post)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.usefixtures("sandbox")
def test_a_stranger_s_endless_body_costs_no_memory(demo_installation: Installation, demo: Process) -> None:
    before = resident_octets(demo.pid)
    chunk = b"%x\r\n%s\r\n" % (65_536, b" " * 65_536)
    with open_post(demo_installation, None, "Transfer-Encoding: chunked") as post:
        send_without_end(post, chunk)
        assert resident_octets(demo.pid) - before < 16 * MEBIBYTE


@pytest.mark.parametrize(
    "octets",
    [b"GARBAGE\r\n\r\n", b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
     b"POST /v2.0/tool/version HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b""],
)  # fmt: skip
@pytest.mark.usefixtures("sandbox")
def test_octets_that_are_no_request_harm_nobody(
    demo_installation: Installation, demo: Process, octets: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", demo_installation.port), timeout=20) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        answer = answer_of(connection)
    assert not answer or re.match(rb"HTTP/1.1 (400|404|431|505) ", answer)
    with demo_installation.caller(None) as caller:
        assert caller.get("version").status_code == 200
    assert "unexpected_error" not in demo.said()
    assert "Traceback" not in demo.said()


@pytest.mark.usefixtures("sandbox")
def test_a_sender_who_hangs_up_in_the_middle_is_no_error_of_ours(
    demo_installation: Installation, demo: Process
) -> None:
    with open_post(demo_installation, facts(demo_installation)["token"], "Content-Length: 100") as post:
        post.sendall(b'{"content":')
    with demo_installation.caller(None) as caller:
        assert caller.get("version").status_code == 200
    assert "unexpected_error" not in demo.said()

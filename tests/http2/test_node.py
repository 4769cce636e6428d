"""Against Node's http2 module, a third implementation beside nginx's and nghttp2's own server."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from clarion.http2 import Answer, Connection, Limits, NotProcessed, Pool, Result, Template, Unknown, literal
from clarion.http2.frames import Code, code_name

from .peer import Certificate
from .programs import PATIENCE_SECONDS, find
from .wire import KEEPING, TEMPLATE

SCRIPT = Path(__file__).with_name("node_server.mjs")
LIMITS = Limits(close_seconds=0.5)
QUICK = Limits(deadline_seconds=1, close_seconds=0.5)
OK = Answer(200, (), b"")
CREATED = Answer(201, (), b"")


class Node:
    """A running server, and what it has heard."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    def heard(self) -> list[str]:
        """End the server; return the paths of the requests that it has read to their end."""
        self._process.terminate()
        return self._process.communicate(timeout=PATIENCE_SECONDS)[0].split()


Start = Callable[..., Node]


@contextmanager
def serving(certificate: Certificate, settings: dict[str, int]) -> Iterator[Node]:
    command = (find("node"), str(SCRIPT), str(certificate.chain), str(certificate.key), json.dumps(settings))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Node(process)
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(certificate: Certificate) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(serving(certificate, settings))


async def results_of(
    node: Node,
    tls: ssl.SSLContext,
    paths: Sequence[str],
    body: bytes = b"x",
    *,
    template: Template = TEMPLATE,
    limits: Limits = LIMITS,
) -> list[Result]:
    """Send one burst over one connection."""
    connection = await Connection.open("localhost", node.port, tls=tls, limits=limits)
    try:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            requests = [(literal(b":path", path.encode()), body) for path in paths]
            return await connection.burst(template, requests)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"headerTableSize": 0},
        {"headerTableSize": 65_536},
        {"initialWindowSize": 10},
        {"maxConcurrentStreams": 1},
        {"maxFrameSize": 1_000_000},
    ],
    ids=str,
)
def test_node_answers_two_thousand(
    settings: dict[str, int], start: Start, tls: ssl.SSLContext, run: Any
) -> None:
    node = start(**settings)
    paths = [f"/{'ok' if number % 2 else 'created'}/{number}" for number in range(2000)]
    results = run(results_of(node, tls, paths, b"y" * 200))
    assert results == [OK if number % 2 else CREATED for number in range(2000)]
    assert sorted(node.heard()) == sorted(paths)


def test_refusals_interim_answers_and_trailers_are_read(start: Start, tls: ssl.SSLContext, run: Any) -> None:
    paths = ["/gone", "/interim", "/trailers", "/early", "/echo"] * 50
    results = run(results_of(start(), tls, paths, b"z" * 500))
    for gone, interim, trailers, early, echo in zip(*[iter(results)] * 5, strict=True):
        assert (gone.status, gone.body) == (410, b'{"reason":"Unregistered"}')
        assert (b"content-length", b"25") in gone.headers
        assert interim == early == OK
        assert (trailers.status, trailers.body) == (503, b"later")
        assert (b"x-length", b"509") in echo.headers
        assert echo.body == b'{"to":"' + b"z" * 500 + b'"}'


def test_a_large_body_arrives_whole(start: Start, tls: ssl.SSLContext, run: Any) -> None:
    (answer,) = run(results_of(start(), tls, ["/echo"], b"z" * 3_000_000, template=KEEPING))
    assert (b"x-length", b"3000002") in answer.headers


@pytest.mark.parametrize("code", [code for code in Code if code != Code.NO_ERROR])
def test_a_reset_ends_its_request_alone(code: Code, start: Start, tls: ssl.SSLContext, run: Any) -> None:
    results = run(results_of(start(), tls, [f"/reset/{code:d}", "/ok"] * 20))
    reset = Unknown(f"reset by the peer: {code_name(code)}")
    refused = NotProcessed("refused: REFUSED_STREAM")
    assert results == [refused if code == Code.REFUSED_STREAM else reset, OK] * 20


def test_half_an_answer_and_a_short_one_are_none(start: Start, tls: ssl.SSLContext, run: Any) -> None:
    results = run(results_of(start(), tls, ["/half", "/short", "/ok"] * 20))
    half = Unknown("reset by the peer: INTERNAL_ERROR")
    short = Unknown("an answer whose body is not as long as its content-length says")
    assert results == [half, short, OK] * 20


@pytest.mark.parametrize("way", ["leave", "destroy"])
def test_a_session_that_ends_amid_a_burst_repeats_nothing_that_was_processed(
    way: str, start: Start, tls: ssl.SSLContext, run: Any
) -> None:
    async def scene(node: Node) -> list[Result]:
        pool = Pool("localhost", node.port, tls=tls, limits=LIMITS)
        try:
            async with asyncio.timeout(2 * PATIENCE_SECONDS):
                return await pool.burst(
                    TEMPLATE, [(literal(b":path", path.encode()), b"x") for path in paths]
                )
        finally:
            await pool.close()

    paths = [f"/ok/{number}" for number in range(1000)]
    paths[300] = f"/{way}/300"
    node = start(maxConcurrentStreams=50)
    results = run(scene(node))
    heard = node.heard()
    assert not [path for path in set(heard) if heard.count(path) > 1]
    for path, result in zip(paths, results, strict=True):
        assert path in heard or not isinstance(result, Answer)
        assert path not in heard or not isinstance(result, NotProcessed)
    unknown = [result for result in results if isinstance(result, Unknown)]
    assert len(unknown) <= (0 if way == "leave" else 50)


def test_requests_that_are_never_answered_hold_up_nobody(start: Start, tls: ssl.SSLContext, run: Any) -> None:
    results = run(results_of(start(), tls, ["/ok", "/silent", "/ok", "/ok"] * 20, limits=QUICK))
    assert results == [OK, Unknown("no answer within 1 s"), OK, OK] * 20

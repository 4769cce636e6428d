"""Against real servers: nghttpd, and nginx, whose access log is an honest witness of what arrived."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clarion.http2 import Answer, Limits, Pool, Template, literal

from .peer import Certificate
from .programs import find, free_port, opened, running
from .wire import hole

COUNT = 5000
TEMPLATE = Template(
    method="POST",
    authority="localhost",
    headers=[("content-type", "application/json"), ("authorization", "bearer secret")],
    body=(b'{"to":"', b'"}'),
)
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    log_format path "$uri";
    access_log {folder}/access.log path;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {certificate.chain};
        ssl_certificate_key {certificate.key};
        location / {{ return 200; }}
        location /gone/ {{ return 410 "no such device"; }}
    }}
}}
"""


@pytest.fixture
def nghttpd(certificate: Certificate, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[int]:
    (tmp_path / "empty").touch()
    (tmp_path / "page").write_text("a page")
    port = free_port()
    options = ["--address=127.0.0.1", f"--htdocs={tmp_path}", *getattr(request, "param", [])]
    with running(find("nghttpd"), *options, str(port), str(certificate.key), str(certificate.chain)):
        yield port


@pytest.fixture
def nginx(certificate: Certificate, tmp_path: Path) -> Iterator[int]:
    port = free_port()
    settings = tmp_path / "nginx.conf"
    settings.write_text(NGINX.format(folder=tmp_path, port=port, certificate=certificate))
    with running(find("nginx"), "-e", str(tmp_path / "start.log"), "-c", str(settings)):
        yield port


def test_nghttpd_answers_five_thousand(nghttpd: int, tls: ssl.SSLContext, run: Any) -> None:
    async def scene() -> None:
        connection = await opened(nghttpd, tls)
        path = literal(b":path", b"/empty")
        assert (
            await connection.burst(TEMPLATE, [(path, b"x" * 200)] * COUNT) == [Answer(200, (), b"")] * COUNT
        )
        page = Template(method="GET", authority="localhost", headers=[], keep_success=True)
        (answer,) = await connection.burst(page, [(literal(b":path", b"/page"), b"")])
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body) == (200, b"a page")
        assert (b"content-length", b"6") in answer.headers
        (missing,) = await connection.burst(TEMPLATE, [hole(404)])
        assert isinstance(missing, Answer)
        assert missing.status == 404
        assert missing.body
        await connection.close()

    run(scene())


@pytest.mark.parametrize(
    "nghttpd",
    [
        ["--header-table-size=0"],
        ["--header-table-size=100", "--encoder-header-table-size=0"],
        ["--padding=200"],
        ["--early-response"],
        ["--trailer=x-checksum: abc"],
        ["--max-concurrent-streams=1"],
        ["--window-bits=4", "--connection-window-bits=4"],
    ],
    ids=lambda options: options[0],
    indirect=True,
)
def test_nghttpd_answers_however_it_is_set(nghttpd: int, tls: ssl.SSLContext, run: Any) -> None:
    async def scene() -> None:
        connection = await opened(nghttpd, tls)
        page = Template(
            method="POST", authority="localhost", headers=[], body=(b"<", b">"), keep_success=True
        )
        for template in (TEMPLATE, page):
            requests = [(literal(b":path", b"/page"), b"x" * 200), hole(404, b"x" * 200)] * 200
            results = await connection.burst(template, requests)
            assert [result.status for result in results if isinstance(result, Answer)] == [200, 404] * 200
        pages = results[::2]
        assert {result.body for result in pages if isinstance(result, Answer)} == {b"a page"}
        await connection.close()

    run(scene())


def test_nginx_answers_five_thousand_over_connections_it_ends(
    nginx: int, tls: ssl.SSLContext, run: Any, tmp_path: Path
) -> None:
    async def scene() -> None:
        connection = await opened(nginx, tls)
        await connection.close()
        origin = Pool("localhost", nginx, tls=tls, limits=Limits(close_seconds=0.5))
        results = await origin.burst(TEMPLATE, [hole(number, b"x" * 200) for number in range(COUNT)])
        assert results == [Answer(200, (), b"")] * COUNT
        (gone,) = await origin.burst(TEMPLATE, [(literal(b":path", b"/gone/1"), b"x")])
        assert isinstance(gone, Answer)
        assert (gone.status, gone.body) == (410, b"no such device")
        await origin.close()

    run(scene())
    seen = (tmp_path / "access.log").read_text().split()
    assert sorted(seen) == sorted([*(f"/{number}" for number in range(COUNT)), "/gone/1"])

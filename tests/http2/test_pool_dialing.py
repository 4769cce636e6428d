"""From a name to a connection: looking up, choosing an address, and who the server must be."""

import asyncio
import socket
import ssl
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from clarion.http2 import Answer, ConnectFailed, Limits, NoHttp2, NotProcessed, Pool, Resolve, client_tls
from clarion.http2.dialing import in_order

from .peer import Certificate, Peer, make_certificate, serving
from .programs import find, free_port, opened, running
from .test_servers import NGINX
from .wire import TEMPLATE, answer, holes

OK = Answer(200, (), b"")
LIMITS = Limits(connect_seconds=5, close_seconds=0.2)


class Names:
    """A resolver that knows one thing, and how often it was asked."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.addresses


async def answer_one(peer: Peer) -> None:
    await peer.greet()
    request = await peer.request()
    peer.send(answer(request.stream_id))


async def failure_of(pool: Pool) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await pool.connect()
    await pool.close()
    return caught.value


async def test_the_address_is_the_resolvers_and_the_name_is_the_certificates(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "push.invalid")
    names = Names("127.0.0.1")
    async with serving(certificate, answer_one) as port:
        tls = client_tls(str(certificate.chain))
        pool = Pool("push.invalid", port, tls=tls, limits=LIMITS, resolve=names)
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await pool.close()
    assert names.asked == [("push.invalid", port)]


async def test_a_server_of_another_name_is_no_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with serving(certificate, answer_one) as port:
        pool = Pool("push.invalid", port, tls=tls, limits=LIMITS, resolve=Names("127.0.0.1"))
        assert "CERTIFICATE_VERIFY_FAILED" in str(await failure_of(pool))


async def test_the_name_is_looked_up_for_every_connection(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    names, left = Names("127.0.0.1"), asyncio.Event()

    async def leaves(peer: Peer) -> None:
        await answer_one(peer)
        peer.send(b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0")
        await peer.until_closed()
        left.set()

    async with serving(certificate, leaves) as port:
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, resolve=names)
        for _ in range(2):
            left.clear()
            assert await pool.burst(TEMPLATE, holes(1)) == [OK]
            await left.wait()
        await pool.close()
    assert len(names.asked) == 2


async def test_an_address_that_refuses_is_followed_by_the_next(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with serving(certificate, answer_one) as port:
        names = Names("127.0.0.2", "127.0.0.3", "127.0.0.1")
        pool = Pool("localhost", port, tls=tls, limits=LIMITS, resolve=names)
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await pool.close()


async def test_an_address_that_is_silent_delays_the_next_by_a_moment_only(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with serving(certificate, answer_one) as port:
        with socket.create_server(("127.0.0.2", port), backlog=0) as full, socket.socket() as caller:
            caller.connect(full.getsockname())
            limits = Limits(connect_seconds=0.9, close_seconds=0.2)
            names = Names("127.0.0.2", "127.0.0.1")
            pool = Pool("localhost", port, tls=tls, limits=limits, resolve=names)
            assert await pool.burst(TEMPLATE, holes(1)) == [OK]
            await pool.close()


async def none(host: str, port: int) -> list[str]:
    return []


async def fails(host: str, port: int) -> list[str]:
    raise OSError("no such name")


async def another_name(host: str, port: int) -> list[str]:
    return ["127.0.0.1", "localhost"]


@pytest.mark.parametrize(
    ("resolve", "reason"),
    [(none, "no address"), (fails, "no such name"), (another_name, "'localhost' is not an IP address")],
)
async def test_a_name_without_a_good_address_is_no_connection(
    resolve: Resolve, reason: str, tls: ssl.SSLContext
) -> None:
    assert reason in str(await failure_of(Pool("localhost", 1, tls=tls, resolve=resolve)))


async def test_a_fault_of_the_resolver_leaves_nobody_waiting(tls: ssl.SSLContext) -> None:
    async def broken(host: str, port: int) -> list[str]:
        raise KeyError(host)

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    pool = Pool("localhost", 1, tls=tls, resolve=broken)
    assert await pool.burst(TEMPLATE, holes(2)) == [NotProcessed("the attempt to connect broke off")] * 2
    await pool.close()
    assert [type(each) for each in told] == [KeyError]


@pytest.mark.parametrize("host", ["a" * 70 + ".invalid", "a\0b", ""])
async def test_a_name_that_cannot_be_one_is_no_connection(host: str, tls: ssl.SSLContext) -> None:
    await failure_of(Pool(host, 443, tls=tls, limits=LIMITS, resolve=Names("127.0.0.1")))
    await failure_of(Pool(host, 443, tls=tls, limits=LIMITS))


def test_addresses_are_tried_by_turns_and_every_connection_begins_with_another() -> None:
    addresses = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]
    assert in_order(addresses, 0) == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "192.0.2.3"]
    assert in_order(addresses, 1) == ["2001:db8::2", "192.0.2.2", "2001:db8::1", "192.0.2.3", "192.0.2.1"]
    assert in_order(["192.0.2.7"], 12) == ["192.0.2.7"]


async def test_a_server_without_http2_is_told_from_one_that_is_not_there(certificate: Certificate) -> None:
    async def script(peer: Peer) -> None:
        await peer.until_closed()

    lenient = client_tls(str(certificate.chain))
    lenient.set_alpn_protocols(["h2", "http/1.1"])
    async with serving(certificate, script, alpn="http/1.1") as port:
        for tls in (client_tls(str(certificate.chain)), lenient):
            pool = Pool("localhost", port, tls=tls, limits=LIMITS)
            with pytest.raises(NoHttp2, match=f"localhost:{port}: the server does not speak HTTP/2"):
                await pool.connect()
            assert isinstance(await failure_of(pool), NoHttp2), "also within the pause"


async def test_a_server_that_ends_tls_for_want_of_a_protocol_is_known_by_its_alert(
    certificate: Certificate, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    port, settings = free_port(), tmp_path / "nginx.conf"
    without_http2 = NGINX.replace("ssl http2;", "ssl;")
    settings.write_text(without_http2.format(folder=tmp_path, port=port, certificate=certificate))
    with (
        running(find("nginx"), "-e", str(tmp_path / "start.log"), "-c", str(settings)),
        pytest.raises(NoHttp2, match="does not speak HTTP/2"),
    ):
        await opened(port, tls)


# -- certificates of clients


class Demanding(Certificate):
    """A server that wants to know who calls."""

    def server_tls(self, alpn: str = "h2") -> ssl.SSLContext:
        context = super().server_tls(alpn)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.chain)
        return context


def pem_of(certificate: Certificate) -> bytes:
    return certificate.chain.read_bytes() + certificate.key.read_bytes()


async def test_a_server_that_demands_a_certificate_gets_it(certificate: Certificate) -> None:
    async with serving(Demanding(certificate.chain, certificate.key), answer_one) as port:
        tls = client_tls(str(certificate.chain), pem_of(certificate))
        pool = Pool("localhost", port, tls=tls, limits=LIMITS)
        assert await pool.burst(TEMPLATE, holes(1)) == [OK]
        await pool.close()


async def test_a_server_that_demands_a_certificate_refuses_who_has_none(
    certificate: Certificate, tls: ssl.SSLContext
) -> None:
    async with serving(Demanding(certificate.chain, certificate.key), answer_one) as port:
        await failure_of(Pool("localhost", port, tls=tls, limits=LIMITS))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a private file holds it for a moment")
def test_a_private_key_never_comes_onto_a_disk(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there is no such folder"))
    client_tls(certificate=pem_of(certificate))


def test_what_is_no_certificate_with_its_key_is_refused(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificate(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for pem in (
        b"",
        b"no PEM at all",
        certificate.chain.read_bytes(),
        certificate.key.read_bytes(),
        certificate.chain.read_bytes() + other.key.read_bytes(),
    ):
        with pytest.raises(ValueError, match="not a certificate with its private key"):
            client_tls(certificate=pem)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["chain.pem", "key.pem"]


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(certificate: Certificate) -> None:
    key = serialization.load_pem_private_key(certificate.key.read_bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(ValueError, match="is encrypted"):
        client_tls(certificate=certificate.chain.read_bytes() + encrypted)

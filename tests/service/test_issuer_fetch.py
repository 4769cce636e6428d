"""Fetching an issuer's documents over the wire: TLS, sizes, redirects, a proxy, and peers that misbehave."""

import asyncio
import gzip
from collections.abc import Iterator

import pytest

from clarion.service.issuer_fetch import MOST_OCTETS, Fetcher, Way
from clarion.service.issuer_keys import IssuerKeys, IssuerTrouble, fetch_keys
from tests.clock import Clock
from tests.http2.peer import Certificate, make_certificate
from tests.http2.test_proxy import Tunnel, listening
from tests.service.issuer import DISCOVERY, Said, StandIn, serving

SECRET = "Basic dXNlcjpzZWNyZXQ="


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def issuer(certificate: Certificate, clock: Clock) -> Iterator[StandIn]:
    with serving(certificate, clock) as stand_in:
        yield stand_in


@pytest.fixture
def way(certificate: Certificate) -> Way:
    return Way(str(certificate.chain))


async def trouble(way: Way, url: str) -> str:
    with pytest.raises(IssuerTrouble) as told:
        await Fetcher(way)(url)
    return str(told.value)


async def test_a_document_is_fetched_whole(issuer: StandIn, way: Way) -> None:
    issuer.documents["/large"] = Said(b"x" * MOST_OCTETS)
    assert await Fetcher(way)(issuer.url + "/large") == b"x" * MOST_OCTETS


async def test_one_octet_more_is_too_much(issuer: StandIn, way: Way) -> None:
    issuer.documents["/larger"] = Said(b"x" * (MOST_OCTETS + 1))
    assert "larger than 262,144 octets" in await trouble(way, issuer.url + "/larger")


async def test_whom_nobody_vouches_for_is_not_trusted(issuer: StandIn) -> None:
    assert "certificate" in await trouble(Way(), issuer.url + DISCOVERY)


async def test_a_certificate_of_another_name_is_not_trusted(clock: Clock, certificate: Certificate) -> None:
    with serving(certificate, clock) as issuer:
        url = issuer.url.replace("localhost", "127.0.0.2")
        assert "127.0.0.2" in await trouble(Way(str(certificate.chain)), url + DISCOVERY)


async def test_a_redirect_is_not_followed(issuer: StandIn, way: Way) -> None:
    issuer.documents["/moved"] = Said(status=302, headers=(("Location", issuer.url + DISCOVERY),))
    assert "answered 302; redirects are not followed" in await trouble(way, issuer.url + "/moved")
    assert issuer.asked == ["/moved"]


@pytest.mark.parametrize("status", [204, 401, 404, 500])
async def test_any_other_answer_is_told(issuer: StandIn, way: Way, status: int) -> None:
    issuer.documents["/odd"] = Said(status=status)
    assert f"answered {status}" in await trouble(way, issuer.url + "/odd")


async def test_what_is_compressed_unasked_is_not_unpacked(issuer: StandIn, way: Way) -> None:
    issuer.documents["/packed"] = Said(gzip.compress(b"x" * 10**7), headers=(("Content-Encoding", "gzip"),))
    assert "compressed" in await trouble(way, issuer.url + "/packed")


async def test_nobody_there_is_told(way: Way) -> None:
    async with listening(_hang_up) as port:
        pass
    assert "cannot be reached: " in await trouble(way, f"https://localhost:{port}/")


async def test_a_peer_without_tls_is_told(way: Way) -> None:
    async with listening(_greet) as port:
        assert "cannot be reached" in await trouble(way, f"https://localhost:{port}/")


@pytest.mark.parametrize("url", ["https://", "https://[", "https://localhost:99999/", "https://\0/"])
async def test_what_is_no_url_is_told(way: Way, url: str) -> None:
    assert "cannot be reached" in await trouble(way, url)


async def test_an_issuer_that_never_answers_is_given_up(issuer: StandIn, way: Way) -> None:
    issuer.documents[DISCOVERY] = Said(status=None)
    with pytest.raises(IssuerTrouble, match=r"did not answer within 0\.05 seconds"):
        await fetch_keys(issuer.url, Fetcher(way), patience_seconds=0.05)


async def test_a_peer_that_is_silent_from_the_beginning_is_given_up(way: Way) -> None:
    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(listen) as port:
        with pytest.raises(IssuerTrouble, match="did not answer within"):
            await fetch_keys(f"https://localhost:{port}", Fetcher(way), patience_seconds=0.05)


async def test_the_way_may_lead_through_a_proxy(
    issuer: StandIn, certificate: Certificate, clock: Clock
) -> None:
    tunnel = Tunnel(SECRET)
    async with listening(tunnel) as port:
        through = Way(str(certificate.chain), f"http://127.0.0.1:{port}", SECRET)
        keys = IssuerKeys(Fetcher(through), clock)
        assert await keys.find(issuer.url, "RS256", "r1")
        assert tunnel.asked_for == [issuer.url.removeprefix("https://")] * 2
        without = Way(str(certificate.chain), f"http://127.0.0.1:{port}")
        assert "cannot be reached" in await trouble(without, issuer.url + DISCOVERY)
    assert SECRET not in repr(through)


async def _hang_up(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Say nothing."""


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

"""Two browsers, each with all that is around it, and one Clarion for all tests."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.browsers.rig import BROWSERS, Rig, rig
from tests.browsers.site import site
from tests.http2.peer import Certificate, make_certificate
from tests.process.installation import Installation, free_port


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """That of the stand-ins, which is its own authority."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=BROWSERS)
async def a_rig(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> AsyncIterator[Rig]:
    """A browser that was never started."""
    async with rig(request.param, tmp_path_factory.mktemp("rig"), certificate) as made:
        yield made


@pytest.fixture(scope="session")
def pages_port() -> int:
    """Where the tests' own pages are in all tests, because a channel names its app."""
    return free_port()


@pytest.fixture
async def pages(pages_port: int) -> AsyncIterator[str]:
    """The address of the tests' own pages, which are served."""
    async with site(pages_port) as address:
        yield address


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> Iterator[Installation]:
    """A running Clarion that trusts the stand-ins, wherever they are."""
    settings = {"CLARION_PUSH_CA_FILE": str(certificate.chain), "CLARION_PUSH_TRUSTED_HOSTS": "localhost"}
    made = Installation(tmp_path_factory.mktemp("clarion"), settings)
    made.migrate()
    with made.serve():
        yield made

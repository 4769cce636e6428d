import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from clarion.http2 import client_tls

from .peer import Certificate, make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def tls(certificate: Certificate) -> ssl.SSLContext:
    return client_tls(str(certificate.chain))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Run a coroutine on one of the two loops."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run

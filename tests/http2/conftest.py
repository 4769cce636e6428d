import ssl

import pytest

from clarion.http2 import client_tls

from .peer import Certificate, make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def tls(certificate: Certificate) -> ssl.SSLContext:
    return client_tls(str(certificate.chain))

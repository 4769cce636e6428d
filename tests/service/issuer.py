"""An OpenID Connect issuer of the tests' own: over TLS, in a thread, so that commands can ask it too."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from tests.clock import Clock
from tests.http2.peer import Certificate

AUDIENCE = "the-app"
EMAIL = "username@example.com"
DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/keys"

RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Said:
    """What the issuer answers; None as a status means that it never does."""

    body: bytes = b""
    status: int | None = 200
    headers: tuple[tuple[str, str], ...] = ()


def said(document: object) -> Said:
    return Said(json.dumps(document).encode())


def public_jwk(key: PrivateKey, key_id: str | None, **more: Any) -> dict[str, Any]:
    """A key as an issuer publishes it."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        made = RSAAlgorithm.to_jwk(public, as_dict=True)
    else:
        made = ECAlgorithm.to_jwk(public, as_dict=True)
    plain = {name: value for name, value in made.items() if name != "key_ops"}
    return plain | ({} if key_id is None else {"kid": key_id}) | more


@dataclass
class StandIn:
    """The issuer. What it answers may be changed at any moment."""

    clock: Clock
    url: str = "https://issuer.example.com"
    keys: dict[str, PrivateKey] = field(default_factory=lambda: {"r1": RSA_KEY, "e1": EC_KEY})
    documents: dict[str, Said] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def publish(self) -> None:
        """Answer as an issuer does, with the keys of now."""
        self.documents[DISCOVERY] = said({"issuer": self.url, "jwks_uri": self.url + KEYS})
        listed = [public_jwk(key, key_id, use="sig") for key_id, key in self.keys.items()]
        self.documents[KEYS] = said({"keys": listed})

    def claims(self, **other: Any) -> dict[str, Any]:
        """What a good token says, but for these; None leaves one out."""
        now = self.clock() // 1000
        usual = {
            "iss": self.url, "aud": AUDIENCE, "sub": "subject-1", "iat": now, "exp": now + 300,
            "email": EMAIL, "email_verified": True,
        }  # fmt: skip
        return {name: value for name, value in (usual | other).items() if value is not None}

    def token(self, key_id: str = "r1", *, headers: dict[str, Any] | None = None, **other: Any) -> str:
        """A token signed by one of the issuer's keys."""
        key = self.keys[key_id]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        named = {"kid": key_id} if headers is None else headers
        return jwt.encode(self.claims(**other), key, algorithm=algorithm, headers=named)

    async def fetch(self, url: str) -> bytes:
        """The documents without the wire."""
        path = url.removeprefix(self.url)
        self.asked.append(path)
        return self.documents[path].body


@contextmanager
def serving(certificate: Certificate, clock: Clock) -> Iterator[StandIn]:
    """Serve an issuer at https://localhost."""
    issuer, over = StandIn(clock), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            answer = issuer.documents.get(self.path, Said(status=404))
            if answer.status is None:
                over.wait(30)
                return
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            with suppress(OSError):  # who hears more than enough hangs up
                self.wfile.write(answer.body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Tests say what they saw."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that does not trust us hangs up."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = certificate.server_tls("http/1.1").wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    issuer.url = f"https://localhost:{server.server_address[1]}"
    issuer.publish()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield issuer
    finally:
        over.set()
        server.shutdown()
        thread.join()
        with suppress(ssl.SSLError):
            server.server_close()

"""What a sender to FCM has: a service account, and requests like those of a client."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.sandbox.conversation import Request
from clarion.sandbox.fcm_auth import AUDIENCE, GRANT_TYPE
from clarion.sandbox.registry import Project

PROJECT = "sample-project"
PACKAGE = "com.example.field"
EMAIL = "sender@sample-project.example.com"
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
FORM = "application/x-www-form-urlencoded"
SEND = f"/v1/projects/{PROJECT}/messages:send"


class ServiceAccount:
    """A private key of a project."""

    def __init__(self, project: str = PROJECT, email: str = EMAIL, key_id: str = "key-1") -> None:
        self.project, self.email, self.key_id = project, email, key_id
        self.key = rsa.generate_private_key(65537, 2048)

    def public(self, *packages: str) -> Project:
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return Project(self.project, self.email, self.key_id, pem.decode(), packages or (PACKAGE,))

    def assertion(
        self, now: int, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any
    ) -> str:
        algorithm = (header or {}).get("alg", "RS256")
        usual = {"iss": self.email, "scope": SCOPE, "aud": AUDIENCE, "iat": now, "exp": now + 3600}
        whole = {name: value for name, value in (usual | claims).items() if value is not None}
        return jwt.encode(whole, key or self.key, algorithm, {"kid": self.key_id, **(header or {})})


def form(assertion: str, **change: str) -> bytes:
    return urlencode({"grant_type": GRANT_TYPE, "assertion": assertion, **change}).encode()


def post(
    path: str, body: bytes, authority: str = "localhost", method: str = "POST", **headers: str
) -> Request:
    """A request as the wire hands it over; keyword arguments are header names with underscores."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request(method, path, authority, named, body, len(body))


def send(content: Any, access_token: str = "good") -> Request:
    """A request to send a message."""
    return post(SEND, json.dumps(content).encode(), authorization=f"Bearer {access_token}")

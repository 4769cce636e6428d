"""The credentials of the demonstration, made once and kept in the sandbox's folder for their owner alone.

The sandbox gets the public halves, the store the private ones, as from any vendor.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from clarion.demo.people import ANDROID_APP, KEY_ID, PHONE_APP, PROJECT, TABLET_APP, TEAM
from clarion.providers.webpush_vapid import application_server_key, read_key
from clarion.sandbox.registry import Key, Project

ACCOUNT: Final = f"push@{PROJECT}.example.com"
ACCOUNT_KEY: Final = "demonstration-key"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Credentials:
    """What each vendor would have handed out, as text."""

    apple: str = field(repr=False)
    google: str = field(repr=False)
    browsers: str = field(repr=False)

    @property
    def key(self) -> Key:
        """What the stand-in for Apple knows."""
        return Key(TEAM, KEY_ID, _public(self.apple), (PHONE_APP, TABLET_APP))

    @property
    def project(self) -> Project:
        """What the stand-in for Google knows."""
        private_key = json.loads(self.google)["private_key"]
        return Project(PROJECT, ACCOUNT, ACCOUNT_KEY, _public(private_key), (ANDROID_APP,))

    @property
    def application_server_key(self) -> str:
        """What the page subscribes with."""
        return application_server_key(read_key(self.browsers))


def ensure_credentials(folder: Path, fcm_port: int) -> Credentials:
    """Read the credentials, made on the first call. Google's names the stand-in's port of this run."""
    account = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": ACCOUNT_KEY,
        "private_key": _ensure(folder / "fcm-key.pem", lambda: rsa.generate_private_key(65_537, 2_048)),
        "client_email": ACCOUNT,
        "token_uri": f"https://localhost:{fcm_port}/token",
    }
    return Credentials(
        _ensure(folder / "apns-key.p8", _new_key),
        json.dumps(account),
        _ensure(folder / "vapid-key.pem", _new_key),
    )


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _ensure(path: Path, make: Callable[[], PrivateKey]) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path.read_text()


def _public(private_key: str) -> str:
    key = load_pem_private_key(private_key.encode(), password=None).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

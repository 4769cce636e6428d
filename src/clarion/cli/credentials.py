"""Reads the files that hold a provider's credential, and makes what a channel keeps of them.

Called by `channel add` and `channel renew`. What cannot be read is told with the file's name, never with its content.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificates

from clarion.model.push import InvalidChannel
from clarion.providers.apns_credentials import read_certificate
from clarion.providers.fcm_credential import ServiceAccount
from clarion.providers.webpush_vapid import application_server_key, read_key

MOST_OCTETS: Final = 65_536
"""Every credential is far smaller; whoever names another file hears of it at once."""

FILE: Final = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """What a channel keeps: its provider, its settings, its secret, and when the secret ends."""

    provider: str
    settings: dict[str, Any]
    secret: str = field(repr=False)
    expires_at: int | None = None


def apns_key(path: Path, settings: dict[str, Any]) -> Credential:
    """A key of Apple, as its .p8 file has it."""
    return Credential("apns", settings, _read_text(path))


def apns_certificate(path: Path, password_file: Path | None, settings: dict[str, Any]) -> Credential:
    """A certificate of Apple with its private key, as PEM or PKCS #12. The topic is the certificate's unless given."""
    password = None if password_file is None else _read(password_file).strip(b"\r\n")
    secret = _without_password(path, _read(path), password)
    try:
        certificate = read_certificate(secret)
        topic = settings.get("topic") or certificate.find_topic()
    except InvalidChannel as error:
        raise click.ClickException(f"{path}: {error}.") from None
    if certificate.names and topic not in certificate.names and "." in certificate.names[0]:
        raise click.ClickException(
            f"{path} is a certificate for {certificate.names[0]}, not for {topic}: the devices of one app cannot be "
            "reached with another's."
        )
    return Credential("apns", settings | {"topic": topic}, secret, certificate.expires_at)


def service_account(path: Path, settings: dict[str, Any]) -> Credential:
    """A service account of Google, as its JSON file has it; the project is the account's."""
    secret = _read_text(path)
    try:
        account = ServiceAccount.read(secret)
    except InvalidChannel as error:
        raise click.ClickException(f"{path}: {error}.") from None
    return Credential("fcm", {"project_id": account.project_id} | settings, secret)


def vapid_pair(path: Path | None, settings: dict[str, Any]) -> Credential:
    """A VAPID key from a file, or a new one; its public key is one of the settings."""
    secret = _to_pem(ec.generate_private_key(ec.SECP256R1())) if path is None else _read_text(path)
    try:
        public_key = application_server_key(read_key(secret))
    except InvalidChannel as error:
        raise click.ClickException(f"The channel cannot be used: {error}.") from None
    return Credential("webpush", settings | {"public_key": public_key}, secret)


def _without_password(path: Path, octets: bytes, password: bytes | None) -> str:
    """A certificate and its key as one PEM that needs no password: the store seals it."""
    try:
        if b"-----BEGIN" in octets:
            if password is None:
                return octets.decode()
            key: Any = load_pem_private_key(octets, password)
            certificates = load_pem_x509_certificates(octets)
        else:
            key, own, chain = pkcs12.load_key_and_certificates(octets, password)
            certificates = [certificate for certificate in (own, *chain) if certificate is not None]
    except (ValueError, TypeError):
        needed = (
            "; give its password with --password-file" if password is None else ", or not with that password"
        )
        raise click.ClickException(
            f"{path} cannot be read as PEM or PKCS #12 with a certificate and its private key{needed}."
        ) from None
    if key is None or not certificates:
        raise click.ClickException(
            f"{path} must hold a certificate and its private key; export both together."
        )
    return _to_pem(key) + "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def _to_pem(key: Any) -> str:
    octets: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return octets.decode()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            octets = file.read(MOST_OCTETS + 1)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}.") from None
    if len(octets) > MOST_OCTETS:
        raise click.ClickException(f"{path} is larger than {MOST_OCTETS} octets: it is no credential.")
    return octets


def _read_text(path: Path) -> str:
    try:
        return _read(path).decode()
    except UnicodeDecodeError:
        raise click.ClickException(f"{path} is not a text file, as this credential is.") from None

"""The certificates of the stand-ins."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography import x509

from clarion.sandbox.certificates import ensure_certificates


def test_the_server_is_named_for_this_machine_and_signed_by_the_authority(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path / "new")
    ca = x509.load_pem_x509_certificate(paths.ca.read_bytes())
    server = x509.load_pem_x509_certificate(paths.server.read_bytes())
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert (server.not_valid_after_utc - server.not_valid_before_utc).days > 3650


def test_the_key_is_for_the_owner_alone(tmp_path: Path) -> None:
    assert stat.S_IMODE(ensure_certificates(tmp_path).key.stat().st_mode) == 0o600


def test_they_are_made_once(tmp_path: Path) -> None:
    first = ensure_certificates(tmp_path)
    before = [path.read_bytes() for path in (first.ca, first.server, first.key)]
    again = ensure_certificates(tmp_path)
    assert [path.read_bytes() for path in (again.ca, again.server, again.key)] == before


def test_a_damaged_set_is_made_anew(tmp_path: Path) -> None:
    paths = ensure_certificates(tmp_path)
    paths.server.write_text("rubbish")
    paths = ensure_certificates(tmp_path)
    assert x509.load_pem_x509_certificate(paths.server.read_bytes())


def test_a_key_of_another_certificate_is_noticed(tmp_path: Path) -> None:
    paths, other = ensure_certificates(tmp_path / "a"), ensure_certificates(tmp_path / "b")
    paths.key.write_bytes(other.key.read_bytes())
    assert ensure_certificates(tmp_path / "a").key.read_bytes() != other.key.read_bytes()

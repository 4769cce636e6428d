"""`clarion oidc set | show | remove`: what is kept, and what is said of an issuer that cannot be used."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from clarion.store.database import Database
from clarion.store.schema import oidc_issuers
from tests.cli.conftest import Desk
from tests.clock import Clock
from tests.http2.peer import Certificate, make_certificate
from tests.service.issuer import DISCOVERY, KEYS, Said, StandIn, said, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def issuer(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """An issuer that the settings vouch for."""
    monkeypatch.setenv("CLARION_PUSH_CA_FILE", str(certificate.chain))
    with serving(certificate, Clock()) as stand_in:
        yield stand_in


def options(desk: Desk, issuer: str, *more: str) -> list[str]:
    return [
        "oidc",
        "set",
        "--organization",
        desk.organization,
        "--issuer",
        issuer,
        "--audience",
        "app",
        *more,
    ]


def kept(desk: Desk) -> list[Any]:
    url = f"sqlite:///{desk.folder / 'clarion.db'}"
    with closing(Database(url)) as database, database.engine.connect() as connection:
        return [tuple(row)[1:4] for row in connection.execute(select(oidc_issuers))]


def test_an_issuer_is_set_shown_and_removed(desk: Desk, issuer: StandIn) -> None:
    whose = ["--organization", desk.organization]
    assert desk.done("oidc", "show", *whose) == "No ID tokens are accepted.\n"
    told = desk.done(*options(desk, issuer.url))
    assert told == f"ID tokens of {issuer.url} are accepted. It has 2 keys: ES256, RS256.\n"
    assert kept(desk) == [(issuer.url, "app", "email")]
    assert desk.done("oidc", "show", *whose).splitlines() == [
        f"Issuer    {issuer.url}",
        "Audience  app",
        "Claim     email",
        "Key       RS256 r1",
        "Key       ES256 e1",
    ]
    desk.done(*options(desk, issuer.url, "--claim", "sub"))
    assert kept(desk) == [(issuer.url, "app", "sub")]
    assert desk.done("oidc", "remove", *whose) == "ID tokens are accepted no more.\n"
    assert desk.done("oidc", "remove", *whose) == "No ID tokens were accepted.\n"
    assert kept(desk) == []


@pytest.mark.parametrize(
    ("path", "answer", "reason"),
    [
        (DISCOVERY, Said(status=404), "answered 404"),
        (DISCOVERY, Said(status=301, headers=(("Location", "/"),)), "redirects are not followed"),
        (DISCOVERY, Said(b"<html>"), "its discovery document is no JSON object"),
        (
            DISCOVERY,
            said({"issuer": "https://other"}),
            "says that it is 'https://other'; set the issuer to exactly",
        ),
        (KEYS, Said(b"x" * 10_000_000), "is larger than 262,144 octets"),
        (KEYS, said({"keys": []}), "has no key for RS256 or ES256"),
    ],
)
def test_an_issuer_that_cannot_be_used_is_not_kept_and_the_reason_is_told(
    desk: Desk, issuer: StandIn, path: str, answer: Said, reason: str
) -> None:
    issuer.documents[path] = answer
    told = desk.refused(*options(desk, issuer.url))
    assert told.startswith(f"Error: The issuer {issuer.url} cannot be used: ")
    assert reason in told
    assert kept(desk) == []


def test_an_issuer_of_an_unknown_authority_is_told_with_the_setting_that_helps(
    desk: Desk, issuer: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CLARION_PUSH_CA_FILE")
    assert "is not trusted; see push.ca_file" in desk.refused(*options(desk, issuer.url))


def test_authorities_that_cannot_be_read_are_told(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLARION_PUSH_CA_FILE", str(tmp_path / "absent.pem"))
    told = desk.refused(*options(desk, "https://localhost:1"))
    assert "absent.pem cannot be read" in told


def test_an_issuer_that_is_away_is_shown_all_the_same_up_to_its_keys(desk: Desk, issuer: StandIn) -> None:
    desk.done(*options(desk, issuer.url))
    issuer.documents.clear()
    shown = desk.run("oidc", "show", "--organization", desk.organization)
    assert shown.exit_code == 1
    assert f"Issuer    {issuer.url}" in shown.stdout
    assert "answered 404" in shown.stderr


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://login.example.com", "must be an https URL"),
        ("login.example.com", "must be an https URL"),
        ("https://login.example.com/?tenant=1", "neither a user nor a query"),
    ],
)
def test_what_is_no_issuer_is_refused_before_anything_is_asked(desk: Desk, url: str, reason: str) -> None:
    assert reason in desk.refused(*options(desk, url))


@pytest.mark.parametrize("audience", ["", "x" * 501, "a\nb"])
def test_an_audience_has_some_printable_characters(desk: Desk, audience: str) -> None:
    told = desk.refused(*options(desk, "https://localhost:1", "--audience", audience))
    assert "The audience must have 1 to 500 printable characters." in told


def test_an_issuer_needs_an_organization_that_is_there(desk: Desk) -> None:
    absent = "00000000-0000-4000-8000-000000000000"
    for words in (
        [*options(desk, "https://localhost:1"), "--organization", absent],
        ["oidc", "show", "--organization", absent],
        ["oidc", "remove", "--organization", absent],
    ):
        assert desk.refused(*words) == f"Error: There is no organization {absent}.\n"

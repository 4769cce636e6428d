"""`clarion channel add` and `renew`: good files become channels, bad ones are told apart and store nothing."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from clarion.bootstrap import now_ms
from clarion.providers.webpush_vapid import application_server_key
from clarion.store.schema import channels, solutions
from clarion.store.sealing import Place, read_master_keys
from tests.cli.conftest import TOPIC, Desk, make_certificate, to_pem

YEAR_MS = timedelta(days=365) // timedelta(milliseconds=1)


def opened(desk: Desk) -> list[str]:
    """The secrets of all channels."""
    text = (desk.folder / "master.key").read_text()
    keyring = read_master_keys(text.splitlines()[-1])
    return [keyring.open(row.secret, Place(row.organization_id, row.uuid)) for row in desk.rows(channels)]


def service_account(**changed: object) -> bytes:
    """A file as Google's console makes it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    known = {
        "type": "service_account",
        "project_id": "example-project",
        "private_key_id": "0123456789abcdef0123456789abcdef01234567",
        "private_key": to_pem(key).decode(),
        "client_email": "push@example-project.iam.gserviceaccount.com",
        "client_id": "1234567890",
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(known | changed).encode()


# ── A key of Apple ───────────────────────────────────────────────────────────────────────────────────────


def test_a_key_becomes_a_channel_and_is_sealed(desk: Desk) -> None:
    uuid = desk.add_apns("iPhone", "--environment", "development", "--host", "localhost", "--port", 8443)
    [row] = desk.rows(channels)
    assert (str(row.uuid), row.provider, row.name, row.expires_at) == (uuid, "apns", "iPhone", None)
    assert json.loads(row.settings) == {
        "team_id": "ABCDE12345", "key_id": "FGHIJ67890", "topic": TOPIC, "environment": "development",
        "host": "localhost", "port": 8443,
    }  # fmt: skip
    secret = (desk.folder.parent / "AuthKey.p8").read_text()
    assert opened(desk) == [secret]
    assert secret.splitlines()[1] not in (desk.folder / "clarion.db").read_bytes().decode("latin-1")


def test_nothing_of_the_secret_is_printed(desk: Desk) -> None:
    added = desk.run("channel", "add", "apns", *desk.whose(), *desk.key())
    key = (desk.folder.parent / "AuthKey.p8").read_text().splitlines()[1]
    listed = desk.run("channel", "list", "--organization", desk.organization)
    assert key not in added.output + listed.output
    assert "v1:" not in added.output + listed.output


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"--team-id": "abc"}, "team_id must be ten capital letters"),
        ({"--key-id": "abc"}, "key_id must be ten capital letters"),
        ({"--topic": "not a bundle id"}, "topic must be"),
        ({"--key-file": "no-such-file"}, "no-such-file cannot be read: No such file"),
        ({"--key-file": "garbage"}, "is not a .p8 file"),
        ({"--key-file": "binary"}, "binary is not a text file"),
        ({"--key-file": "large"}, "large is larger than 65536 octets"),
        ({"--key-file": "."}, "is a directory"),
        ({"--key-file": "rsa"}, "not a P-256 key"),
        ({"--name": "there"}, "There is a channel “there” already"),
        ({"--organization": "00000000-0000-4000-8000-000000000000"}, "There is no organization 00000000"),
        ({"--organization": "example"}, "not a valid UUID"),
        ({"--solution": "00000000-0000-4000-8000-000000000000"}, "The organization has no solution 00000000"),
        ({"--environment": "staging"}, "'staging' is not one of"),
        ({"--port": "0"}, "0 is not in the range"),
        ({"--certificate-file": "garbage"}, "Give one of --key-file and --certificate-file"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(desk: Desk, changed: dict[str, str], told: str) -> None:
    desk.add_apns("there")
    desk.file("garbage", b"not a key")
    desk.file("binary", b"\xff\xfe")
    desk.file("large", b"x" * 65_537)
    desk.file("rsa", to_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
    options = [*desk.whose(), *desk.key()]
    for name, value in changed.items():
        options += [name, value]
    assert told in desk.refused("channel", "add", "apns", *options).replace("\n", " ")
    assert len(desk.rows(channels)) == 1


def test_a_key_needs_its_ids_and_a_channel_needs_one_of_both(desk: Desk) -> None:
    key = desk.key()[-2:]
    told = desk.refused("channel", "add", "apns", *desk.whose(), *key, "--topic", TOPIC)
    assert "A key needs --team-id and --key-id too" in told
    assert "one of --key-file and --certificate-file" in desk.refused("channel", "add", "apns", *desk.whose())


# ── A certificate of Apple ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["pem", "encrypted pem", "p12"])
def test_a_certificate_tells_its_topic_and_its_end(desk: Desk, form: str) -> None:
    made = make_certificate()
    content = {"pem": made.pem, "encrypted pem": made.encrypted_pem(b"pass"), "p12": made.p12(b"pass")}[form]
    file, password = desk.file("certificate", content), desk.file("password", b"pass\n")
    more = [] if form == "pem" else ["--password-file", password]
    added = desk.run("channel", "add", "apns", *desk.whose(), "--certificate-file", file, *more)
    assert added.exit_code == 0, added.output
    assert "it is good until 20" in added.stderr
    [row] = desk.rows(channels)
    assert json.loads(row.settings) == {"topic": TOPIC, "environment": "production"}
    assert abs(row.expires_at - now_ms() - YEAR_MS) < 60_000
    [secret] = opened(desk)
    assert "ENCRYPTED" not in secret
    assert secret.count("BEGIN CERTIFICATE") == secret.count("BEGIN PRIVATE KEY") == 1


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (make_certificate(days=-1).pem, [], "the certificate expired on"),
        (make_certificate(topic=None).pem, [], "the certificate names no app"),
        (make_certificate().p12(b"pass"), [], "give its password with --password-file"),
        (make_certificate().p12(b"pass"), ["--password-file", "wrong"], "or not with that password"),
        (
            make_certificate().encrypted_pem(b"pass"),
            ["--password-file", "wrong"],
            "or not with that password",
        ),
        (make_certificate().encrypted_pem(b"pass"), [], "encrypted"),
        (make_certificate().pem.partition(b"-----BEGIN PRIVATE")[0], [], "no private key"),
        (to_pem(make_certificate().key), [], "no certificate"),
        (b"\x00garbage", [], "cannot be read as PEM or PKCS #12"),
        (make_certificate().pem, ["--password-file", "none"], "none cannot be read"),
    ],
    ids=str,
)
def test_a_certificate_that_cannot_be_used_is_told_why(
    desk: Desk, content: bytes, options: list[str], told: str
) -> None:
    file = desk.file("certificate", content)
    desk.file("wrong", b"not it")
    said = desk.refused("channel", "add", "apns", *desk.whose(), "--certificate-file", file, *options)
    assert told in said
    assert desk.rows(channels) == []


def test_a_certificate_of_several_topics_takes_the_one_given(desk: Desk) -> None:
    file = desk.file("certificate", make_certificate(topic=None).pem)
    desk.done(
        "channel", "add", "apns", *desk.whose(), "--certificate-file", file, "--topic", "com.example.other"
    )
    [row] = desk.rows(channels)
    assert json.loads(row.settings)["topic"] == "com.example.other"


# ── Google and browsers ──────────────────────────────────────────────────────────────────────────────────


def test_a_service_account_knows_its_project(desk: Desk) -> None:
    file = desk.file("account.json", service_account())
    desk.done("channel", "add", "fcm", *desk.whose("Android"), "--service-account-file", file)
    [row] = desk.rows(channels)
    assert (row.provider, json.loads(row.settings)) == ("fcm", {"project_id": "example-project"})
    assert opened(desk) == [file.read_text()]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "account.json: "),
        (b"[]", "account.json: "),
        (service_account(project_id=""), "project_id is malformed"),
        (service_account(private_key="no key"), "account.json: "),
    ],
)
def test_another_file_is_no_service_account(desk: Desk, content: bytes, told: str) -> None:
    file = desk.file("account.json", content)
    said = desk.refused("channel", "add", "fcm", *desk.whose(), "--service-account-file", file)
    assert told in said
    assert "PRIVATE" not in said
    assert desk.rows(channels) == []


def test_browsers_get_a_fresh_pair_and_the_page_its_public_key(desk: Desk) -> None:
    options = ["--subject", "mailto:admin@example.com", "--app-url", "https://app.example.com/"]
    added = desk.run("channel", "add", "webpush", *desk.whose("Web"), *options)
    assert added.exit_code == 0, added.output
    [secret] = opened(desk)
    key = load_pem_private_key(secret.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert f"applicationServerKey: {application_server_key(key)}\n" in added.stderr
    [row] = desk.rows(channels)
    assert json.loads(row.settings) == {
        "subject": "mailto:admin@example.com", "app_url": "https://app.example.com/",
        "public_key": application_server_key(key),
    }  # fmt: skip


def test_browsers_may_keep_their_pair(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    file = desk.file("vapid.pem", to_pem(key))
    options = ["--subject", "mailto:a@example.com", "--app-url", "https://example.com", "--key-file", file]
    added = desk.run("channel", "add", "webpush", *desk.whose("Web"), *options)
    assert application_server_key(key) in added.stderr
    assert "subject must be" in desk.refused(
        "channel", "add", "webpush", *desk.whose("2"), *options, "--subject", "x"
    )
    assert len(desk.rows(channels)) == 1


def test_a_channel_may_be_of_one_solution(desk: Desk) -> None:
    solution = desk.add_solution("crm")
    desk.add_apns("iPhone", "--solution", solution)
    [row], [made] = desk.rows(channels), desk.rows(solutions)
    assert row.solution_id == made.id


# ── Renewing ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_renewed_certificate_keeps_the_channel(desk: Desk) -> None:
    first = desk.file("first", make_certificate(days=10).pem)
    uuid = desk.done("channel", "add", "apns", *desk.whose(), "--certificate-file", first).strip()
    desk.change(channels, held_until=1 << 50, held_reason="refused")
    second = make_certificate()
    renewed = desk.run("channel", "renew", uuid, "--certificate-file", desk.file("second", second.pem))
    assert "“iPhone” has its new credential; it is good until 20" in renewed.stderr
    [row] = desk.rows(channels)
    assert (str(row.uuid), row.held_until, row.held_reason) == (uuid, None, None)
    assert abs(row.expires_at - now_ms() - YEAR_MS) < 60_000
    assert to_pem(second.key).decode() in opened(desk)[0]


def test_a_certificate_may_give_way_to_a_key(desk: Desk) -> None:
    first = desk.file("first", make_certificate().pem)
    uuid = desk.done("channel", "add", "apns", *desk.whose(), "--certificate-file", first).strip()
    ids, key = desk.key()[:4], desk.key()[-2:]
    assert "A key needs --team-id and --key-id too" in desk.refused("channel", "renew", uuid, *key)
    desk.done("channel", "renew", uuid, *ids, *key)
    [row] = desk.rows(channels)
    assert row.expires_at is None
    assert json.loads(row.settings)["team_id"] == "ABCDE12345"
    desk.done("channel", "renew", uuid, "--certificate-file", first)
    assert "team_id" not in json.loads(desk.rows(channels)[0].settings)


def test_a_credential_of_another_app_is_no_renewal(desk: Desk) -> None:
    apple = desk.done(
        "channel", "add", "apns", *desk.whose(), "--certificate-file", desk.file("a", make_certificate().pem)
    ).strip()
    other = desk.file("b", make_certificate(topic="com.example.other").pem)
    android = desk.done(
        "channel", "add", "fcm", *desk.whose("Android"), "--service-account-file",
        desk.file("c", service_account()),
    ).strip()  # fmt: skip
    project = desk.file("d", service_account(project_id="other-project"))
    before = [row.secret for row in desk.rows(channels)]
    told = desk.refused("channel", "renew", apple, "--certificate-file", other)
    assert "is a certificate for com.example.other, not for com.example.app" in told
    assert "other-project" in desk.refused("channel", "renew", android, "--service-account-file", project)
    assert "Give --service-account-file" in desk.refused("channel", "renew", android)
    assert [row.secret for row in desk.rows(channels)] == before


def test_what_is_not_there_cannot_be_renewed(desk: Desk) -> None:
    told = desk.refused("channel", "renew", "00000000-0000-4000-8000-000000000000")
    assert told == "Error: There is no channel 00000000-0000-4000-8000-000000000000.\n"


def test_a_lost_key_is_replaced_and_the_channels_get_their_secrets_again(desk: Desk) -> None:
    uuid = desk.add_apns()
    path = desk.folder / "master.key"
    path.unlink()
    assert "The master key is missing" in desk.refused("check")
    assert "The master key is missing" in desk.refused(
        "channel", "add", "apns", *desk.whose("2"), *desk.key()
    )
    path.touch(0o600)
    path.write_text(desk.done("keys", "generate"))
    assert "Warning: 1 secrets are sealed with the master key" in desk.done("check")
    desk.done("channel", "renew", uuid, *desk.key()[-2:])
    assert "Warning" not in desk.done("check")
    assert opened(desk) == [Path("AuthKey.p8").read_text()]

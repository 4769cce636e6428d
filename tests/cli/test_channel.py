"""`clarion channel list | test | remove`: what people see, what the answer means, and what is left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result

from clarion.bootstrap import now_ms
from clarion.sandbox.certificates import ensure_certificates
from clarion.sandbox.registry import Phone, write_registry
from clarion.sandbox.server import Sandbox, SandboxConfig, serving
from clarion.store.schema import channels, devices, push_runs
from tests.cli.conftest import ADDRESS, TOPIC, Desk, make_certificate, to_pem
from tests.process.installation import free_port
from tests.sandbox.apple import Signer

DAY_MS = timedelta(days=1) // timedelta(milliseconds=1)
ABSENT = "00000000-0000-4000-8000-000000000000"


# ── List ─────────────────────────────────────────────────────────────────────────────────────────────────


def listed(desk: Desk) -> list[str]:
    """The lines below the headings."""
    return desk.done("channel", "list", "--organization", desk.organization).splitlines()[1:]


def test_the_list_tells_what_a_channel_sends_to_and_how_it_is(desk: Desk) -> None:
    assert listed(desk) == []
    uuid = desk.add_apns("Mine", "--environment", "development", "--host", "localhost", "--port", "8443")
    desk.add_phone()
    [line] = listed(desk)
    for part in (uuid, "apns", "Mine", f"{TOPIC} (development, at localhost)", "ready", "does not end"):
        assert part in line
    assert line.startswith("1 ")
    desk.change(channels, held_until=now_ms() + DAY_MS, held_reason="InvalidProviderToken")
    assert "because InvalidProviderToken" in listed(desk)[0]
    desk.change(channels, held_until=now_ms() - 1)
    assert "ready" in listed(desk)[0]


@pytest.mark.parametrize(
    ("days", "told"), [(100.2, "100 days, until 20"), (12.2, "12 days"), (-1, "ended on 20")]
)
def test_the_list_and_the_check_tell_when_a_credential_ends(desk: Desk, days: float, told: str) -> None:
    desk.add_apns()
    desk.change(channels, expires_at=now_ms() + int(days * DAY_MS))
    assert told in listed(desk)[0]
    warned = desk.done("check")
    assert warned.endswith("Everything that `clarion serve` needs is in order.\n")
    expected = {
        100.2: "",
        12.2: "the credential of channel 1 ends in 12 days",
        -1: "channel 1 has ended on 20",
    }
    assert expected[days] in warned
    assert ("Warning" in warned) == (days < 30)


def test_an_organization_that_is_not_there_has_no_list(desk: Desk) -> None:
    assert desk.refused("channel", "list", "--organization", ABSENT) == (
        f"Error: There is no organization {ABSENT}.\n"
    )


# ── Test ─────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def apple(desk: Desk, signer: Signer) -> AsyncIterator[Sandbox]:
    """A stand-in that knows a key and one phone."""
    folder = desk.folder / "sandbox"
    folder.mkdir()
    write_registry(folder, [signer.public(TOPIC)], [Phone(ADDRESS, TOPIC, "iPhone")])
    async with serving(SandboxConfig(folder=folder)) as running:
        yield running


async def added(desk: Desk, name: str, *more: object) -> str:
    """An APNs channel; a command has a loop of its own, so it runs beside this one."""
    return await asyncio.to_thread(desk.add_apns, name, *more)


async def tested(desk: Desk, *arguments: object) -> Result:
    """`clarion channel test`, beside the stand-in that answers it."""
    return await asyncio.to_thread(desk.run, "channel", "test", *arguments)


@pytest.fixture
def signer() -> Signer:
    return Signer("ABCDE12345", "FGHIJ67890")


@pytest.fixture
def key_file(desk: Desk, signer: Signer) -> Path:
    return desk.file("known.p8", to_pem(signer.key))


async def test_an_accepted_test_shows_its_text_and_ends_a_rest(
    desk: Desk, signer: Signer, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with apple(desk, signer) as sandbox:
        monkeypatch.setenv("CLARION_PUSH_CA_FILE", str(sandbox.certificates.ca))
        place = ["--host", "localhost", "--port", sandbox.apns_port]
        uuid = await added(desk, "iPhone", "--key-file", key_file, *place)
        phone = desk.add_phone()
        accepted = await tested(desk, uuid, "--device", phone, "--text", "Can you see me?")
        assert accepted.exit_code == 0, accepted.output
        assert accepted.stdout.startswith("Accepted\nThe push service took it.")
        [push] = sandbox.stage.received.after(0)["items"]
        assert push["token"] == ADDRESS
        [phone_on_page] = sandbox.stage.describe()["phones"]
        assert "Can you see me?" in str(phone_on_page)
        desk.change(channels, held_until=now_ms() + DAY_MS, held_reason="BadTopic")
        again = await tested(desk, uuid, "--address", ADDRESS.upper())
        assert "The channel was resting; it goes on at once." in again.stdout
        assert desk.rows(channels)[0].held_until is None
        assert ADDRESS not in again.output.lower()


async def test_a_refusal_is_told_in_the_providers_words_and_in_plain_ones(
    desk: Desk, signer: Signer, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with apple(desk, signer) as sandbox:
        monkeypatch.setenv("CLARION_PUSH_CA_FILE", str(sandbox.certificates.ca))
        place = ["--host", "localhost", "--port", sandbox.apns_port]
        stranger = await added(desk, "stranger", *place)
        refused = await tested(desk, stranger, "--address", ADDRESS)
        assert refused.exit_code == 1
        first, second = refused.stdout.splitlines()[:2]
        assert first == "Misconfigured: InvalidProviderToken"
        assert len(second) > 20
        known = await added(desk, "known", "--key-file", key_file, *place)
        gone = await tested(desk, known, "--address", f"{'0' * 56}dead0410")
        assert gone.exit_code == 1
        assert gone.stdout.splitlines()[0] == "Gone: Unregistered"
        assert sandbox.stage.received.after(0)["items"] == []


async def test_a_service_that_cannot_be_reached_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    uuid = await added(desk, "iPhone", "--host", "localhost", "--port", port)
    away = await tested(desk, uuid, "--address", ADDRESS)
    assert away.exit_code == 1
    assert away.stdout.startswith(f"Unavailable: localhost:{port}")
    certificates = ensure_certificates(desk.folder / "sandbox")
    assert certificates.ca.exists()
    monkeypatch.setenv("CLARION_PUSH_CA_FILE", "/no/such/file")
    assert (
        "push.ca_file /no/such/file cannot be read" in (await tested(desk, uuid, "--address", ADDRESS)).stderr
    )


def test_what_cannot_be_tested_is_said_before_anything_is_sent(desk: Desk) -> None:
    uuid = desk.add_apns()
    assert "Give one of --device and --address" in desk.refused("channel", "test", uuid)
    both = desk.refused("channel", "test", uuid, "--device", ABSENT, "--address", ADDRESS)
    assert "Give one of --device and --address" in both
    assert f"no device {ABSENT} that is in use" in desk.refused("channel", "test", uuid, "--device", ABSENT)
    assert "That is no address of apns: " in desk.refused("channel", "test", uuid, "--address", "x")
    assert f"There is no channel {ABSENT}" in desk.refused("channel", "test", ABSENT, "--address", ADDRESS)
    told = desk.refused("channel", "test", uuid, "--address", ADDRESS, "--validate-only")
    assert "Only FCM can be asked without sending" in told


def test_a_secret_that_does_not_open_is_told_without_a_trace(desk: Desk) -> None:
    uuid = desk.add_apns()
    path = desk.folder / "master.key"
    path.write_text(desk.done("keys", "generate"))
    told = desk.refused("channel", "test", uuid, "--address", ADDRESS)
    assert told.startswith("Error: The channel cannot be used: the secret is sealed with the master key ")
    path.chmod(0o644)
    assert "can be read by others" in desk.refused("channel", "test", uuid, "--address", ADDRESS)
    path.unlink()
    assert "The master key is missing" in desk.refused("channel", "test", uuid, "--address", ADDRESS)


def test_an_expired_certificate_is_told(desk: Desk) -> None:
    file = desk.file("certificate", make_certificate(days=1).pem)
    uuid = desk.done("channel", "add", "apns", *desk.whose(), "--certificate-file", file, "--host", "localhost",
                     "--port", free_port()).strip()  # fmt: skip
    assert desk.run("channel", "test", uuid, "--address", ADDRESS).exit_code == 1


# ── Remove ───────────────────────────────────────────────────────────────────────────────────────────────


def test_removing_asks_first_and_then_retires_the_devices(desk: Desk) -> None:
    uuid = desk.add_apns()
    desk.add_phone()
    kept = desk.run("channel", "remove", uuid, typed="n\n")
    assert kept.exit_code == 1
    assert "“iPhone” (apns) has 1 devices; 0 push runs wait for it." in kept.stdout
    assert desk.rows(channels)[0].removed_at is None
    done = desk.done("channel", "remove", uuid, typed="y\n")
    assert "It is removed; 1 devices were retired and 0 push runs dropped." in done
    [channel], [device] = desk.rows(channels), desk.rows(devices)
    assert channel.secret == ""
    assert device.retired_reason == "channel removed"
    assert listed(desk) == []
    assert desk.rows(push_runs) == []
    for words in (["test", uuid, "--address", ADDRESS], ["renew", uuid, "--key-file", "x"]):
        assert f"There is no channel {uuid}" in desk.refused("channel", *words)


def test_removing_twice_does_no_harm_and_its_name_is_free_again(desk: Desk) -> None:
    uuid = desk.add_apns()
    for _ in range(2):
        assert "It is removed" in desk.done("channel", "remove", uuid, "--yes")
    assert desk.add_apns() != uuid
    assert f"There is no channel {ABSENT}" in desk.refused("channel", "remove", ABSENT, "--yes")

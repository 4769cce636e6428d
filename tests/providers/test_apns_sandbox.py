"""APNs over the wire: our provider against the sandbox's stand-in for Apple."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.http2 import client_tls
from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import Content, Options, Priority
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Parcel, Push
from clarion.providers import Surroundings
from clarion.providers.apns import Apns
from clarion.sandbox.faults import Fault
from clarion.sandbox.outcomes import YEAR_MS
from clarion.sandbox.registry import Key, write_registry
from clarion.sandbox.screens import tap
from clarion.sandbox.server import Sandbox, SandboxConfig, serving
from tests.clock import Clock
from tests.providers.apple import KEY, KEY_ID, SETTINGS, TEAM, TOPIC, pem

SECRET = pem(KEY)
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
NOTIFICATION = uuid4()


@pytest.fixture
async def sandbox(tmp_path: Path, clock: Clock) -> AsyncIterator[Sandbox]:
    write_registry(tmp_path, [Key(TEAM, KEY_ID, PUBLIC, (TOPIC,))], [])
    config = SandboxConfig(folder=tmp_path, apns_port=0, page_port=0)
    async with serving(config, clock=lambda: clock() / 1000) as running:
        yield running


@pytest.fixture
async def apns(sandbox: Sandbox, clock: Clock) -> AsyncIterator[Apns]:
    provider = make_apns(sandbox, clock)
    yield provider
    await provider.close()


def surroundings(sandbox: Sandbox, clock: Clock) -> Surroundings:
    ca_file = str(sandbox.certificates.ca)
    return Surroundings(clock, client_tls(ca_file), ca_file)


def make_apns(sandbox: Sandbox, clock: Clock, **change: Any) -> Apns:
    return apns_of(surroundings(sandbox, clock), sandbox, **change)


def apns_of(around: Surroundings, sandbox: Sandbox, **change: Any) -> Apns:
    settings = {**SETTINGS, "host": "localhost", "port": sandbox.apns_port}
    return Apns.from_channel(settings | change, SECRET, around)


def push(clock: Clock, **parts: Any) -> Push:
    usual = {
        "number": 1,
        "notification": NOTIFICATION,
        "organization": uuid4(),
        "solution": None,
        "content": Content("Check it out", "New", jig="view", inputs={"price": 34}),
        "options": Options(),
        "kind": PushKind.ALERT,
        "expires_at": clock() + 60_000,
    }
    return Push(**{**usual, **parts})


def parcels(*endings: str, kind: PushKind = PushKind.ALERT) -> list[Parcel]:
    """Devices whose addresses end so; the sandbox reads its part from that."""
    return [
        Parcel(pack_push_id(1, device, kind), f"{device:x}".rjust(64 - len(ending), "a") + ending)
        for device, ending in enumerate(endings, 1)
    ]


def ordinary(count: int) -> list[Parcel]:
    return parcels(*(f"{number:08x}" for number in range(count)))


def logged(sandbox: Sandbox) -> Counter[str]:
    """What the sandbox answered, as far as its page tells."""
    return Counter(f"{entry['answer']} {entry['what']}" for entry in sandbox.stage.describe()["log"])


def received(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every push that the sandbox accepted."""
    items: list[dict[str, Any]] = sandbox.stage.received.after(0)["items"]
    return items


async def test_a_page_of_devices_is_accepted_each_under_its_own_id(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    assert await apns.connect() is None
    page = ordinary(500)
    assert await apns.send(push(clock), page) == [ACCEPTED] * 500
    assert {(item["id"], item["token"]) for item in received(sandbox)} == set(page)
    assert {item["collapseId"] for item in received(sandbox)} == {str(NOTIFICATION)}


async def test_a_banner_shows_title_and_text_and_carries_the_inputs(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    await apns.send(push(clock, options=Options(badge=7, priority=Priority.NORMAL)), ordinary(1))
    [phone] = sandbox.stage.describe()["phones"]
    [banner] = phone["banners"]
    assert (banner["title"], banner["text"], phone["badge"]) == ("New", "Check it out", 7)

    assert sandbox.stage.touch(phone["token"], lambda screen: tap(screen, banner["id"]), "tapped")
    [phone] = sandbox.stage.describe()["phones"]
    assert phone["opened"]["app"]["inputs"] == {"price": 34}
    assert phone["opened"]["app"]["jigId"] == "view"


async def test_a_repeat_replaces_the_banner_and_a_withdrawal_removes_it(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    [one] = ordinary(1)

    def banners() -> int:
        [phone] = sandbox.stage.describe()["phones"]
        return len(phone["banners"])

    for _ in range(2):
        assert await apns.send(push(clock), [one]) == [ACCEPTED]
        assert banners() == 1
    withdrawal = Parcel(pack_push_id(1, 1, PushKind.WITHDRAWAL), one.address)
    assert await apns.send(push(clock, kind=PushKind.WITHDRAWAL), [withdrawal]) == [ACCEPTED]
    assert banners() == 0


async def test_every_device_gets_its_own_outcome_in_order(apns: Apns, sandbox: Sandbox, clock: Clock) -> None:
    now = clock()
    expected: dict[str, Outcome] = {
        "00000000": ACCEPTED,
        "dead0400": Refused("BadDeviceToken", doubts_device=True),
        "dead0401": Refused("DeviceTokenNotForTopic", doubts_device=True),
        "dead0410": Gone("Unregistered", now),
        "dead0411": Gone("Unregistered", now - YEAR_MS),
        "dead0412": Gone("ExpiredToken", now),
        "dead0413": Refused("PayloadTooLarge"),
        "dead0429": Unavailable("TooManyRequests", whole_service=False),
        "dead0500": Unavailable("InternalServerError"),
        "dead0503": Unavailable("ServiceUnavailable"),
        "dead0499": Refused("ReasonOfTomorrow"),
        "dead0599": Unavailable("ReasonOfTomorrow"),
        "00000001": ACCEPTED,
    }
    assert await apns.send(push(clock), parcels(*expected)) == list(expected.values())
    assert len(received(sandbox)) == 2


async def test_a_device_that_only_failed_once_is_accepted_under_the_same_id(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    page = parcels("00000000", "dead1503", "dead1429")
    first = await apns.send(push(clock), page)
    assert [type(outcome) for outcome in first] == [type(ACCEPTED), Unavailable, Unavailable]
    assert await apns.send(push(clock), page[1:]) == [ACCEPTED] * 2
    assert {item["id"] for item in received(sandbox)} == {parcel.push_id for parcel in page}


@pytest.mark.parametrize("ending", ["dead0608", "dead0611", "dead0620", "dead0621"])
async def test_what_was_sent_and_not_answered_is_unknown(apns: Apns, clock: Clock, ending: str) -> None:
    assert await apns.send(push(clock), ordinary(1)) == [ACCEPTED]
    [outcome] = await apns.send(push(clock), parcels(ending))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize("ending", ["dead1607", "dead1610", "dead0612"])
async def test_what_was_surely_not_processed_is_sent_again_at_once(
    apns: Apns, sandbox: Sandbox, clock: Clock, ending: str
) -> None:
    page = parcels("00000000", ending, "00000001")
    assert await apns.send(push(clock), page) == [ACCEPTED] * 3
    assert Counter(item["id"] for item in received(sandbox)) == Counter(p.push_id for p in page)


# ── The credential ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_key_is_shown_once_and_not_once_per_device(sandbox: Sandbox, clock: Clock) -> None:
    apns = make_apns(sandbox, clock, key_id="OTHER12345")
    assert await apns.connect() is None
    assert await apns.send(push(clock), ordinary(500)) == [Misconfigured("InvalidProviderToken")] * 500
    assert logged(sandbox) == {"refused 403 InvalidProviderToken": 1}
    await apns.close()


async def test_a_refused_key_is_shown_once_however_many_notifications_wait(
    sandbox: Sandbox, clock: Clock
) -> None:
    apns = make_apns(sandbox, clock, key_id="OTHER12345")
    sends = [apns.send(push(clock, number=number), ordinary(1)) for number in range(50)]
    assert await asyncio.gather(*sends) == [[Misconfigured("InvalidProviderToken")]] * 50
    assert logged(sandbox) == {"refused 403 InvalidProviderToken": 1}
    await apns.close()


async def test_a_key_that_apple_came_to_know_is_taken_after_the_lanes_rest(
    sandbox: Sandbox, clock: Clock, tmp_path: Path
) -> None:
    apns = make_apns(sandbox, clock, topic="com.example.new")
    assert await apns.send(push(clock), ordinary(2)) == [Misconfigured("TopicDisallowed")] * 2
    write_registry(tmp_path, [Key(TEAM, KEY_ID, PUBLIC, (TOPIC, "com.example.new"))], [])
    clock.move(seconds=300)
    assert await apns.send(push(clock), ordinary(2)) == [Misconfigured("TopicDisallowed")] * 2
    assert await apns.connect() is None
    assert await apns.send(push(clock), ordinary(2)) == [ACCEPTED] * 2
    assert logged(sandbox)["refused 400 TopicDisallowed"] == 1
    await apns.close()


async def test_a_key_that_was_revoked_is_proven_again_before_a_page_goes_out(
    sandbox: Sandbox, clock: Clock, tmp_path: Path, apns: Apns
) -> None:
    assert await apns.send(push(clock), ordinary(3)) == [ACCEPTED] * 3
    write_registry(tmp_path, [], [])
    clock.move(seconds=5)
    assert await apns.send(push(clock), ordinary(3)) == [Misconfigured("InvalidProviderToken")] * 3
    for _ in range(2):
        assert await apns.connect() is None
        outcomes = await apns.send(push(clock), ordinary(500))
        assert outcomes == [Misconfigured("InvalidProviderToken")] * 500
    assert logged(sandbox)["refused 403 InvalidProviderToken"] == 3 + 2


async def test_a_doubtful_first_device_does_not_stop_the_others(apns: Apns, clock: Clock) -> None:
    outcomes = await apns.send(push(clock), parcels("dead0400", "00000000", "00000001"))
    assert outcomes == [Refused("BadDeviceToken", doubts_device=True), ACCEPTED, ACCEPTED]


async def test_a_service_in_trouble_is_asked_once_before_it_has_taken_anything(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.stage.set_fault(Fault("unavailable"))
    assert await apns.send(push(clock), ordinary(500)) == [Unavailable("ServiceUnavailable")] * 500
    assert logged(sandbox) == {"refused 503 ServiceUnavailable": 1}


async def test_a_provider_token_lives_for_hours_of_sending_on_one_connection(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    for _ in range(20):
        assert await apns.send(push(clock), ordinary(2)) == [ACCEPTED] * 2
        clock.move(seconds=13 * 60)
    assert len(received(sandbox)) == 40


# ── The connection ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_service_that_cannot_be_reached_is_unavailable(sandbox: Sandbox, clock: Clock) -> None:
    apns = make_apns(sandbox, clock, port=1)
    obstacle = await apns.connect()
    assert isinstance(obstacle, Unavailable)
    outcomes = await apns.send(push(clock), ordinary(3))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
    await apns.close()


async def test_a_service_whose_certificate_is_not_trusted_is_unavailable(
    sandbox: Sandbox, clock: Clock
) -> None:
    apns = apns_of(Surroundings(clock, client_tls()), sandbox)
    obstacle = await apns.connect()
    assert isinstance(obstacle, Unavailable)
    assert "certificate" in obstacle.reason.lower()
    await apns.close()


async def test_a_connection_that_says_goodbye_in_the_middle_loses_and_repeats_nothing(
    apns: Apns, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.stage.set_fault(Fault("goaway", 150))
    page = ordinary(500)
    assert await apns.send(push(clock), page) == [ACCEPTED] * 500
    assert Counter(item["id"] for item in received(sandbox)) == Counter(p.push_id for p in page)


async def test_what_was_in_flight_at_the_close_is_unknown_and_nothing_is_sent_after_it(
    sandbox: Sandbox, clock: Clock
) -> None:
    apns = make_apns(sandbox, clock)
    assert await apns.send(push(clock), ordinary(1)) == [ACCEPTED]
    sending = asyncio.create_task(apns.send(push(clock), parcels("dead0600")))
    for _ in range(5):
        await asyncio.sleep(0)
    await apns.close()
    [outcome] = await sending
    assert isinstance(outcome, Unknown | Unavailable)
    [after] = await apns.send(push(clock), ordinary(1))
    assert isinstance(after, Unavailable)
    assert UUID(received(sandbox)[-1]["id"]).version == 8
    assert len(received(sandbox)) == 1

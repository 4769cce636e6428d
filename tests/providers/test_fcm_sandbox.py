"""FCM over the wire: our provider against the sandbox's stand-in for Google, which checks what Google would."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.http2 import client_tls
from clarion.model.delivery import PushKind, pack_push_id
from clarion.model.notification import Content, Interruption, Options, Priority
from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import Parcel, Push
from clarion.providers import Surroundings, explain
from clarion.providers.fcm import Fcm
from clarion.sandbox.faults import Fault
from clarion.sandbox.registry import Phone, Project, write_registry
from clarion.sandbox.screens import leave, tap
from clarion.sandbox.server import Sandbox, SandboxConfig, serving
from tests.clock import Clock
from tests.providers.google import EMAIL, KEY, KEY_ID, PROJECT, service_account

PACKAGE, PHONE, INSTALLATION = "com.example.field", "phone-1:APA91b", "fid-of-phone-2"
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
PHONES = [
    Phone(
        PHONE, PACKAGE, "Sales lead's phone", "Sales lead", "", "Pixel 9", "fcm", former=("phone-0:APA91b",)
    ),
    Phone(INSTALLATION, PACKAGE, "Depot's phone", "Depot", "", "Galaxy S26", "fcm"),
]
NOTIFICATION = uuid4()


@pytest.fixture
async def sandbox(tmp_path: Path, clock: Clock) -> AsyncIterator[Sandbox]:
    register(tmp_path)
    config = SandboxConfig(folder=tmp_path)
    async with serving(config, clock=lambda: clock() / 1000) as running:
        yield running


def register(folder: Path, key_id: str = KEY_ID) -> None:
    write_registry(folder, [], PHONES, [Project(PROJECT, EMAIL, key_id, PUBLIC, (PACKAGE,))])


@pytest.fixture
async def fcm(sandbox: Sandbox, clock: Clock) -> AsyncIterator[Fcm]:
    provider = make_fcm(sandbox, clock)
    yield provider
    await provider.close()


def make_fcm(sandbox: Sandbox, clock: Clock, **change: Any) -> Fcm:
    around = Surroundings(clock, client_tls(str(sandbox.certificates.ca)))
    settings = {"host": "localhost", "port": sandbox.fcm_port, **change}
    return Fcm.from_channel(
        settings, service_account(token_uri=f"https://localhost:{sandbox.fcm_port}/token"), around
    )


def push(clock: Clock, notification: UUID = NOTIFICATION, **parts: Any) -> Push:
    usual = {
        "number": 1,
        "notification": notification,
        "organization": uuid4(),
        "solution": None,
        "content": Content("Check it out", "New", jig="view", inputs={"price": 34, "code": "x-1"}),
        "options": Options(),
        "kind": PushKind.ALERT,
        "expires_at": clock() + 60_000,
    }
    return Push(**{**usual, **parts})


def parcels(*addresses: str) -> list[Parcel]:
    return [
        Parcel(pack_push_id(1, device, PushKind.ALERT), address)
        for device, address in enumerate(addresses, 1)
    ]


def wishes(*words: str) -> list[Parcel]:
    """Devices whose addresses ask for what happens."""
    return parcels(*(f"token:device:{number}-{word}" for number, word in enumerate(words)))


def ordinary(count: int) -> list[Parcel]:
    return parcels(*(f"token:device:{number}" for number in range(count)))


def received(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Every push that the sandbox accepted."""
    items: list[dict[str, Any]] = sandbox.stage.received.after(0)["items"]
    return items


def logged(sandbox: Sandbox) -> Counter[str]:
    return Counter(f"{entry['answer']} {entry['what']}" for entry in sandbox.stage.describe()["log"])


def phone(sandbox: Sandbox, token: str = PHONE) -> dict[str, Any]:
    return next(one for one in sandbox.stage.describe()["phones"] if one["token"] == token)


async def test_a_page_of_devices_is_accepted_with_one_access_token(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    assert await fcm.connect() is None
    assert await fcm.send(push(clock), ordinary(500)) == [ACCEPTED] * 500
    assert {item["token"] for item in received(sandbox)} == {f"device:{number}" for number in range(500)}
    assert {item["collapseId"] for item in received(sandbox)} == {str(NOTIFICATION)}
    assert sandbox.access_tokens.issued == 1


async def test_a_banner_shows_title_and_text_and_a_tap_opens_the_screen_with_its_inputs(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    one = push(clock, options=Options(badge=7, priority=Priority.NORMAL))
    assert await fcm.send(one, parcels(f"token:{PHONE}", f"fid:{INSTALLATION}")) == [ACCEPTED] * 2
    for token in (PHONE, INSTALLATION):
        shown = phone(sandbox, token)
        [banner] = shown["banners"]
        assert (banner["title"], banner["text"], shown["badge"]) == ("New", "Check it out", 7)
        sandbox.stage.touch(token, partial(tap, banner_id=banner["id"]), "tapped")
        app = phone(sandbox, token)["opened"]["app"]
        assert (app["jigId"], app["inputs"]) == ("view", {"price": 34, "code": "x-1"})


async def test_everything_that_can_be_asked_for_is_taken(fcm: Fcm, sandbox: Sandbox, clock: Clock) -> None:
    every = Options(
        badge=1_000_000, sound="\x01" * 64, category="c" * 64, thread="t" * 64, collapse_key="🎉" * 64,
        image_url="https://example.com/".ljust(1_000, "i"), android_channel="ä" * 100,
        interruption=Interruption.TIME_SENSITIVE, is_critical=True, ttl_seconds=0,
    )  # fmt: skip
    content = Content("🎉" * 200, '"' * 100, "\\" * 50, "é" * 50, {"long": "🎉" * 2_000})
    one = push(clock, content=content, options=every, solution=uuid4())
    assert await fcm.send(one, parcels(f"token:{PHONE}")) == [ACCEPTED]
    [banner] = phone(sandbox)["banners"]
    assert banner["text"] == "🎉" * 200
    assert not [entry for entry in sandbox.stage.describe()["log"] if entry.get("advice")]


async def test_a_repeat_replaces_the_banner_and_a_withdrawal_removes_it(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    for _ in range(2):
        assert await fcm.send(push(clock), parcels(f"token:{PHONE}")) == [ACCEPTED]
        assert len(phone(sandbox)["banners"]) == 1
    withdrawal = push(clock, kind=PushKind.WITHDRAWAL)
    assert await fcm.send(withdrawal, parcels(f"token:{PHONE}")) == [ACCEPTED]
    assert phone(sandbox)["banners"] == []


async def test_a_phone_that_was_away_shows_the_newest_notification_alone(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.stage.touch(PHONE, leave, "away")
    for text in ("first", "second", "third"):
        one = push(clock, uuid4(), content=Content(text))
        assert await fcm.send(one, parcels(f"token:{PHONE}")) == [ACCEPTED]
    sandbox.stage.come_back(PHONE)
    assert [banner["text"] for banner in phone(sandbox)["banners"]] == ["third"]


async def test_every_device_gets_its_own_outcome_in_order(fcm: Fcm, sandbox: Sandbox, clock: Clock) -> None:
    expected: dict[str, Outcome] = {
        "a": ACCEPTED,
        "unregistered": Gone("UNREGISTERED", clock()),
        "invalid": Refused("INVALID_ARGUMENT: message.token", doubts_device=True),
        "sender-mismatch": Refused("SENDER_ID_MISMATCH", doubts_device=True),
        "400": Refused("INVALID_ARGUMENT"),
        "too-large": Refused("INVALID_ARGUMENT"),
        "unspecified": Refused("UNSPECIFIED_ERROR"),
        "tomorrow": Refused("ERROR_OF_TOMORROW"),
        "404": Refused("NOT_FOUND"),
        "599": Unavailable("STATUS_OF_TOMORROW", 10),
        "third-party": Unavailable("THIRD_PARTY_AUTH_ERROR", 300, whole_service=False),
        "429": Unavailable("QUOTA_EXCEEDED", 60),
        "quota": Unavailable("QUOTA_EXCEEDED", 60),
        "429-date": Unavailable("QUOTA_EXCEEDED", 90),
        "500": Unavailable("INTERNAL", 10),
        "502": Unavailable("status 502", 10),
        "503": Unavailable("UNAVAILABLE", 10),
        "503-seconds": Unavailable("UNAVAILABLE", 20),
        "503-date": Unavailable("UNAVAILABLE", 45),
        "b": ACCEPTED,
    }
    outcomes = await fcm.send(push(clock), wishes(*expected))
    assert dict(zip(expected, outcomes, strict=True)) == expected
    assert len(received(sandbox)) == 2
    assert all(explain("fcm", outcome) for outcome in outcomes)


async def test_an_address_that_the_phone_had_before_is_gone(fcm: Fcm, clock: Clock) -> None:
    assert await fcm.send(push(clock), parcels("token:phone-0:APA91b")) == [Gone("UNREGISTERED", clock())]


async def test_a_device_that_only_failed_once_is_accepted_at_the_next_try(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    page = wishes("a", "503-once", "429-once")
    first = await fcm.send(push(clock), page)
    assert [type(outcome) for outcome in first] == [type(ACCEPTED), Unavailable, Unavailable]
    assert await fcm.send(push(clock), page[1:]) == [ACCEPTED] * 2
    assert len(received(sandbox)) == 3


@pytest.mark.parametrize(
    "word", ["cancelled-stream", "goaway-unanswered", "dropped", "dropped-after-accepting"]
)
async def test_what_was_sent_and_not_answered_is_unknown(fcm: Fcm, clock: Clock, word: str) -> None:
    assert await fcm.send(push(clock), ordinary(1)) == [ACCEPTED]
    [outcome] = await fcm.send(push(clock), wishes(word))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize("word", ["refused-stream-once", "goaway-unprocessed-once", "goaway-answered"])
async def test_what_was_surely_not_processed_is_sent_again_at_once(
    fcm: Fcm, sandbox: Sandbox, clock: Clock, word: str
) -> None:
    assert await fcm.send(push(clock), wishes("a", word, "b")) == [ACCEPTED] * 3
    assert Counter(item["token"] for item in received(sandbox)).most_common(1)[0][1] == 1


async def test_a_validation_is_judged_and_reaches_nobody(fcm: Fcm, sandbox: Sandbox, clock: Clock) -> None:
    assert await fcm.validate(push(clock), parcels(f"token:{PHONE}")[0]) == ACCEPTED
    assert await fcm.validate(push(clock), wishes("unregistered")[0]) == Gone("UNREGISTERED", clock())
    assert received(sandbox) == []


# ── The credential ───────────────────────────────────────────────────────────────────────────────────────


async def test_access_tokens_are_renewed_through_hours_of_sending(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    for _ in range(20):
        assert await fcm.send(push(clock), ordinary(2)) == [ACCEPTED] * 2
        clock.move(seconds=13 * 60)
    assert len(received(sandbox)) == 40
    assert sandbox.access_tokens.issued <= 6
    assert logged(sandbox)["refused 401 UNAUTHENTICATED"] == 0


async def test_a_revoked_access_token_is_renewed_and_nobody_notices(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    assert await fcm.send(push(clock), ordinary(2)) == [ACCEPTED] * 2
    sandbox.access_tokens.revoke_all()
    sends = [fcm.send(push(clock, uuid4()), ordinary(5)) for _ in range(20)]
    assert await asyncio.gather(*sends) == [[ACCEPTED] * 5] * 20
    assert sandbox.access_tokens.issued == 2
    assert len(received(sandbox)) == 102


async def test_a_project_that_the_account_may_not_use_is_shown_once_and_not_once_per_device(
    sandbox: Sandbox, clock: Clock
) -> None:
    fcm = make_fcm(sandbox, clock, project_id="another-project")
    assert await fcm.connect() is None
    [first, *others] = await fcm.send(push(clock), ordinary(500))
    assert isinstance(first, Misconfigured)
    assert first.reason.startswith("PERMISSION_DENIED")
    assert others == [first] * 499
    assert sum(logged(sandbox).values()) == 1
    await fcm.close()


async def test_a_key_that_google_does_not_know_is_told_before_anything_is_sent(
    sandbox: Sandbox, clock: Clock, tmp_path: Path
) -> None:
    register(tmp_path, key_id="another")
    clock.move(seconds=5)
    fcm = make_fcm(sandbox, clock)
    obstacle = await fcm.connect()
    assert isinstance(obstacle, Misconfigured)
    assert obstacle.reason.startswith("invalid_grant: ")
    assert await fcm.send(push(clock), ordinary(50)) == [obstacle] * 50
    register(tmp_path)
    clock.move(seconds=300)
    assert await fcm.connect() is None
    assert await fcm.send(push(clock), ordinary(50)) == [ACCEPTED] * 50
    await fcm.close()


async def test_a_service_in_trouble_is_asked_once_before_it_has_taken_anything(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    assert await fcm.connect() is None
    sandbox.stage.set_fault(Fault("unavailable"))
    assert await fcm.send(push(clock), ordinary(500)) == [Unavailable("UNAVAILABLE", 10)] * 500
    assert logged(sandbox) == {"refused 503 UNAVAILABLE": 1}


async def test_a_connection_that_says_goodbye_in_the_middle_loses_and_repeats_nothing(
    fcm: Fcm, sandbox: Sandbox, clock: Clock
) -> None:
    assert await fcm.connect() is None
    sandbox.stage.set_fault(Fault("goaway", 150))
    assert await fcm.send(push(clock), ordinary(500)) == [ACCEPTED] * 500
    assert Counter(item["token"] for item in received(sandbox)).most_common(1)[0][1] == 1

"""What FCM is sent: addresses, the message, and how much of it."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.delivery import PushKind
from clarion.model.notification import Content, Interruption, Options, Priority
from clarion.model.push import Banner, InvalidAddress, Push
from clarion.providers import check_address
from clarion.providers.fcm_payload import (
    MOST_OCTETS,
    MOST_TTL_SECONDS,
    RESERVED_OCTETS,
    encode_message,
    encode_request,
    encode_target,
)
from tests.providers.strategies import contents, options

NOW = 1_750_000_000_000
NOTIFICATION, ORGANIZATION, SOLUTION = uuid4(), uuid4(), uuid4()
IMAGE = "https://example.com/".ljust(1_000, "i")


def push(content: Content | None = None, **parts: Any) -> Push:
    usual = Push(
        1, NOTIFICATION, ORGANIZATION, None, content or Content("Hello"), Options(), PushKind.ALERT, NOW + 60_500
    )  # fmt: skip
    return replace(usual, **parts)


def message(content: Content | None = None, *, now: int = NOW, **parts: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(encode_message(push(content, **parts), now))
    return read


def given_to_devices(whole: dict[str, Any]) -> dict[str, int]:
    """How many octets of JSON each platform's device is given, FCM's own additions aside."""
    shown, data = whole["notification"], whole["data"]
    alert = {"title": shown.get("title"), "body": shown["body"]}
    return {
        platform: len(json.dumps(octets, ensure_ascii=False, separators=(",", ":")).encode())
        for platform, octets in {
            "android": {"notification": {**shown, **whole["android"]["notification"]}, "data": data},
            "apple": {"aps": {"alert": alert, **whole["apns"]["payload"]["aps"]}, **data},
            "browser": {"notification": {**shown, **whole["webpush"]["notification"]}, "data": data},
        }.items()
    }


# ── Addresses ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "address", ["token:eXa:APA91-_x", "fid:cRZ_u0-9", "token:fid:x", "token:x-unregistered"]
)
def test_both_kinds_of_address_are_taken_as_they_are(address: str) -> None:
    assert check_address("fcm", address) == address


@pytest.mark.parametrize(
    "address",
    ["", "token:", "fid:", "eXa:APA91", "token:a b", "token:a\n", "token:ä", "fid:a:b", "fid:".ljust(1_029, "a")],
)  # fmt: skip
def test_what_cannot_be_an_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidAddress, match="an FCM address is"):
        check_address("fcm", address)


@given(st.sampled_from(["token", "fid"]), st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1))
def test_an_address_is_one_member_of_the_message_whatever_it_holds(kind: str, value: str) -> None:
    start, end = encode_request(push(), NOW)
    whole = json.loads(start + encode_target(f"{kind}:{value}") + end)
    assert whole.keys() == {"message"}
    assert whole["message"].pop(kind) == value
    assert whole["message"] == json.loads(encode_message(push(), NOW))


def test_a_validation_says_so() -> None:
    start, end = encode_request(push(), NOW, only_validate=True)
    assert json.loads(start + encode_target("token:x") + end)["validate_only"] is True


# ── The message ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_reads_as_google_documents_it() -> None:
    content = Content(
        "Check it out", "🎉 New", "jig", "view", {"promo-code": "x-3654", "price": 34, "deep": [1.5]}
    )
    options = Options(
        badge=3, sound="bell", category="offers", thread="promotions", image_url="https://example.com/i.png",
        android_channel="sales", interruption=Interruption.TIME_SENSITIVE, collapse_key="offer-1",
    )  # fmt: skip
    assert message(content, options=options, solution=SOLUTION) == {
        "notification": {"title": "🎉 New", "body": "Check it out", "image": "https://example.com/i.png"},
        "data": {
            "notificationId": str(NOTIFICATION),
            "organizationId": str(ORGANIZATION),
            "solutionId": str(SOLUTION),
            "screen": "jig",
            "jigId": "view",
            "imageUrl": "https://example.com/i.png",
            "inputs": '{"promo-code":"x-3654","price":34,"deep":[1.5]}',
        },
        "android": {
            "priority": "HIGH",
            "ttl": "60s",
            "notification": {
                "tag": "offer-1",
                "sound": "bell",
                "channel_id": "sales",
                "notification_count": 3,
                "notification_priority": "PRIORITY_HIGH",
            },
        },
        "apns": {
            "headers": {
                "apns-push-type": "alert",
                "apns-priority": "10",
                "apns-expiration": "1750000060",
                "apns-collapse-id": "offer-1",
            },
            "payload": {
                "aps": {
                    "sound": "bell",
                    "badge": 3,
                    "category": "offers",
                    "thread-id": "promotions",
                    "interruption-level": "time-sensitive",
                    "mutable-content": 1,
                }
            },
        },
        "webpush": {
            "headers": {"TTL": "60", "Urgency": "high", "Topic": "offer-1"},
            "notification": {"tag": "offer-1"},
        },
    }


def test_what_was_not_asked_for_is_not_in_the_message() -> None:
    whole = message()
    assert whole["notification"] == {"body": "Hello"}
    assert whole["data"].keys() == {"notificationId", "organizationId", "screen", "inputs"}
    assert whole["android"]["notification"] == {"tag": str(NOTIFICATION), "sound": "default"}
    assert whole["apns"]["payload"] == {"aps": {"sound": "default"}}
    assert whole["webpush"]["headers"]["Topic"] == NOTIFICATION.hex


def test_there_is_never_a_collapse_key_of_which_a_device_keeps_only_four() -> None:
    for key in (None, "offer-1"):
        assert b"collapse_key" not in encode_message(push(options=Options(collapse_key=key)), NOW)


def test_a_normal_priority_lets_every_platform_save_power() -> None:
    whole = message(options=Options(priority=Priority.NORMAL))
    assert whole["android"]["priority"] == "NORMAL"
    assert whole["apns"]["headers"]["apns-priority"] == "5"
    assert whole["webpush"]["headers"]["Urgency"] == "normal"


def test_a_badge_of_zero_clears_on_iphones_and_means_nothing_to_android() -> None:
    whole = message(options=Options(badge=0))
    assert whole["apns"]["payload"]["aps"]["badge"] == 0
    assert "notification_count" not in whole["android"]["notification"]


@pytest.mark.parametrize(
    ("options", "priority", "level"),
    [
        (Options(interruption=Interruption.PASSIVE), "PRIORITY_LOW", "passive"),
        (Options(interruption=Interruption.ACTIVE), None, "active"),
        (Options(is_critical=True, interruption=Interruption.PASSIVE), "PRIORITY_MAX", "critical"),
    ],
)
def test_an_interruption_is_apples_level_and_old_androids_priority(
    options: Options, priority: str | None, level: str
) -> None:
    whole = message(options=options)
    assert whole["android"]["notification"].get("notification_priority") == priority
    assert whole["apns"]["payload"]["aps"]["interruption-level"] == level


@pytest.mark.parametrize(
    ("key", "topic"),
    [("a" * 32, "a" * 32), ("a" * 33, None), ("ä", None), ("a b", None), ("-_9", "-_9"), ("a\n", None)],
)
def test_a_collapse_key_is_a_topic_of_web_push_where_it_fits_and_its_digest_where_not(
    key: str, topic: str | None
) -> None:
    made = message(options=Options(collapse_key=key))["webpush"]["headers"]["Topic"]
    assert made == topic if topic else len(made) == 32
    assert made.isascii()


def test_a_withdrawal_takes_further_banners_along_each_with_its_tag() -> None:
    others = tuple(Banner(UUID(int=number), "k" * 64 if number & 1 else None) for number in range(1, 25))
    one = replace(push(), kind=PushKind.WITHDRAWAL, also=others)
    data = json.loads(encode_message(one, NOW))["data"]
    names, tags = json.loads(data["withdraw"]), json.loads(data["tags"])
    assert names == [str(NOTIFICATION), *(str(banner.notification) for banner in others)]
    assert tags[1:3] == ["k" * 64, str(UUID(int=2))]
    assert sum(len(key) + len(value) for key, value in data.items()) < 4_096


def test_a_withdrawal_is_data_alone_with_the_tag_that_the_banner_has() -> None:
    options = Options(collapse_key="offer-1", ttl_seconds=0)
    assert message(Content("secret"), kind=PushKind.WITHDRAWAL, options=options) == {
        "data": {"withdraw": f'["{NOTIFICATION}"]', "tags": '["offer-1"]'},
        "android": {"priority": "NORMAL", "ttl": "60s"},
        "apns": {
            "headers": {
                "apns-push-type": "background",
                "apns-priority": "5",
                "apns-expiration": "1750000060",
            },
            "payload": {"aps": {"content-available": 1}},
        },
        "webpush": {"headers": {"TTL": "60", "Urgency": "normal"}},
    }


# ── How long it may live ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "ttl"),
    [
        (NOW, 60),
        (NOW + 60_000, 0),
        (NOW + 59_500, 1),
        (NOW + 99_999_999, 0),
        (NOW - 10**13, MOST_TTL_SECONDS),
    ],
)
def test_a_push_lives_for_what_remains_of_its_time_at_sending(now: int, ttl: int) -> None:
    whole = message(now=now)
    assert whole["android"]["ttl"] == f"{ttl}s"
    assert whole["webpush"]["headers"]["TTL"] == str(ttl)


def test_a_time_to_live_of_zero_is_now_or_never_everywhere() -> None:
    whole = message(options=Options(ttl_seconds=0))
    assert whole["android"]["ttl"] == "0s"
    assert whole["apns"]["headers"]["apns-expiration"] == "0"
    assert whole["webpush"]["headers"]["TTL"] == "0"


# ── How much of it ───────────────────────────────────────────────────────────────────────────────────────


@given(contents(1_200, 2_100), options, st.sampled_from([None, SOLUTION]))
def test_a_message_fits_whatever_the_api_takes_and_cuts_nothing_in_two(
    content: Content, options: Options, solution: UUID | None
) -> None:
    octets = encode_message(push(content, options=options, solution=solution), NOW)
    whole = json.loads(octets.decode("utf-8", "strict"))
    shown, data = whole["notification"], whole["data"]
    assert max(given_to_devices(whole).values()) <= MOST_OCTETS
    assert (shown["body"], shown.get("title")) == (content.text, content.title)
    assert all(type(value) is str for value in data.values())
    assert (data["screen"], data.get("jigId")) == (content.screen, content.jig)
    inputs = json.loads(data["inputs"])
    if "inputsOmitted" in data:
        assert (data["inputsOmitted"], inputs) == ("true", {})
        whole["data"] = {**data, "inputs": json.dumps(content.inputs, ensure_ascii=False)}
        whole["notification"] |= {"image": options.image_url} if options.image_url else {}
        assert max(given_to_devices(whole).values()) > MOST_OCTETS - RESERVED_OCTETS - 1_100
    else:
        assert repr(inputs) == repr(content.inputs)  # 34 stays 34, not 34.0 and not "34"


@pytest.mark.parametrize("character", ["\x01", "\\", '"', "🎉", "\u2028", "é", "a"])
def test_the_longest_that_the_api_takes_fits_without_its_inputs(character: str) -> None:
    content = Content(
        character * 200, character * 100, character * 50, character * 50, {"long": character * 5_000}
    )
    key = character * 64
    longest = Options(
        badge=1_000_000, sound=key, category=key, thread=key, collapse_key=key, image_url=IMAGE,
        android_channel=character * 100, interruption=Interruption.TIME_SENSITIVE, is_critical=True,
    )  # fmt: skip
    whole = message(content, options=longest, solution=SOLUTION)
    assert max(given_to_devices(whole).values()) <= MOST_OCTETS
    assert whole["data"]["inputsOmitted"] == "true"


def test_inputs_are_kept_to_the_last_octet_that_fits() -> None:
    def whole(size: int) -> dict[str, Any]:
        return message(Content("Hello", inputs={"long": "a" * size}))

    largest = MOST_OCTETS - RESERVED_OCTETS
    size = largest - max(given_to_devices(whole(0)).values())
    kept = max(n for n in range(size - 40, size + 40) if "inputsOmitted" not in whole(n)["data"])
    assert largest - 40 <= max(given_to_devices(whole(kept)).values()) <= largest
    assert whole(kept + 1)["data"]["inputsOmitted"] == "true"


def test_an_image_is_left_out_only_when_the_words_would_not_fit_beside_it() -> None:
    assert message(options=Options(image_url=IMAGE))["notification"]["image"] == IMAGE
    longest = Content("\x01" * 200, "\x01" * 100, "\x01" * 50, "\x01" * 50, {"price": 34})
    whole = message(
        longest, options=Options(image_url=IMAGE, sound="\x01" * 64, android_channel="\x01" * 100)
    )
    assert "image" not in whole["notification"]
    assert "imageUrl" not in whole["data"]

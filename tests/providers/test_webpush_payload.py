"""What a Web Push says: the JSON within every limit, the link that opens the jig, the headers."""

import base64
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.delivery import PushKind
from clarion.model.notification import Content, Interruption, Options, Priority
from clarion.model.push import Push
from clarion.providers.webpush_payload import encode_headers, encode_payload, most_octets, topic
from clarion.providers.webpush_vapid import WebPushSettings
from tests.providers.strategies import contents, keys, options

NOTIFICATION, ORGANIZATION, SOLUTION = uuid4(), uuid4(), uuid4()
NOW = 1_750_000_000_000
SETTINGS = WebPushSettings("mailto:push@example.com", "https://app.example.com/")
LONGEST_URL = f"https://app.example.com/{'x' * 276}"
LIMITS = [2700, 3993]


def push(content: Content | None = None, **parts: Any) -> Push:
    usual = Push(
        1, NOTIFICATION, ORGANIZATION, None, content or Content("Hello"), Options(), PushKind.ALERT, NOW + 60_500
    )  # fmt: skip
    return replace(usual, **parts)


def payload(one: Push, settings: WebPushSettings = SETTINGS, limit: int = 3993) -> dict[str, Any]:
    octets = encode_payload(one, settings, limit)
    assert len(octets) <= limit
    read: dict[str, Any] = json.loads(octets.decode("utf-8", "strict"))
    return read


# ── The message ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_declarative_and_carries_the_object() -> None:
    content = Content(
        "Check it out", "🎉 New", "jig", "view-promotion", {"promo-code": "x-3654", "price": 34}
    )
    options = Options(badge=3, interruption=Interruption.PASSIVE, image_url="https://example.com/picture.png")
    settings = replace(SETTINGS, icon="https://app.example.com/icon.png")
    told = payload(push(content, options=options, solution=SOLUTION), settings)
    link = urlsplit(told["notification"].pop("navigate"))
    assert told == {
        "web_push": 8030,
        "notification": {
            "title": "🎉 New",
            "body": "Check it out",
            "icon": "https://app.example.com/icon.png",
            "silent": True,
            "tag": str(NOTIFICATION),
            "data": {"notificationId": str(NOTIFICATION)},
        },
        "app_badge": 3,
        "mutable": True,
        "clarion": {
            "notificationId": str(NOTIFICATION),
            "organizationId": str(ORGANIZATION),
            "solutionId": str(SOLUTION),
            "screen": "jig",
            "jigId": "view-promotion",
            "imageUrl": "https://example.com/picture.png",
            "inputs": {"promo-code": "x-3654", "price": 34},
        },
    }
    assert f"{link.scheme}://{link.netloc}{link.path}" == SETTINGS.app_url
    assert parse_qs(link.query) == {
        "notificationId": [str(NOTIFICATION)],
        "organizationId": [str(ORGANIZATION)],
        "screen": ["jig"],
        "jigId": ["view-promotion"],
    }


def test_what_was_not_asked_for_is_not_in_the_message() -> None:
    told = payload(push(Content("Hello", "Title")))
    assert told.keys() == {"web_push", "notification", "mutable", "clarion"}
    assert told["notification"].keys() == {"title", "body", "navigate", "tag", "data"}
    assert "jigId" not in parse_qs(urlsplit(told["notification"]["navigate"]).query)


@pytest.mark.parametrize("title", [None, ""])
def test_without_a_title_the_text_is_the_title_because_there_must_be_one(title: str | None) -> None:
    notification = payload(push(Content("Hello", title)))["notification"]
    assert notification["title"] == "Hello"
    assert "body" not in notification


def test_without_any_words_the_app_is_named() -> None:
    assert payload(push(Content("")))["notification"]["title"] == "app.example.com"


def test_a_badge_of_zero_is_sent_because_it_clears() -> None:
    assert payload(push(options=Options(badge=0)))["app_badge"] == 0


@pytest.mark.parametrize(
    ("url", "beginning", "end"),
    [
        ("https://app.example.com", "https://app.example.com?notificationId=", ""),
        ("https://app.example.com/?a=b", "https://app.example.com/?a=b&notificationId=", ""),
        ("https://app.example.com/?", "https://app.example.com/?notificationId=", ""),
        ("https://app.example.com/?a=b&", "https://app.example.com/?a=b&notificationId=", ""),
        ("https://app.example.com/#/home?x", "https://app.example.com/?notificationId=", "#/home?x"),
        ("https://app.example.com/?a=%2F#top", "https://app.example.com/?a=%2F&notificationId=", "#top"),
    ],
)
def test_a_link_keeps_what_the_apps_url_brings(url: str, beginning: str, end: str) -> None:
    link = payload(push(), replace(SETTINGS, app_url=url))["notification"]["navigate"]
    assert link.startswith(beginning)
    assert link.endswith(end)


apps = st.builds(
    WebPushSettings,
    subject=st.just("mailto:push@example.com"),
    app_url=st.sampled_from([SETTINGS.app_url, LONGEST_URL]),
    icon=st.none() | st.just(LONGEST_URL),
)


@given(contents(900, 2_000), options, apps, st.sampled_from([None, SOLUTION]), st.sampled_from(LIMITS))
def test_a_message_fits_whatever_the_api_takes_and_cuts_nothing_in_two(
    content: Content, options: Options, app: WebPushSettings, solution: UUID | None, limit: int
) -> None:
    told = payload(push(content, options=options, solution=solution), app, limit)
    notification, clarion = told["notification"], told["clarion"]
    assert notification["title"]
    query = parse_qs(urlsplit(notification["navigate"]).query)
    assert query["notificationId"] == [str(NOTIFICATION)]
    assert (clarion["screen"], clarion.get("jigId")) == (content.screen, content.jig)
    shown = notification.get("body", "") if content.title else notification["title"]
    assert shown == content.text or not content.text or content.text.startswith(shown.removesuffix("…"))
    if clarion.get("inputsOmitted"):
        assert clarion["inputs"] == {}
    else:
        assert repr(clarion["inputs"]) == repr(content.inputs)
        assert shown == content.text or not content.text


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("character", ["\x01", "\\", '"', "🎉", "\u2028", "é", "a"])
def test_the_longest_that_the_api_takes_fits_every_service(character: str, limit: int) -> None:
    content = Content(
        character * 200, character * 100, character * 50, character * 50, {"x": character * 5_000}
    )
    longest = Options(badge=1_000_000, collapse_key='"' * 64, image_url=f"https://example.com/{'x' * 1_000}")
    settings = replace(SETTINGS, app_url=LONGEST_URL, icon=LONGEST_URL)
    told = payload(push(content, options=longest, solution=SOLUTION), settings, limit)
    assert told["clarion"]["inputsOmitted"] is True
    assert told["notification"]["title"] == character * 100
    shown = told["notification"]["body"].removesuffix("…")
    assert content.text.startswith(shown)
    if limit == 3993:
        assert shown == content.text


def test_a_shortened_text_is_as_long_as_fits() -> None:
    content = Content("é" * 200, "\x01" * 100, "\x01" * 50, "\x01" * 50)
    settings = replace(SETTINGS, app_url=LONGEST_URL)
    octets = encode_payload(push(content, solution=SOLUTION), settings, 2100)
    body = json.loads(octets)["notification"]["body"]
    assert body == "é" * (len(body) - 1) + "…"
    assert 2100 - 2 < len(octets) <= 2100


def test_inputs_are_kept_to_the_last_octet_that_fits() -> None:
    def one(size: int) -> Push:
        return push(Content("Hello", inputs={"long": "a" * size}))

    size = 3993 - len(encode_payload(one(0), SETTINGS, 3993))
    assert "inputsOmitted" not in payload(one(size))["clarion"]
    assert payload(one(size + 1))["clarion"]["inputsOmitted"] is True


@pytest.mark.parametrize(
    ("host", "most"),
    [
        ("updates.push.services.mozilla.com", 2700),
        ("push.services.mozilla.com", 2700),
        ("badpush.services.mozilla.com", 3993),
        ("push.services.mozilla.com.example.com", 3993),
        ("fcm.googleapis.com", 3993),
        ("web.push.apple.com", 3993),
    ],
)
def test_each_service_has_its_limit(host: str, most: int) -> None:
    assert most_octets(host) == most


# ── The headers ──────────────────────────────────────────────────────────────────────────────────────────


def headers(one: Push, host: str = "push.example.com", now: int = NOW) -> dict[str, str]:
    listed = encode_headers(one, host, "vapid t=t,k=k", now)
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def test_a_push_has_the_headers_of_the_standard() -> None:
    assert headers(push()) == {
        "authorization": "vapid t=t,k=k",
        "ttl": "60",
        "urgency": "high",
        "topic": topic(push()),
        "content-encoding": "aes128gcm",
        "content-type": "application/notification+json",
    }


def test_a_normal_priority_lets_the_device_save_power() -> None:
    assert headers(push(options=Options(priority=Priority.NORMAL)))["urgency"] == "normal"


@pytest.mark.parametrize(
    ("ttl", "left_ms", "sent"),
    [
        (60, 60_000, "60"),
        (60, 1_999, "1"),
        (60, 10, "1"),
        (60, -5_000, "1"),
        (0, 0, "0"),
        (0, 60_000, "0"),
        (90 * 24 * 3600, 90 * 24 * 3_600_000, str(28 * 24 * 3600)),
    ],
)
def test_the_time_to_live_is_what_is_left_of_it(ttl: int, left_ms: int, sent: str) -> None:
    one = push(options=Options(ttl_seconds=ttl), expires_at=NOW + left_ms)
    assert headers(one)["ttl"] == sent


@given(keys)
def test_a_topic_is_32_letters_and_the_same_for_the_same_collapse_key(key: str | None) -> None:
    made = topic(push(options=Options(collapse_key=key)))
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", made)
    assert len(base64.urlsafe_b64decode(made)) == 24
    assert made == topic(push(Content("another"), options=Options(collapse_key=key)))
    assert (made == topic(push())) == (key is None)


@pytest.mark.parametrize(("ttl", "policy"), [(60, "cache"), (0, "no-cache")])
def test_windows_is_told_a_cache_policy_that_agrees_with_the_time_to_live(ttl: int, policy: str) -> None:
    one = push(options=Options(ttl_seconds=ttl))
    assert headers(one, "wns2-par02p.notify.windows.com")["x-wns-cache-policy"] == policy
    assert "x-wns-cache-policy" not in headers(one, "notify.windows.com.example.com")

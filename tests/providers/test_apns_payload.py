"""What Apple is sent: the payload and the headers."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.model.delivery import PushKind
from clarion.model.notification import Content, Interruption, Options, Priority
from clarion.model.push import Banner, Push
from clarion.providers.apns_payload import MOST_OCTETS, encode_headers, encode_payload
from clarion.providers.payload import collapse_id
from tests.providers.apple import NOTIFICATION, ORGANIZATION, SOLUTION, TOPIC, push
from tests.providers.strategies import contents, keys, options


@given(contents(1_500, 2_100), options, st.sampled_from([None, SOLUTION]))
def test_a_payload_fits_whatever_the_api_takes_and_cuts_nothing_in_two(
    content: Content, options: Options, solution: UUID | None
) -> None:
    octets = encode_payload(push(content, options=options, solution=solution))
    assert len(octets) <= MOST_OCTETS
    payload = json.loads(octets.decode("utf-8", "strict"))
    alert, told = payload["aps"]["alert"], payload["clarion"]
    assert (alert["body"], alert.get("title")) == (content.text, content.title)
    assert told["notificationId"] == str(NOTIFICATION)
    assert (told["screen"], told.get("jigId")) == (content.screen, content.jig)
    assert told.get("solutionId") == (solution and str(solution))
    if told.get("inputsOmitted"):
        assert told["inputs"] == {}
        del told["inputsOmitted"]
        told |= {"inputs": content.inputs} | ({"imageUrl": options.image_url} if options.image_url else {})
        assert len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) > MOST_OCTETS
    else:
        assert repr(told["inputs"]) == repr(content.inputs)  # 34 stays 34, not 34.0 and not "34"
        assert told.get("imageUrl") == options.image_url


@pytest.mark.parametrize("character", ["\x01", "\\", '"', "🎉", "\u2028", "é", "a"])
def test_the_longest_that_the_api_takes_fits_without_its_inputs(character: str) -> None:
    content = Content(
        character * 200, character * 100, character * 50, character * 50, {"long": character * 5_000}
    )
    key = character * 64
    longest = Options(
        badge=1_000_000,
        sound=key,
        category=key,
        thread=key,
        collapse_key=key,
        image_url="https://example.com/".ljust(1_000, "i"),
        interruption=Interruption.TIME_SENSITIVE,
        is_critical=True,
    )
    octets = encode_payload(push(content, options=longest, solution=SOLUTION))
    assert len(octets) <= MOST_OCTETS
    assert json.loads(octets)["clarion"]["inputsOmitted"] is True


def test_inputs_are_kept_to_the_last_octet_that_fits() -> None:
    def payload(size: int) -> bytes:
        return encode_payload(push(Content("Hello", inputs={"long": "a" * size})))

    size = MOST_OCTETS - len(payload(0))
    assert len(payload(size)) == MOST_OCTETS
    assert "inputsOmitted" not in json.loads(payload(size))["clarion"]
    assert json.loads(payload(size + 1))["clarion"]["inputsOmitted"] is True


def test_a_payload_reads_as_apple_documents_it() -> None:
    content = Content(
        "Check it out", "🎉 New", "jig", "view-promotion", {"promo-code": "x-3654", "price": 34}
    )
    options = Options(badge=3, sound="bell.caf", category="offers", thread="promotions")
    assert json.loads(encode_payload(push(content, options=options, solution=SOLUTION))) == {
        "aps": {
            "alert": {"title": "🎉 New", "body": "Check it out"},
            "sound": "bell.caf",
            "badge": 3,
            "category": "offers",
            "thread-id": "promotions",
        },
        "clarion": {
            "notificationId": str(NOTIFICATION),
            "organizationId": str(ORGANIZATION),
            "solutionId": str(SOLUTION),
            "screen": "jig",
            "jigId": "view-promotion",
            "inputs": {"promo-code": "x-3654", "price": 34},
        },
    }


def test_what_was_not_asked_for_is_not_in_the_payload() -> None:
    payload = json.loads(encode_payload(push()))
    assert payload["aps"] == {"alert": {"body": "Hello"}, "sound": "default"}
    assert payload["clarion"].keys() == {"notificationId", "organizationId", "screen", "inputs"}


def aps(options: Options) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_payload(push(options=options)))["aps"]
    return found


def test_an_image_is_for_the_apps_service_extension_to_fetch() -> None:
    payload = json.loads(encode_payload(push(options=Options(image_url="https://example.com/i.png"))))
    assert payload["aps"]["mutable-content"] == 1
    assert payload["clarion"]["imageUrl"] == "https://example.com/i.png"


def test_an_image_that_does_not_fit_is_left_out_after_the_inputs() -> None:
    url = "https://example.com/".ljust(1_000, "i")
    content = Content("\x01" * 200, "\x01" * 100, "\x01" * 50, "\x01" * 50, {"a": 1})
    key = "\x01" * 64
    crowded = Options(image_url=url, sound=key, category=key, thread=key)
    told = json.loads(encode_payload(push(content, options=crowded)))["clarion"]
    assert (told["inputsOmitted"], "imageUrl" in told) == (True, False)
    assert json.loads(encode_payload(push(options=crowded)))["clarion"]["imageUrl"] == url


@pytest.mark.parametrize("level", Interruption)
def test_how_far_a_banner_may_intrude_is_in_apples_words(level: Interruption) -> None:
    assert aps(Options(interruption=level))["interruption-level"] == level.value


def test_a_critical_alert_sounds_also_when_the_device_is_silent() -> None:
    critical = aps(Options(is_critical=True, interruption=Interruption.PASSIVE))
    assert critical["interruption-level"] == "critical"
    assert critical["sound"] == {"critical": 1, "name": "default", "volume": 1.0}
    assert aps(Options(is_critical=True, sound="siren.caf"))["sound"]["name"] == "siren.caf"


def test_a_badge_of_zero_is_sent_because_it_clears() -> None:
    assert json.loads(encode_payload(push(options=Options(badge=0))))["aps"]["badge"] == 0


def test_a_withdrawal_is_silent_and_names_the_notification() -> None:
    payload = json.loads(encode_payload(push(Content("secret"), kind=PushKind.WITHDRAWAL)))
    assert payload == {"aps": {"content-available": 1}, "clarion": {"withdraw": [str(NOTIFICATION)]}}


def test_a_withdrawal_takes_further_banners_along() -> None:
    one = replace(push(kind=PushKind.WITHDRAWAL), also=(Banner(UUID(int=7), "offer"),))
    told = json.loads(encode_payload(one))["clarion"]
    assert told == {"withdraw": [str(NOTIFICATION), str(UUID(int=7))]}


# ── The headers ─────────────────────────────────────────────────────────────────────────────────────────────


def headers(one: Push) -> dict[str, str]:
    listed = encode_headers(one, TOPIC)
    assert len(dict(listed)) == len(listed)
    return dict(listed)


def test_an_alert_has_the_headers_that_apple_asks_for() -> None:
    assert headers(push()) == {
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "1750000060",
        "apns-collapse-id": str(NOTIFICATION),
    }


def test_a_normal_priority_lets_the_device_save_power() -> None:
    assert headers(push(options=Options(priority=Priority.NORMAL)))["apns-priority"] == "5"


def test_a_withdrawal_is_a_background_push_of_low_priority_that_replaces_nothing() -> None:
    sent = headers(push(kind=PushKind.WITHDRAWAL))
    assert (sent["apns-push-type"], sent["apns-priority"]) == ("background", "5")
    assert "apns-collapse-id" not in sent


@given(keys)
def test_a_collapse_id_is_at_most_64_octets_of_ascii_and_the_same_for_the_same_key(key: str | None) -> None:
    made = collapse_id(push(options=Options(collapse_key=key)))
    assert 0 < len(made.encode("ascii")) <= 64
    assert made.isprintable()
    assert " " not in made
    assert made == collapse_id(push(Content("another"), options=Options(collapse_key=key)))


@given(st.lists(keys.filter(bool), min_size=2, max_size=2, unique=True))
def test_two_keys_never_collapse_into_one(two: list[str]) -> None:
    ids = {collapse_id(push(options=Options(collapse_key=key))) for key in two}
    assert len(ids) == 2


def test_a_key_that_fits_is_sent_as_it_is() -> None:
    assert collapse_id(push(options=Options(collapse_key="a" * 64))) == "a" * 64

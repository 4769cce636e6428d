"""The rules of the stand-in for Apple, without sockets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from clarion.sandbox.apns_rules import SUFFIXES, Authority, authorize, check_path, judge
from clarion.sandbox.apns_token import Claims
from clarion.sandbox.conversation import Request
from clarion.sandbox.push import Alert, Push, Refused, Verdict
from clarion.sandbox.registry import Phone, Registry, registry_of

from .apple import KEY_ID, TEAM, TOKEN, TOPIC, Signer, b64

NOW = 1_800_000_000
ALERT = {"aps": {"alert": {"title": "Hello", "body": "World"}}}
CLAIMS = Claims(TEAM, KEY_ID, NOW)


def make(
    payload: object = ALERT, *, token: str = TOKEN, body: bytes | None = None, **headers: Any
) -> Request:
    given = {"apns_topic": TOPIC, "apns_push_type": "alert", **headers}
    named = tuple((name.replace("_", "-"), value) for name, value in given.items() if value is not None)
    octets = json.dumps(payload).encode() if body is None else body
    return Request("POST", f"/3/device/{token}", "localhost", named, octets, len(octets))


@pytest.fixture
def registry(signer: Signer) -> Registry:
    return registry_of([signer.public(TOPIC, "com.example.second")], [Phone(TOKEN, TOPIC)])


def verdict(request: Request, registry: Registry) -> Verdict:
    return judge(request, registry, CLAIMS)


def payload_of(octets: int) -> bytes:
    empty = json.dumps({"aps": {}, "x": ""}).encode()
    return json.dumps({"aps": {}, "x": "x" * (octets - len(empty))}).encode()


REFUSALS: dict[str, tuple[Request, int, str]] = {
    "no topic": (make(apns_topic=None), 400, "MissingTopic"),
    "an empty topic": (make(apns_topic=""), 400, "MissingTopic"),
    "a topic that is no bundle id": (make(apns_topic="com example"), 400, "BadTopic"),
    "a topic without the suffix of its type": (make(apns_push_type="voip"), 400, "BadTopic"),
    "a topic of another key": (make(apns_topic="com.example.other"), 400, "TopicDisallowed"),
    "a token of another topic": (make(apns_topic="com.example.second"), 400, "DeviceTokenNotForTopic"),
    "an unknown push type": (make(apns_push_type="loud"), 400, "InvalidPushType"),
    "priority 7": (make(apns_priority="7"), 400, "BadPriority"),
    "an empty priority": (make(apns_priority=""), 400, "BadPriority"),
    "background at 10": (make(apns_push_type="background", apns_priority="10"), 400, "BadPriority"),
    "background at the default": (make(apns_push_type="background"), 400, "BadPriority"),
    "expiration in words": (make(apns_expiration="tomorrow"), 400, "BadExpirationDate"),
    "a negative expiration": (make(apns_expiration="-1"), 400, "BadExpirationDate"),
    "expiration in milliseconds": (make(apns_expiration=f"{NOW}000"), 400, "BadExpirationDate"),
    "a collapse id of 65 octets": (make(apns_collapse_id="x" * 65), 400, "BadCollapseId"),
    "a collapse id of 33 umlauts": (make(apns_collapse_id="ü" * 33), 400, "BadCollapseId"),
    "an upper-case id": (make(apns_id="ABCDEF01-2345-4789-8BCD-EF0123456789"), 400, "BadMessageId"),
    "an id without dashes": (make(apns_id="abcdef01234547898bcdef0123456789"), 400, "BadMessageId"),
    "an odd number of digits": (make(token="abc"), 400, "BadDeviceToken"),
    "a token that is not hex": (make(token="zz" * 32), 400, "BadDeviceToken"),
    "4097 octets": (make(body=payload_of(4097)), 413, "PayloadTooLarge"),
    "no payload": (make(body=b""), 400, "PayloadEmpty"),
    "no JSON": (make(body=b"{"), 400, "PayloadEmpty"),
    "JSON nested without end": (make(body=b"[" * 4000), 400, "PayloadEmpty"),
    "a payload that is a list": (make([]), 400, "PayloadEmpty"),
    "a payload without aps": (make({"clarion": {}}), 400, "PayloadEmpty"),
    "aps that is a text": (make({"aps": "x"}), 400, "PayloadEmpty"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_apple_refuses(case: str, registry: Registry) -> None:
    request, status, reason = REFUSALS[case]
    assert verdict(request, registry) == Refused(status, reason)


ACCEPTED: dict[str, Request] = {
    "an ordinary alert": make(),
    "no push type": make(apns_push_type=None),
    "every header at its limit": make(
        apns_priority="1",
        apns_expiration="4294967295",
        apns_collapse_id="ü" * 32,
        apns_id="abcdef01-2345-4789-8bcd-ef0123456789",
    ),
    "one attempt": make(apns_expiration="0"),
    "4096 octets": make(body=payload_of(4096)),
    "an unknown token": make(token="0123"),
    "upper-case hex": make(token=TOKEN.upper()),
    "background at 5": make(apns_push_type="background", apns_priority="5"),
    "5120 octets of VoIP": make(body=payload_of(5120), apns_push_type="voip", apns_topic=f"{TOPIC}.voip"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_apple_accepts(case: str, registry: Registry) -> None:
    assert isinstance(verdict(ACCEPTED[case], registry), Push)


@pytest.mark.parametrize("push_type", SUFFIXES)
def test_every_push_type_has_its_topic(push_type: str, registry: Registry) -> None:
    request = make(apns_push_type=push_type, apns_topic=TOPIC + SUFFIXES[push_type], apns_priority="5")
    assert isinstance(verdict(request, registry), Push)


@pytest.mark.parametrize("name", ["apns-topic", "apns-id", "apns-priority", "authorization"])
def test_a_header_that_comes_twice_is_refused(name: str, registry: Registry) -> None:
    request = make()
    request = replace(request, headers=(*request.headers, (name, "a"), (name, "a")))
    assert verdict(request, registry) == Refused(400, "DuplicateHeaders")


def test_a_foreign_header_may_come_twice(registry: Registry) -> None:
    request = make()
    assert isinstance(
        verdict(replace(request, headers=(*request.headers, ("x", "1"), ("x", "2"))), registry), Push
    )


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/3/device/abcd", None),
        ("GET", "/3/device/abcd", Refused(405, "MethodNotAllowed")),
        ("POST", "/3/device/", Refused(400, "MissingDeviceToken")),
        ("POST", "/3/devices/abcd", Refused(404, "BadPath")),
        ("POST", "/3/device/abcd/ef", Refused(404, "BadPath")),
        ("POST", "/", Refused(404, "BadPath")),
    ],
)
def test_only_a_post_for_a_device_gets_further(method: str, path: str, expected: Refused | None) -> None:
    assert check_path(Request(method, path, "localhost", (), b"", 0)) == expected


# --- who asks ---


def asked(
    authorization: str | None, registry: Registry, before: Authority | None = None, now: float = NOW
) -> object:
    result = authorize(make(authorization=authorization), registry, before, now)
    return result.reason if isinstance(result, Refused) else "ok"


def test_a_token_holds_for_an_hour(signer: Signer, registry: Registry) -> None:
    authorization = f"bearer {signer.token(NOW)}"
    assert asked(authorization, registry) == "ok"
    assert asked(authorization, registry, now=NOW + 3600) == "ok"
    assert asked(authorization, registry, now=NOW + 3601) == "ExpiredProviderToken"


def test_a_token_from_the_future_is_invalid(signer: Signer, registry: Registry) -> None:
    assert asked(f"bearer {signer.token(NOW + 3600)}", registry) == "ok"
    assert asked(f"bearer {signer.token(NOW + 3601)}", registry) == "InvalidProviderToken"


@pytest.mark.parametrize("authorization", [None, "", "bearer", "bearer ", "basic abc"])
def test_without_a_token_it_is_missing(authorization: str | None, registry: Registry) -> None:
    assert asked(authorization, registry) == "MissingProviderToken"


def test_the_scheme_may_be_written_in_capitals(signer: Signer, registry: Registry) -> None:
    assert asked(f"BEARER {signer.token(NOW)}", registry) == "ok"


def test_other_tokens_are_invalid(signer: Signer, registry: Registry) -> None:
    good = signer.token(NOW)
    head, claims, signature = good.split(".")
    later = b64(json.dumps({"iss": TEAM, "iat": NOW + 1}).encode())
    invalid = {
        "not a JWT": "abc",
        "not base64": f"{head}.ü.{signature}",
        "claims that are a list": f"{head}.{b64(b'[]')}.{signature}",
        "another algorithm": signer.token(NOW, alg="HS256"),
        "no algorithm": signer.token(NOW, alg="none"),
        "no key id": signer.token(NOW, kid=None),
        "an unknown key id": signer.token(NOW, kid="OTHERKEY99"),
        "iat in words": signer.token("now"),
        "iat as a truth": signer.token(True),
        "no signature": f"{head}.{claims}.",
        "a signature in DER": signer.token(NOW, raw=False),
        "another claim under the signature": f"{head}.{later}.{signature}",
        "a stranger's signature": Signer().token(NOW),
        "another team": Signer(team="OTHERTEAM9").token(NOW),
    }
    answers = {case: asked(f"bearer {token}", registry) for case, token in invalid.items()}
    assert answers == dict.fromkeys(invalid, "InvalidProviderToken")


def test_a_key_that_cannot_be_read_signs_nothing(signer: Signer) -> None:
    registry = registry_of([replace(signer.public(), public_key="rubbish")], [])
    assert asked(f"bearer {signer.token(NOW)}", registry) == "InvalidProviderToken"


def begun(signer: Signer, registry: Registry, iat: int) -> Authority:
    result = authorize(make(authorization=f"bearer {signer.token(iat)}"), registry, None, NOW)
    assert isinstance(result, Authority)
    return result


def test_a_connection_may_renew_its_token_after_twenty_minutes(signer: Signer, registry: Registry) -> None:
    before = begun(signer, registry, NOW - 1200)
    assert asked(f"bearer {signer.token(NOW)}", registry, before) == "ok"


def test_a_second_token_made_within_twenty_minutes_is_refused(signer: Signer, registry: Registry) -> None:
    before = begun(signer, registry, NOW - 1199)
    assert asked(f"bearer {signer.token(NOW)}", registry, before) == "TooManyProviderTokenUpdates"
    assert asked(f"bearer {before.token}", registry, before) == "ok"


def test_two_renewals_within_twenty_minutes_are_refused(signer: Signer, registry: Registry) -> None:
    renewed = replace(begun(signer, registry, NOW - 3000), renewed_at=NOW - 60)
    assert asked(f"bearer {signer.token(NOW)}", registry, renewed) == "TooManyProviderTokenUpdates"


def test_a_connection_stays_with_its_team_and_key(signer: Signer) -> None:
    sibling, stranger = Signer(key_id="KEY2222222"), Signer(team="TEAM222222")
    registry = registry_of([signer.public(), sibling.public(), stranger.public()], [])
    before = begun(signer, registry, NOW - 1800)
    assert asked(f"bearer {sibling.token(NOW)}", registry, before) == "UnrelatedKeyIdInToken"
    assert asked(f"bearer {stranger.token(NOW)}", registry, before) == "InvalidProviderToken"


# --- what an accepted push means ---


def accepted(registry: Registry, payload: object, **headers: Any) -> Push:
    push = verdict(make(payload, **headers), registry)
    assert isinstance(push, Push)
    return push


def test_the_banner_is_read_from_the_alert(registry: Registry) -> None:
    alert = {"title": "🎉", "subtitle": "S", "body": "مرحبا"}
    push = accepted(
        registry, {"aps": {"alert": alert, "badge": 3}, "clarion": {"screen": "jig"}}, apns_collapse_id="c"
    )
    assert push.alert == Alert("🎉", "S", "مرحبا")
    assert (push.badge, push.collapse_id, push.app, push.advice) == (3, "c", {"screen": "jig"}, "")


def test_a_text_is_the_body_and_a_key_for_translation_is_shown_as_it_is(registry: Registry) -> None:
    assert accepted(registry, {"aps": {"alert": "Hi"}}).alert == Alert(text="Hi")
    assert accepted(registry, {"aps": {"alert": {"loc-key": "GREETING"}}}).alert == Alert(text="GREETING")
    assert accepted(registry, {"aps": {"alert": {"title": {"loc-key": "T"}}}}).alert == Alert(
        '{"loc-key": "T"}'
    )


def test_a_withdrawal_is_read_only_from_a_background_push(registry: Registry) -> None:
    payload = {"aps": {"content-available": 1}, "clarion": {"withdraw": ["n-1"]}}
    quiet = accepted(registry, payload, apns_push_type="background", apns_priority="5")
    assert (quiet.withdraw, quiet.alert, quiet.advice) == (("n-1",), None, "")
    assert accepted(registry, payload).withdraw == ()


@pytest.mark.parametrize(
    ("payload", "headers", "expected"),
    [
        ({"aps": {}}, {}, "no alert, badge or sound"),
        ({"aps": {}}, {"apns_push_type": "background", "apns_priority": "5"}, "content-available is not 1"),
        (
            {"aps": {"content-available": 1, "sound": "x"}},
            {"apns_push_type": "background", "apns_priority": "5"},
            "ignored in a background push",
        ),
    ],
)
def test_advice_says_why_a_device_would_do_nothing(
    payload: object, headers: dict[str, str], expected: str, registry: Registry
) -> None:
    assert expected in accepted(registry, payload, **headers).advice

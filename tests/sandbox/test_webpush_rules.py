"""The rules of the stand-in for browsers' push services, without sockets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.sandbox.conversation import Request
from clarion.sandbox.push import Alert, Push, Refused, Verdict
from clarion.sandbox.registry import Registry, registry_of
from clarion.sandbox.subscriptions import subscribe
from clarion.sandbox.webpush_rules import judge

from .browser import DECLARATIVE, NOTIFICATION, SERVICE, SITE, Vapid, b64, encrypt, point, sealed

NOW = 1_800_000_000
DAY = 24 * 3600


class Scene:
    """One subscription, and requests to it that are right unless told otherwise."""

    def __init__(self, vapid: Vapid, prefix: str = "") -> None:
        self.vapid = vapid
        content, phone = subscribe(SERVICE, SITE, vapid.public, prefix=prefix)
        self.path: str = content["endpoint"].removeprefix(SERVICE)
        self.keys: dict[str, str] = content["keys"]
        self.phone = replace(phone, former=("old",))
        self.registry = registry_of([], [self.phone])

    def request(self, content: Any = DECLARATIVE, *, body: bytes | None = None, **headers: Any) -> Request:
        octets = sealed(content, self.keys) if body is None else body
        usual = {
            "ttl": "60",
            "content_encoding": "aes128gcm",
            "authorization": self.vapid.authorization(NOW),
        }
        given = {**usual, **headers}
        named = tuple((name.replace("_", "-"), value) for name, value in given.items() if value is not None)
        return Request("POST", self.path, "localhost", named, octets, len(octets))

    def verdict(self, request: Request | None = None, registry: Registry | None = None) -> Verdict:
        return judge(request or self.request(), registry or self.registry, NOW)

    def accepted(self, content: Any = DECLARATIVE, **change: Any) -> Push:
        verdict = self.verdict(self.request(content, **change))
        assert isinstance(verdict, Push), verdict
        return verdict

    def refused(self, request: Request) -> tuple[int, int | None, str]:
        verdict = self.verdict(request)
        assert isinstance(verdict, Refused), verdict
        content = json.loads(verdict.body)
        assert content["code"] == verdict.status
        return verdict.status, content.get("errno"), content["message"]


@pytest.fixture
def scene(vapid: Vapid) -> Scene:
    return Scene(vapid)


def test_a_declarative_message_is_read_with_the_subscriptions_key(scene: Scene) -> None:
    notification = {**NOTIFICATION, "tag": "n-1"}
    push = scene.accepted(
        {
            "web_push": 8030,
            "notification": notification,
            "app_badge": 2,
            "clarion": {"notificationId": "n-1"},
        },
        topic="T" * 32,
        urgency="high",
    )
    assert (push.provider, push.token, push.topic) == ("webpush", scene.phone.token, SITE)
    assert (push.push_type, push.alert, push.badge) == ("high", Alert("Hello", text="World"), 2)
    assert (push.collapse_id, push.waits_as, push.expires_at) == ("n-1", "T" * 32, NOW + 60)
    assert push.app["notificationId"] == "n-1"
    assert push.advice == ""


# --- headers and the body's size ---

REFUSALS: dict[str, tuple[dict[str, Any], int, int | None]] = {
    "no TTL": ({"ttl": None}, 400, 111),
    "TTL in words": ({"ttl": "soon"}, 400, 112),
    "a negative TTL": ({"ttl": "-1"}, 400, 112),
    "a TTL with a fraction": ({"ttl": "1.5"}, 400, 112),
    "an unknown urgency": ({"urgency": "urgent"}, 400, None),
    "two urgencies in one": ({"urgency": "low, high"}, 400, None),
    "a topic of 33 characters": ({"topic": "T" * 33}, 400, 113),
    "a topic with padding": ({"topic": "abc="}, 400, 113),
    "an empty topic": ({"topic": ""}, 400, 113),
    "no encoding": ({"content_encoding": None}, 400, None),
    "the old encoding": ({"content_encoding": "aesgcm"}, 400, None),
    "compressed as well": ({"content_encoding": "aes128gcm, gzip"}, 400, None),
    "4097 octets": ({"body": bytes(4097)}, 413, 104),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_the_service_refuses(case: str, scene: Scene) -> None:
    headers, status, errno = REFUSALS[case]
    assert scene.refused(scene.request(**headers))[:2] == (status, errno)


@pytest.mark.parametrize(
    "headers",
    [
        {"ttl": "0"},
        {"ttl": "99999999"},
        {"urgency": "very-low"},
        {"topic": "a"},
        {"topic": "A-_9" * 8},
        {"body": b"", "content_encoding": None},
        {"body": bytes(4096)},
    ],
)
def test_the_service_accepts(headers: dict[str, Any], scene: Scene) -> None:
    scene.accepted(**headers)


def test_a_long_ttl_is_shortened_to_thirty_days(scene: Scene) -> None:
    assert scene.accepted(ttl="99999999").expires_at == NOW + 30 * DAY


@pytest.mark.parametrize("name", ["ttl", "topic", "urgency", "content-encoding", "authorization"])
def test_a_header_that_comes_twice_is_refused(name: str, scene: Scene) -> None:
    request = scene.request(topic="a", urgency="low")
    again = next(header for header in request.headers if header[0] == name)
    status, _, message = scene.refused(replace(request, headers=(*request.headers, again)))
    assert (status, message) == (400, f"{name} may come only once")


# --- the subscription ---


def test_other_paths_and_methods(scene: Scene) -> None:
    request = scene.request()
    assert scene.refused(replace(request, path="/push/unknown"))[:2] == (404, 102)
    assert scene.refused(replace(request, path="/push/"))[:2] == (404, 102)
    assert scene.refused(replace(request, path=f"{scene.path}/more"))[:2] == (404, 102)
    assert scene.refused(replace(request, path="/other"))[:2] == (404, 102)
    assert scene.refused(replace(request, path="/push/old"))[:2] == (410, 106)
    assert scene.refused(replace(request, method="GET"))[0] == 405


def test_a_phone_of_another_provider_is_no_subscription(scene: Scene) -> None:
    registry = registry_of([], [replace(scene.phone, provider="fcm", subscription=None)])
    verdict = scene.verdict(registry=registry)
    assert isinstance(verdict, Refused)
    assert verdict.status == 404


# --- who asks ---


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"aud": "https://localhost:8445"}, "aud must be https://localhost"),
        ({"aud": f"{SERVICE}/"}, "aud must be"),
        ({"aud": [SERVICE]}, "aud must be"),
        ({"aud": None}, "aud must be"),
        ({"exp": NOW}, "exp must be ahead"),
        ({"exp": NOW + DAY + 1}, "exp must be ahead"),
        ({"exp": None}, "exp must be a number"),
        ({"exp": True}, "exp must be a number"),
        ({"sub": None}, "sub must be"),
        ({"sub": "push@example.com"}, "sub must be"),
        ({"sub": "http://example.com"}, "sub must be"),
    ],
)
def test_a_token_is_refused(claims: dict[str, Any], expected: str, scene: Scene) -> None:
    payload = {"aud": SERVICE, "exp": NOW + 60, "sub": "mailto:push@example.com", **claims}
    whole = {name: value for name, value in payload.items() if value is not None}
    token = jwt.PyJWS().encode(json.dumps(whole).encode(), scene.vapid.key, "ES256")
    request = scene.request(authorization=f"vapid t={token}, k={scene.vapid.public}")
    status, errno, message = scene.refused(request)
    assert (status, errno) == (403, 109)
    assert expected in message


@pytest.mark.parametrize(
    "claims", [{"exp": NOW + DAY}, {"exp": NOW + 1.5}, {"sub": "https://example.com/"}, {"iat": NOW}]
)
def test_a_token_is_accepted(claims: dict[str, Any], scene: Scene) -> None:
    scene.accepted(authorization=scene.vapid.authorization(NOW, **claims))


def test_the_two_parts_may_stand_in_any_order_and_close_together(scene: Scene) -> None:
    token, key = scene.vapid.token(NOW), scene.vapid.public
    for spelling in (f"vapid k={key},t={token}", f"VAPID t={token} , k={key}"):
        scene.accepted(authorization=spelling)


def test_without_authorization_it_is_401(scene: Scene) -> None:
    assert scene.refused(scene.request(authorization=None))[:2] == (401, 109)


def test_other_authorizations_are_403(scene: Scene) -> None:
    token, key = scene.vapid.token(NOW), scene.vapid.public
    stranger = Vapid()
    spellings = [
        f"Bearer {token}",
        f"vapid t={token}",
        f"vapid k={key}",
        f"vapid t={token}, t={token}",
        f"vapid t={token}, k={key}=",
        f"vapid t={token}, k={key[:-4]}",
        f"vapid t={token}, k={b64(bytes(65))}",
        f"vapid t={token}, k={stranger.public}",
        f"vapid t={stranger.token(NOW)}, k={key}",
        f"vapid t={token[:-4]}, k={key}",
        f"vapid t=a.b.c, k={key}",
        stranger.authorization(NOW),
    ]
    assert [scene.refused(scene.request(authorization=one))[:2] for one in spellings] == [(403, 109)] * len(
        spellings
    )


def test_the_signing_key_must_not_encrypt_too(scene: Scene) -> None:
    body = encrypt(b"{}", scene.keys, sender=scene.vapid.key)
    assert scene.refused(scene.request(body=body))[0] == 400


# --- what only the browser sees ---


def test_what_a_browser_cannot_read_is_accepted_with_advice(scene: Scene) -> None:
    stranger = b64(point(ec.generate_private_key(ec.SECP256R1())))
    sealed_for_another = sealed(DECLARATIVE, {**scene.keys, "p256dh": stranger})
    cases = {
        "cannot decrypt": {"body": sealed_for_another},
        "a text of its own": {"body": b"", "content_encoding": None},
        "not declarative": {"content": {"title": "Hello"}},
        "notification.title": {"content": {"web_push": 8030, "notification": {"navigate": SITE}}},
    }
    for expected, change in cases.items():
        push = scene.accepted(**change)  # type: ignore[arg-type]
        assert push.alert is None
        assert expected in push.advice


def test_a_registry_that_holds_no_key_is_named(scene: Scene) -> None:
    assert scene.phone.subscription is not None
    for private_key in ("", "rubbish!", b64(bytes(32))):
        subscription = replace(scene.phone.subscription, private_key=private_key)
        registry = registry_of([], [replace(scene.phone, subscription=subscription)])
        push = scene.verdict(registry=registry)
        assert isinstance(push, Push)
        assert "private key" in push.advice


# --- Windows' service ---


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"ttl": "0"}, False),
        ({"ttl": "0", "x_wns_cache_policy": "cache"}, False),
        ({"ttl": "0", "x_wns_cache_policy": "no-cache"}, True),
        ({"ttl": "60"}, True),
        ({"ttl": "60", "x_wns_cache_policy": "cache"}, True),
    ],
)
def test_windows_does_not_cache_for_no_time(headers: dict[str, Any], accepted: bool, vapid: Vapid) -> None:
    scene = Scene(vapid, prefix="wns-")
    verdict = scene.verdict(scene.request(**headers))
    if accepted:
        assert isinstance(verdict, Push)
    else:
        assert isinstance(verdict, Refused)
        assert (verdict.status, verdict.body) == (400, b"")
        assert "TTL" in dict(verdict.headers)["x-wns-error-description"]

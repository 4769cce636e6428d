"""The rules of the stand-in for FCM, without sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clarion.sandbox.fcm_rules import Asked, address_of, authorize, judge, project_of
from clarion.sandbox.push import Alert, Push, Refused
from clarion.sandbox.registry import Phone, Project, Registry, registry_of

from .google import EMAIL, PACKAGE, PROJECT, SEND, ServiceAccount, post, send

NOW = 1_800_000_000
TOKEN = "phone-1:APA91b"
FID = "cInstallation000000001"
NOTIFICATION = {"title": "Hello", "body": "World"}
CODE = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
FIELDS = "type.googleapis.com/google.rpc.BadRequest"


@pytest.fixture
def project(account: ServiceAccount) -> Project:
    return account.public()


@pytest.fixture
def registry(project: Project) -> Registry:
    phones = [
        Phone(FID, PACKAGE, provider="fcm", former=(TOKEN + "-old",)),
        Phone("stranger", "com.example.other", provider="fcm"),
        Phone("ab12", PACKAGE),
    ]
    return registry_of([], phones, [project])


def message(**fields: Any) -> dict[str, Any]:
    return {"message": {"token": TOKEN, "notification": NOTIFICATION, **fields}}


def refused(content: Any, project: Project, registry: Registry) -> tuple[Refused, dict[str, Any]]:
    request = post(SEND, content) if isinstance(content, bytes) else send(content)
    verdict = judge(request, project, registry, NOW)
    assert isinstance(verdict, Refused)
    error = json.loads(verdict.body)["error"]
    assert error["code"] == verdict.status
    return verdict, error


def violations(error: dict[str, Any]) -> list[str]:
    found = [detail for detail in error.get("details", []) if detail["@type"] == FIELDS]
    return [one["field"] for detail in found for one in detail["fieldViolations"]]


def code(error: dict[str, Any]) -> str | None:
    found = [detail["errorCode"] for detail in error.get("details", []) if detail["@type"] == CODE]
    return found[0] if found else None


# What FCM cannot read: 400 INVALID_ARGUMENT, with the fields and without a code of its own.
UNREADABLE: dict[str, tuple[Any, list[str]]] = {
    "no JSON": (b"{", []),
    "JSON nested without end": (b"[" * 4000, []),
    "a list": ([], [""]),
    "an unknown field of the request": ({"messages": []}, [""]),
    "an unknown field": (message(tokens=[]), ["message"]),
    "an unknown field further down": (message(android={"noticiation": {}}), ["message.android"]),
    "validate_only as a text": ({**message(), "validate_only": "yes"}, ["validate_only"]),
    "a number in data": (message(data={"price": 34}), ["message.data[0].value"]),
    "a second value that is no string": (message(data={"a": "1", "b": None}), ["message.data[1].value"]),
    "a number in Android's data": (message(android={"data": {"a": 1}}), ["message.android.data[0].value"]),
    "data that is a list": (message(data=[]), ["message.data"]),
    "a title that is a number": (message(notification={"title": 3}), ["message.notification.title"]),
    "android that is a text": (message(android="x"), ["message.android"]),
    "priority in small letters": (message(android={"priority": "high"}), ["message.android.priority"]),
    "priority as at Apple": (message(android={"priority": 10}), ["message.android.priority"]),
    "ttl as a number": (message(android={"ttl": 3600}), ["message.android.ttl"]),
    "ttl without its unit": (message(android={"ttl": "3600"}), ["message.android.ttl"]),
    "a flag as a text": (message(android={"direct_boot_ok": "true"}), ["message.android.direct_boot_ok"]),
    "a count as a text": (
        message(android={"notification": {"notification_count": "3"}}),
        ["message.android.notification.notification_count"],
    ),
    "arguments that are no list": (
        message(android={"notification": {"body_loc_args": "x"}}),
        ["message.android.notification.body_loc_args"],
    ),
    "an argument that is no text": (
        message(android={"notification": {"body_loc_args": ["x", 1]}}),
        ["message.android.notification.body_loc_args"],
    ),
    "a colour of light as a text": (
        message(android={"notification": {"light_settings": {"color": {"red": "1"}}}}),
        ["message.android.notification.light_settings.color.red"],
    ),
    "a payload for Apple that is a text": (message(apns={"payload": "x"}), ["message.apns.payload"]),
    "two faults": (
        message(data={"a": 1}, android={"ttl": 1}),
        ["message.data[0].value", "message.android.ttl"],
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_fcm_cannot_read(case: str, project: Project, registry: Registry) -> None:
    content, fields = UNREADABLE[case]
    verdict, error = refused(content, project, registry)
    assert (verdict.status, error["status"], code(error)) == (400, "INVALID_ARGUMENT", None)
    assert violations(error) == fields


# What FCM can read and does not take: the same status, with its own code.
INVALID: dict[str, tuple[Any, list[str]]] = {
    "no message": ({}, ["message"]),
    "no target": ({"message": {"notification": NOTIFICATION}}, ["message"]),
    "an empty target": (message(token=""), ["message"]),
    "two targets": (message(fid=FID), ["message"]),
    "a topic": ({"message": {"topic": "news"}}, ["message.topic"]),
    "a condition": ({"message": {"condition": "'a' in topics"}}, ["message.condition"]),
    "a token with blanks": (message(token="no token"), ["message.token"]),
    "a token in the place of an installation": ({"message": {"fid": TOKEN}}, ["message.fid"]),
    "the reserved key from": (message(data={"from": "x"}), ["message.data[0].key"]),
    "the reserved key message_type": (message(data={"a": "", "message_type": "x"}), ["message.data[1].key"]),
    "a key that begins with google.": (message(data={"google.x": "x"}), ["message.data[0].key"]),
    "a key that begins with gcm.notification.": (
        message(android={"data": {"gcm.notification.x": "x"}}),
        ["message.android.data[0].key"],
    ),
    "a negative ttl": (message(android={"ttl": "-1s"}), ["message.android.ttl"]),
    "five weeks": (message(android={"ttl": "2419201s"}), ["message.android.ttl"]),
    "a colour by name": (
        message(android={"notification": {"color": "red"}}),
        ["message.android.notification.color"],
    ),
    "a link over http": (
        message(webpush={"fcm_options": {"link": "http://example.com"}}),
        ["message.webpush.fcm_options.link"],
    ),
    "a label with a blank": (
        message(android={"fcm_options": {"analytics_label": "a b"}}),
        ["message.android.fcm_options.analytics_label"],
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_fcm_refuses(case: str, project: Project, registry: Registry) -> None:
    content, fields = INVALID[case]
    verdict, error = refused(content, project, registry)
    assert (verdict.status, error["status"], code(error)) == (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert violations(error) == fields


def test_a_message_that_is_too_large_is_refused_without_details(project: Project, registry: Registry) -> None:
    def of(octets: int) -> dict[str, Any]:
        return {"message": {"token": TOKEN, "data": {"key": "ü" * ((octets - 3) // 2)}}}

    _, error = refused(of(4099), project, registry)
    assert error["status"] == "INVALID_ARGUMENT"
    assert "details" not in error
    assert isinstance(judge(send(of(4095)), project, registry, NOW), Asked)


@pytest.mark.parametrize(
    ("address", "status", "rpc", "expected"),
    [
        ("phone-1:APA91b-old", 404, "NOT_FOUND", "UNREGISTERED"),
        ("stranger", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        ("ab12", 403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    ],
)
def test_the_device_must_be_there_and_of_this_project(
    address: str, status: int, rpc: str, expected: str, project: Project, registry: Registry
) -> None:
    verdict, error = refused(message(token=address), project, registry)
    assert (verdict.status, error["status"], code(error)) == (status, rpc, expected)


EVERYTHING = {
    "token": TOKEN,
    "notification": {"title": "Hello", "image": "https://example.com/a.png"},
    "data": {"screen": "jig"},
    "android": {
        "collapseKey": "k",
        "priority": "HIGH",
        "ttl": "2419200s",
        "restrictedPackageName": PACKAGE,
        "directBootOk": True,
        "fcmOptions": {"analyticsLabel": "label"},
        "notification": {
            "color": "#a9640c",
            "sound": "default",
            "channelId": "news",
            "bodyLocArgs": ["a"],
            "notificationPriority": "PRIORITY_HIGH",
            "visibility": "PRIVATE",
            "proxy": "DENY",
            "vibrateTimings": ["0.5s"],
            "lightSettings": {"color": {"red": 1, "alpha": 0.5}, "lightOnDuration": "1s"},
            "image": None,
        },
    },
    "webpush": {"headers": {"TTL": "60"}, "notification": {"any": 1}, "fcmOptions": {"link": "https://a.b/"}},
    "apns": {"headers": {"apns-priority": "5"}, "payload": {"aps": {}}},
    "fcmOptions": {"analyticsLabel": "label"},
}

ACCEPTED: dict[str, dict[str, Any]] = {
    "an ordinary message": message(),
    "an installation": {"message": {"fid": FID, "data": {"a": "b"}}},
    "an installation as a token": message(token=FID),
    "an unknown token": message(token="anything-else"),
    "every field, in camelCase": {"message": EVERYTHING, "validateOnly": False},
    "snake_case": message(android={"collapse_key": "k", "direct_boot_ok": False}),
    "now or never": message(android={"ttl": "0s"}),
    "half a second": message(android={"ttl": "0.5s"}),
    "nulls": message(data=None, android=None),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_fcm_accepts(case: str, project: Project, registry: Registry) -> None:
    verdict = judge(send(ACCEPTED[case]), project, registry, NOW)
    assert isinstance(verdict, Asked), verdict
    assert verdict.push.advice == ""


def test_the_last_of_two_equal_keys_wins(project: Project, registry: Registry) -> None:
    body = b'{"message": {"token": "a", "notification": {"title": "x"}, "token": "b"}}'
    verdict = judge(post(SEND, body), project, registry, NOW)
    assert isinstance(verdict, Asked)
    assert verdict.push.token == "b"


# --- the path and who asks ---


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", SEND), ("POST", "/v1/projects/x"), ("POST", "/"), ("POST", f"{SEND}/more"), ("POST", "/batch")],
)
def test_another_path_or_method_is_not_found(method: str, path: str) -> None:
    found = project_of(post(path, b"", method=method))
    assert isinstance(found, Refused)
    assert (found.status, found.reason) == (404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("authorization", "project_id", "expected"),
    [
        ("Bearer good", PROJECT, "ok"),
        ("bearer good", PROJECT, "ok"),
        ("Bearer other", PROJECT, "401 UNAUTHENTICATED"),
        ("good", PROJECT, "401 UNAUTHENTICATED"),
        (None, PROJECT, "401 UNAUTHENTICATED"),
        ("Bearer good", "another-project", "403 PERMISSION_DENIED"),
        ("Bearer lost", PROJECT, "403 PERMISSION_DENIED"),
    ],
)
def test_who_may_send(
    authorization: str | None, project_id: str, expected: str, project: Project, registry: Registry
) -> None:
    owners = {"good": EMAIL, "lost": "nobody@example.com"}
    request = post(SEND, b"", **({"authorization": authorization} if authorization else {}))
    found = authorize(request, project_id, registry, owners.get)
    if isinstance(found, Refused):
        assert "details" not in json.loads(found.body)["error"]
        assert f"{found.status} {found.reason}" == expected
    else:
        assert (found, expected) == (project, "ok")


def test_the_address_of_a_refused_request_is_read_where_it_can_be() -> None:
    assert address_of(send(message())) == TOKEN
    assert address_of(send({"message": {"fid": FID}})) == FID
    for body in (b"", b"[]", b"{}", b'{"message": []}', b'{"message": {}}'):
        assert address_of(post(SEND, body)) == ""


# --- what an accepted message means ---


def accepted(project: Project, registry: Registry, **fields: Any) -> Push:
    verdict = judge(send({"message": {"token": FID, **fields}}), project, registry, NOW)
    assert isinstance(verdict, Asked)
    return verdict.push


def test_a_notification_is_a_banner_and_the_block_for_android_wins(
    project: Project, registry: Registry
) -> None:
    android = {"notification": {"title": "Android", "tag": "t", "notification_count": 3}, "ttl": "60s"}
    push = accepted(project, registry, notification=NOTIFICATION, android=android)
    assert (push.provider, push.token, push.topic, push.push_type) == ("fcm", FID, PACKAGE, "notification")
    assert push.alert == Alert("Android", text="World")
    assert (push.collapse_id, push.badge, push.expires_at) == ("t", 3, NOW + 60)


def test_data_is_read_as_the_app_reads_it(project: Project, registry: Registry) -> None:
    inputs = json.dumps({"price": 34, "name": "20%"})
    data = {"notificationId": "n-1", "jigId": "promo", "inputs": inputs, "inputsOmitted": "false"}
    push = accepted(project, registry, notification=NOTIFICATION, data=data)
    assert push.app == {
        "notificationId": "n-1",
        "jigId": "promo",
        "inputs": {"price": 34, "name": "20%"},
        "inputsOmitted": False,
    }


def test_data_alone_shows_nothing_and_may_withdraw(project: Project, registry: Registry) -> None:
    push = accepted(project, registry, data={"withdraw": '["n-1", 2]'})
    assert (push.push_type, push.alert, push.withdraw, push.advice) == ("data", None, ("n-1",), "")


@pytest.mark.parametrize("odd", ["n-1", "{}", "[", "[" * 1_000])
def test_what_names_no_banners_withdraws_nothing(project: Project, registry: Registry, odd: str) -> None:
    assert accepted(project, registry, data={"withdraw": odd}).withdraw == ()


def test_what_waits_for_a_device_that_is_away(project: Project, registry: Registry) -> None:
    key = {"collapse_key": "k"}
    assert accepted(project, registry, notification=NOTIFICATION).waits_as == PACKAGE
    assert accepted(project, registry, notification=NOTIFICATION, android=key).waits_as == PACKAGE
    assert accepted(project, registry, data={"a": "b"}, android=key).waits_as == "k"
    assert accepted(project, registry, data={"a": "b"}).waits_as is None
    assert accepted(project, registry, data={"a": "b"}).expires_at == NOW + 28 * 24 * 3600


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"notification": {"image": "https://example.com/a.png"}}, "neither title nor body"),
        ({"notification": NOTIFICATION, "data": {"withdraw": "n-1"}}, "withdraw beside a notification"),
        ({"data": {"inputs": "{"}}, "inputs is no JSON object"),
        ({"data": {"inputs": "[]"}}, "inputs is no JSON object"),
        ({"notification": NOTIFICATION, "android": {"restricted_package_name": "x"}}, "another app's"),
    ],
)
def test_advice_says_why_a_device_would_do_nothing(
    fields: dict[str, Any], expected: str, project: Project, registry: Registry
) -> None:
    assert expected in accepted(project, registry, **fields).advice

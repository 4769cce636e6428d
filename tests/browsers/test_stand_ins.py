"""The stand-ins refuse what the vendors refuse, in their words, so that what passes here would pass there."""

from collections.abc import AsyncIterator
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import Answer
from clarion.model.outcome import Refused
from clarion.providers.webpush_answers import read_answer
from tests.browsers import protobuf
from tests.browsers.google import Google
from tests.browsers.judging import MOST_BODY_OCTETS, Fault, octets
from tests.browsers.mozilla import Mozilla
from tests.browsers.push_service import PushService, taking_messages
from tests.browsers.sender import Json, Sender
from tests.http2.peer import Certificate
from tests.providers.browser import Browser
from tests.sandbox.browser import encrypt

HOUR = 3600


@pytest.fixture
def sender(certificate: Certificate) -> Sender:
    return Sender(certificate)


@pytest.fixture(params=[Mozilla, Google])
async def service(request: pytest.FixtureRequest, certificate: Certificate) -> AsyncIterator[PushService]:
    made: PushService = request.param(time)
    async with taking_messages(made, certificate.server_tls("http/1.1")):
        yield made


@pytest.fixture
def subscription(service: PushService, sender: Sender) -> Json:
    token = service.subscribe(octets(sender.vapid.public))
    return Browser().subscription(f"{service.origin}{service.path}{token}")


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, (1 << 64) - 1) | st.binary(max_size=300))))
def test_protocol_buffers_read_as_they_were_written(fields: list[tuple[int, protobuf.Value]]) -> None:
    assert list(protobuf.read(protobuf.message(*fields))) == fields


async def test_a_good_message_is_taken_and_waits(
    service: PushService, sender: Sender, subscription: Json
) -> None:
    answered = await sender.send(service, subscription, {"title": "Hello"}, Topic="a")
    assert (answered.status_code, answered.headers["TTL"]) == (201, "60")
    await sender.send(service, subscription, {"title": "Again"}, Topic="a")
    (token,) = service.subscriptions
    assert len(service.waiting(token)) == 1


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"TTL": None}, Fault.NO_TTL),
        ({"TTL": "soon"}, Fault.BAD_TTL),
        ({"Topic": "a" * 33}, Fault.BAD_TOPIC),
        ({"Content-Encoding": None}, Fault.BAD_ENCODING),
        ({"Content-Encoding": "aesgcm"}, Fault.BAD_ENCODING),
        ({"Authorization": None}, Fault.NO_TOKEN),
        ({"Authorization": "Bearer x"}, Fault.NO_TOKEN),
        ({"Authorization": "vapid t=a.b.c,k=BA"}, Fault.BAD_TOKEN),
    ],
)
async def test_a_bad_header_is_refused(
    service: PushService, sender: Sender, subscription: Json, changed: dict[str, str | None], fault: Fault
) -> None:
    headers = {name: value for name, value in (sender.headers(service) | changed).items() if value}
    body = encrypt(b"{}", subscription["keys"])
    answered = await sender.post(service, subscription["endpoint"], body, headers)
    assert (answered.status_code, service.posted[-1].fault) == (service.spell(fault)[0], fault)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://push.example.com"},
        {"exp": int(time()) - 1},
        {"exp": int(time()) + 25 * HOUR},
        {"exp": None},
        {"sub": None},
        {"sub": "admin@example.com"},
    ],
)
async def test_a_bad_token_is_refused(
    service: PushService, sender: Sender, subscription: Json, claims: Json
) -> None:
    headers = sender.headers(service) | {
        "Authorization": sender.vapid.authorization(time(), **{"aud": service.origin, **claims})
    }
    body = encrypt(b"{}", subscription["keys"])
    await sender.post(service, subscription["endpoint"], body, headers)
    assert service.posted[-1].fault is Fault.BAD_TOKEN


async def test_another_key_than_the_subscriptions_is_refused(
    service: PushService, certificate: Certificate, subscription: Json
) -> None:
    answered = await Sender(certificate).send(service, subscription, {"title": "Hello"})
    assert service.posted[-1].fault is Fault.OTHER_KEY
    outcome = read_answer(Answer(answered.status_code, (), answered.content), 0)
    assert isinstance(outcome, Refused)
    assert outcome.doubts_device


async def test_what_is_too_large_or_not_encrypted_is_refused(
    service: PushService, sender: Sender, subscription: Json
) -> None:
    endpoint, headers = subscription["endpoint"], sender.headers(service)
    await sender.post(service, endpoint, bytes(MOST_BODY_OCTETS + 1), headers)
    await sender.post(service, endpoint, b'{"title": "Hello"}', headers)
    assert [one.fault for one in service.posted] == [Fault.TOO_LARGE, Fault.BAD_ENCODING]


async def test_an_ended_subscription_and_none_are_told_apart(
    service: PushService, sender: Sender, subscription: Json
) -> None:
    (token,) = service.subscriptions
    service.end(token)
    answered = await sender.send(service, subscription, {"title": "Hello"})
    assert answered.status_code == 410
    subscription["endpoint"] = f"{service.origin}{service.path}nobody"
    answered = await sender.send(service, subscription, {"title": "Hello"})
    assert answered.status_code == 404

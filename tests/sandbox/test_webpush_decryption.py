"""A browser's side of encryption, and the subscriptions that it makes."""

from __future__ import annotations

import random
from itertools import count

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from clarion.sandbox.subscriptions import subscribe
from clarion.sandbox.webpush_decryption import Undecipherable, decrypt, point_of, private_key_of, sender_key

from .browser import SERVICE, SITE, b64, encrypt, point, unb64

# RFC 8291, section 5 and appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SENDER = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
    "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


KEY = private_key_of(unb64(PRIVATE))
KEYS = {"p256dh": PUBLIC, "auth": AUTH}


def test_the_example_of_the_rfc_is_read() -> None:
    body = unb64(BODY)
    assert len(body) == 144
    assert point_of(KEY.public_key()) == unb64(PUBLIC)
    assert sender_key(body) == unb64(SENDER)
    assert decrypt(body, KEY, unb64(AUTH)) == PLAINTEXT


@pytest.mark.parametrize("padding", [b"\x02", b"\x02" + bytes(100)])
@pytest.mark.parametrize("message", [b"", b"x", b"ends in zeros\0\0", bytes(3993 - 100)])
def test_messages_of_all_sizes_are_read_without_their_padding(message: bytes, padding: bytes) -> None:
    assert decrypt(encrypt(message, KEYS, padding=padding), KEY, unb64(AUTH)) == message


def test_what_a_browser_would_drop_is_named() -> None:
    body = unb64(BODY)
    stranger = ec.generate_private_key(ec.SECP256R1())
    cases = {
        "header": [b"", body[:85], body[:20] + b"\x40" + body[21:]],
        "no record": [body[:86], body[: 86 + 16]],
        "not greater": [encrypt(b"x" * 10, KEYS, record_size=10 + 1 + 16)],
        "delimiter": [encrypt(b"x", KEYS, padding=b"\x01"), encrypt(b"", KEYS, padding=b"\0")],
        "no point": [body[:30] + b"\0\0" + body[32:]],
        "do not fit": [
            body[:-1] + bytes([body[-1] ^ 1]),
            encrypt(b"x", {**KEYS, "p256dh": b64(point(stranger))}),
        ],
    }
    for expected, bodies in cases.items():
        for one in bodies:
            with pytest.raises(Undecipherable, match=expected):
                decrypt(one, KEY, unb64(AUTH))
    with pytest.raises(Undecipherable, match="do not fit"):
        decrypt(body, KEY, bytes(16))
    assert decrypt(encrypt(b"x" * 10, KEYS, record_size=10 + 2 + 16), KEY, unb64(AUTH)) == b"x" * 10


def test_no_octets_make_it_stumble() -> None:
    chance = random.Random(8291)
    for length in (*range(0, 140, 7), 4096):
        with pytest.raises(Undecipherable):
            decrypt(chance.randbytes(length), KEY, unb64(AUTH))


def test_a_subscription_is_handed_over_as_a_browser_does() -> None:
    content, phone = subscribe(SERVICE, SITE, "key", prefix="wns-", wish="gone-once")
    assert content["endpoint"] == f"{SERVICE}/push/{phone.token}"
    assert phone.token.startswith("wns-")
    assert phone.token.endswith("-gone-once")
    assert content["expirationTime"] is None
    assert [len(unb64(content["keys"][name])) for name in ("p256dh", "auth")] == [65, 16]
    assert (phone.provider, phone.topic) == ("webpush", SITE)
    assert phone.subscription is not None
    assert phone.subscription.application_server_key == "key"
    body = encrypt(b"hello", content["keys"])
    key = private_key_of(unb64(phone.subscription.private_key))
    assert decrypt(body, key, unb64(phone.subscription.auth)) == b"hello"


def test_the_same_octets_make_the_same_subscription() -> None:
    def made(seed: int) -> tuple[object, object]:
        numbers = count(seed)
        return subscribe(SERVICE, SITE, "key", octets=lambda length: bytes([next(numbers)]) * length)

    assert made(1) == made(1)
    assert made(1) != made(2)
    assert made(253)  # a number beyond the order of the curve is no key either way

"""The encryption of Web Push: the example of RFC 8291, and that every browser reads what was meant for it."""

import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from clarion.providers.webpush_encryption import MOST_PLAINTEXT_OCTETS, BrowserKeys, encrypt, point_of
from tests.providers.browser import Browser, unb64

# RFC 8291 §5 and appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
SENDER_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SENDER_POINT = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
BROWSER_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
BROWSER_POINT = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH, SALT = "BTBZMqHH6r4Tts7J_aSIgg", "DGv6ra1nlYgDCS1FRnbzlw"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3"
    "jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64(text)), ec.SECP256R1())


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def keys_of(browser: Browser) -> BrowserKeys:
    return BrowserKeys.read(browser.point, browser.auth)


def test_the_example_of_the_standard_is_reproduced() -> None:
    sender = private(SENDER_PRIVATE)
    assert point_of(sender) == unb64(SENDER_POINT)
    browser = BrowserKeys.read(unb64(BROWSER_POINT), unb64(AUTH))
    body = encrypt(PLAINTEXT, browser, sender_key=sender, salt=unb64(SALT))
    assert body == unb64(BODY)
    assert len(body) == 144
    assert Browser(private(BROWSER_PRIVATE), unb64(AUTH)).decrypt(body) == PLAINTEXT


@given(st.binary(max_size=MOST_PLAINTEXT_OCTETS) | st.integers(0, MOST_PLAINTEXT_OCTETS).map(os.urandom))
def test_a_browser_reads_what_was_encrypted_for_it(plaintext: bytes) -> None:
    browser = Browser()
    body = encrypt(plaintext, keys_of(browser), sender_key=new_key(), salt=os.urandom(16))
    assert browser.decrypt(body) == plaintext
    assert len(body) == 86 + len(plaintext) + 17 <= 4096


def test_nobody_else_reads_it() -> None:
    meant, other = Browser(), Browser()
    body = encrypt(PLAINTEXT, keys_of(meant), sender_key=new_key(), salt=os.urandom(16))
    for reader in (other, Browser(meant.key, other.auth), Browser(other.key, meant.auth)):
        with pytest.raises(InvalidTag):
            reader.decrypt(body)


def test_the_largest_message_fills_the_body_and_a_larger_one_is_refused() -> None:
    browser = Browser()
    body = encrypt(bytes(3993), keys_of(browser), sender_key=new_key(), salt=os.urandom(16))
    assert len(body) == 4096
    with pytest.raises(ValueError, match="3993 fit"):
        encrypt(bytes(3994), keys_of(browser), sender_key=new_key(), salt=os.urandom(16))


def test_a_salt_has_16_octets() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        encrypt(b"", keys_of(Browser()), sender_key=new_key(), salt=b"salt")


GOOD = Browser().point


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b"", "65 octets"),
        (GOOD[:64], "65 octets"),
        (GOOD + b"\0", "65 octets"),
        (b"\x02" + GOOD[1:33], "65 octets"),  # compressed
        (b"\x06" + GOOD[1:], "65 octets"),  # hybrid
        (b"\x04" + bytes(64), "on the curve"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "on the curve"),
        (b"\x04" + b"\xff" * 64, "on the curve"),
    ],
)  # fmt: skip
def test_a_point_off_the_curve_is_refused(bad: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BrowserKeys.read(bad, bytes(16))


@pytest.mark.parametrize("length", [0, 15, 17])
def test_a_secret_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="auth must have 16"):
        BrowserKeys.read(GOOD, bytes(length))

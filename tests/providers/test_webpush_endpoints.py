"""Endpoints: how a subscription is stored, and which addresses a request may go to."""

import base64
import ipaddress
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.http2 import look_up
from clarion.model.push import InvalidAddress
from clarion.providers.webpush_endpoints import (
    ForbiddenAddress,
    Origin,
    check_address,
    is_public,
    make_resolver,
    read_address,
)
from tests.providers.browser import Browser

BROWSER = Browser()
ENDPOINT = "https://push.example.com/send/abc"


def stored(endpoint: str) -> str:
    return check_address(json.dumps(BROWSER.subscription(endpoint)))


# ── When they are stored ─────────────────────────────────────────────────────────────────────────────────


def test_a_browsers_subscription_has_one_spelling() -> None:
    address = BROWSER.address(ENDPOINT)
    assert stored(ENDPOINT) == address
    assert check_address(address) == address
    assert list(json.loads(address)) == ["auth", "endpoint", "p256dh"]


def test_padded_and_standard_base64_are_the_same_keys() -> None:
    keys = {
        "p256dh": base64.b64encode(BROWSER.point).decode(),
        "auth": base64.b64encode(BROWSER.auth).decode(),
    }
    assert check_address(json.dumps({"endpoint": ENDPOINT, "keys": keys})) == BROWSER.address(ENDPOINT)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("HTTPS://Push.Example.COM:443/Send/ABC", "https://push.example.com/Send/ABC"),
        ("https://push.example.com", "https://push.example.com/"),
        ("https://push.example.com?token=a%2fb%3D", "https://push.example.com/?token=a%2fb%3D"),
        ("https://push.example.com:8443/x", "https://push.example.com:8443/x"),
        ("https://wns2-x.notify.windows.com/w/?token=BQ%2f%2b%3d", "https://wns2-x.notify.windows.com/w/?token=BQ%2f%2b%3d"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        (ENDPOINT + "x" * (2048 - len(ENDPOINT)), ENDPOINT + "x" * (2048 - len(ENDPOINT))),
    ],
)  # fmt: skip
def test_an_endpoint_keeps_its_path_to_the_letter(given_: str, kept: str) -> None:
    assert json.loads(stored(given_))["endpoint"] == kept
    assert stored(kept) == stored(given_)


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "push.example.com/x", "//push.example.com/x", "http://push.example.com/x", "wss://push.example.com/x",
        "data:text/plain,x", "https:push.example.com/x", "https:///x", "https://", "https://:443/x",
        "https://user@push.example.com/x", "https://user:word@push.example.com/x", "https://@push.example.com/x",
        "https://push.example.com/x#part", "https://push.example.com#", "https://push.example.com\\@evil.example/x",
        "https://push.example.com/a\\b", "https://push.example.com/a b", " https://push.example.com/x",
        "https://push.example.com/x\n", "https://push.example.com/\u00e9", "https://b\u00fccher.example/x",
        "https://push.example.com:0/x", "https://push.example.com:65536/x", "https://push.example.com:/x",
        "https://push.example.com:-1/x", "https://push.example.com:1e3/x", "https://push..example.com/x",
        "https://.example.com/x", "https://push.example.com./x", "https://-push.example.com/x",
        "https://push%2eexample.com/x", f"https://{'a' * 64}.example/x", f"https://{'a.' * 130}example/x",
        "https://[::1/x", "https://[::1]x/", "https://[fe80::1%25eth0]/x", "https://[fe80::1%eth0]/x", "https://[x]/",
        "https://[1:2]/x", ENDPOINT + "x" * 2048,
    ],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidAddress, match="endpoint must"):
        stored(endpoint)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"endpoint": None}, "endpoint must"),
        ({"endpoint": 5}, "endpoint must"),
        ({"keys": None}, "keys must"),
        ({"keys": []}, "keys must"),
        ({"keys": {}}, "p256dh must"),
        ({"keys": {"p256dh": "?", "auth": "AAAA"}}, "p256dh must be base64url"),
        ({"keys": {"p256dh": "A", "auth": "AAAA"}}, "p256dh must be base64url"),
        ({"keys": {"p256dh": "é", "auth": "AAAA"}}, "p256dh must be base64url"),
        ({"keys": {"p256dh": "A" * 101, "auth": "AAAA"}}, "p256dh must be base64url"),
        ({"keys": {"p256dh": "AAAA", "auth": "AAAA"}}, "p256dh must be an uncompressed point"),
        ({"keys": {"p256dh": "BA" + "A" * 85, "auth": "A" * 22}}, "p256dh must be a point on the curve"),
        ({"keys": {**BROWSER.subscription("")["keys"], "auth": "AAAA"}}, "auth must have 16"),
        ({"keys": {**BROWSER.subscription("")["keys"], "auth": None}}, "auth must be base64url"),
    ],
)
def test_what_is_no_subscription_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidAddress, match=sentence):
        check_address(json.dumps({**BROWSER.subscription(ENDPOINT), **change}))


@pytest.mark.parametrize("text", ["", "x", "[]", "5", "null", '"x"', "[" * 100_000, "\ud800"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress, match="JSON object"):
        check_address(text)


@given(st.text())
def test_nothing_that_is_given_as_an_endpoint_raises_anything_else(endpoint: str) -> None:
    try:
        address = check_address(json.dumps(BROWSER.subscription(endpoint)))
    except InvalidAddress:
        return
    assert read_address(address).origin.host


@given(st.from_regex(r"\Ahttps://[a-z0-9\[\]:.@#?/%\\-]{1,40}\Z"))
def test_what_is_kept_is_read_as_browsers_read_it(endpoint: str) -> None:
    try:
        address = check_address(json.dumps(BROWSER.subscription(endpoint)))
    except InvalidAddress:
        return
    origin = read_address(address).origin
    kept = json.loads(address)["endpoint"]
    assert kept.startswith(f"https://{origin.authority}/")
    assert not set(origin.host) & set("@#?/%\\")
    assert check_address(address) == address


def test_a_stored_address_is_taken_apart() -> None:
    found = read_address(BROWSER.address("https://push.example.com:8443/send?x=%41"))
    assert found.origin == Origin("push.example.com", 8443)
    assert str(found.origin) == "https://push.example.com:8443"
    assert found.path == b"/send?x=%41"
    assert (found.keys.point, found.keys.auth) == (BROWSER.point, BROWSER.auth)


def test_an_origin_has_no_port_when_it_is_the_usual_one() -> None:
    assert str(Origin("push.example.com", 443)) == "https://push.example.com"
    v6 = Origin("[2001:db8::1]", 443)
    assert (v6.authority, v6.bare_host) == ("[2001:db8::1]", "2001:db8::1")


# ── When they are used ───────────────────────────────────────────────────────────────────────────────────

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "4000::1",
    "", "localhost", "1", "127.1", "0x7f000001",
]  # fmt: skip

PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.0",
    "223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1", "2400::1", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_known(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_nothing_is_public_that_python_holds_for_private(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if is_public(str(address)) and not str(address).startswith("64:ff9b"):
        inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        assert not (inner or address).is_private
        assert not (inner or address).is_multicast


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "127.0.0.1", "2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "127.1", "127.0.1",
        "017700000001", "0", "0.0.0.0", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:0:0:1",
    ],
)  # fmt: skip
async def test_this_machine_is_recognised_in_every_notation(host: str) -> None:
    resolve = make_resolver(Origin(host, 443), frozenset(), look_up)
    with pytest.raises(ForbiddenAddress):
        await resolve(host, 443)


async def answer_of(addresses: Sequence[str], trusted: Sequence[str] = (), port: int = 443) -> Sequence[str]:
    async def answering(_host: str, _port: int) -> Sequence[str]:
        return addresses

    origin = Origin("push.example.com", port)
    return await make_resolver(origin, frozenset(trusted), answering)(origin.host, port)


async def test_one_private_address_among_public_ones_is_enough() -> None:
    assert await answer_of(["8.8.8.8", "1.1.1.1"]) == ["8.8.8.8", "1.1.1.1"]
    with pytest.raises(ForbiddenAddress):
        await answer_of(["8.8.8.8", "10.0.0.1"])


@pytest.mark.parametrize("name", ["push.example.com", "push.example.com:8443", "Push.Example.COM"])
async def test_a_trusted_host_may_be_anywhere(name: str) -> None:
    assert await answer_of(["10.0.0.1"], [name], 8443) == ["10.0.0.1"]


@pytest.mark.parametrize("name", ["example.com", "push.example.com:443", "x.push.example.com"])
async def test_trust_is_for_the_named_host_alone(name: str) -> None:
    with pytest.raises(ForbiddenAddress):
        await answer_of(["10.0.0.1"], [name], 8443)


async def test_a_name_that_turns_private_later_is_refused_then() -> None:
    answers = iter([["8.8.8.8"], ["8.8.8.8", "127.0.0.1"], ["169.254.169.254"], ["8.8.8.8"]])

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return next(answers)

    resolve = make_resolver(Origin("push.example.com", 443), frozenset(), rebinding)
    assert await resolve("push.example.com", 443) == ["8.8.8.8"]
    for _ in range(2):
        with pytest.raises(ForbiddenAddress):
            await resolve("push.example.com", 443)
    assert await resolve("push.example.com", 443) == ["8.8.8.8"]

"""What is asked of an address before it is stored: the rules, and where an endpoint's name leads."""

import asyncio
import json

import pytest

from clarion.model.push import InvalidAddress
from clarion.providers import registering
from clarion.providers.registering import AddressCheck
from tests.providers.browser import Browser

NAMES = {
    "push.example.com": ["8.8.8.8", "2606:4700::1111"],
    "mixed.example.com": ["8.8.8.8", "10.0.0.1"],
    "home.example.com": ["127.0.0.1"],
    "metadata.example.com": ["169.254.169.254"],
    "empty.example.com": [],
}


async def look_up(host: str, _port: int) -> list[str]:
    if host == "slow.example.com":
        await asyncio.Event().wait()
    if host not in NAMES:
        raise OSError("not known")
    return NAMES[host]


def address(host: str) -> str:
    return Browser().address(f"https://{host}/send/1")


async def test_an_endpoint_in_public_is_kept_in_its_one_spelling() -> None:
    given = address("push.example.com")
    assert json.loads(await AddressCheck((), look_up)("webpush", given)) == json.loads(given)


@pytest.mark.parametrize("host", ["home.example.com", "mixed.example.com", "metadata.example.com"])
async def test_an_endpoint_that_may_lead_into_a_private_network_is_refused(host: str) -> None:
    with pytest.raises(InvalidAddress, match="endpoint must not lead into a private network"):
        await AddressCheck((), look_up)("webpush", address(host))
    assert await AddressCheck({host}, look_up)("webpush", address(host))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
async def test_this_machine_is_no_push_service(host: str) -> None:
    with pytest.raises(InvalidAddress, match="private network"):
        await AddressCheck(())("webpush", address(host))


@pytest.mark.parametrize("host", ["nowhere.example.com", "empty.example.com"])
async def test_a_name_that_is_not_found_is_refused_with_a_clear_word(host: str) -> None:
    with pytest.raises(InvalidAddress, match="endpoint must have a name that can be looked up"):
        await AddressCheck((), look_up)("webpush", address(host))


async def test_a_look_up_does_not_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registering, "LOOK_UP_SECONDS", 0.01)
    with pytest.raises(InvalidAddress, match="looked up within"):
        await AddressCheck((), look_up)("webpush", address("slow.example.com"))


async def test_other_providers_ask_nobody() -> None:
    assert await AddressCheck((), look_up)("apns", "ABCD") == "abcd"
    with pytest.raises(InvalidAddress):
        await AddressCheck((), look_up)("apns", "odd")

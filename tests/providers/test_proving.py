"""How a credential is proven: what goes ahead, what is held back, and what one odd answer means."""

import asyncio
from collections.abc import Sequence

from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.model.push import Parcel
from clarion.providers.proving import Proving

IMPOSSIBLE = Refused("no address", doubts_device=True)
WRONG_KEY = Misconfigured("wrong key")


class Service:
    """Answers by address, and notes how many devices it was asked about each time."""

    def __init__(self, usual: Outcome = ACCEPTED, **by_address: Outcome) -> None:
        self.usual = usual
        self.by_address = by_address
        self.asked: list[int] = []

    async def __call__(self, parcels: Sequence[Parcel]) -> list[Outcome]:
        self.asked.append(len(parcels))
        await asyncio.sleep(0)
        return [self.by_address.get(parcel.address, self.usual) for parcel in parcels]


def proving() -> Proving:
    return Proving(lambda address: not address.startswith("no"), IMPOSSIBLE)


def page(*addresses: str, others: int = 0) -> list[Parcel]:
    return [Parcel("id", address) for address in (*addresses, *(f"other{n}" for n in range(others)))]


async def test_one_device_goes_ahead_until_the_credential_was_taken() -> None:
    service, credential = Service(), proving()
    assert await credential.offer(page(others=5), service) == [ACCEPTED] * 5
    assert await credential.offer(page(others=5), service) == [ACCEPTED] * 5
    assert service.asked == [1, 4, 5]


async def test_a_device_without_an_address_never_goes_ahead() -> None:
    service, credential = Service(WRONG_KEY), proving()
    outcomes = await credential.offer(page("no1", "no2", others=500), service)
    assert outcomes == [IMPOSSIBLE] * 2 + [WRONG_KEY] * 500
    assert service.asked == [1]


async def test_a_page_without_any_address_is_asked_about_by_nobody() -> None:
    service, credential = Service(), proving()
    assert await credential.offer(page("no1", "no2"), service) == [IMPOSSIBLE] * 2
    assert service.asked == []


async def test_many_pages_at_once_show_a_wrong_credential_once() -> None:
    service, credential = Service(WRONG_KEY), proving()
    pages = [credential.offer(page(others=3), service) for _ in range(20)]
    assert await asyncio.gather(*pages) == [[WRONG_KEY] * 3] * 20
    assert service.asked == [1]


async def test_a_device_that_is_gone_proves_the_credential_and_a_doubtful_one_does_not() -> None:
    service, credential = Service(Refused("doubtful", doubts_device=True), gone=Gone("gone")), proving()
    await credential.offer(page(others=2), service)
    await credential.offer(page("gone"), service)
    await credential.offer(page(others=3), service)
    assert service.asked == [1, 1, 1, 3]


async def test_a_service_that_is_away_is_asked_once_for_all() -> None:
    service, credential = Service(Unavailable("away")), proving()
    assert await credential.offer(page(others=4), service) == [Unavailable("away")] * 4
    assert service.asked == [1]


async def test_an_odd_refusal_beside_many_that_were_taken_holds_nothing_back() -> None:
    service, credential = Service(odd=WRONG_KEY), proving()
    assert (
        await credential.offer(page("a", "odd", others=8), service) == [ACCEPTED, WRONG_KEY] + [ACCEPTED] * 8
    )
    assert await credential.offer(page(others=4), service) == [ACCEPTED] * 4
    assert service.asked == [1, 9, 1, 3]


async def test_what_was_refused_is_shown_once_more_by_one_device_after_a_rest() -> None:
    service, credential = Service(), proving()
    await credential.offer(page(others=2), service)
    service.usual = WRONG_KEY
    for _ in range(2):
        assert await credential.offer(page(others=6), service) == [WRONG_KEY] * 6
    credential.begin_anew()
    assert await credential.offer(page(others=6), service) == [WRONG_KEY] * 6
    credential.begin_anew()
    service.usual = ACCEPTED
    assert await credential.offer(page(others=6), service) == [ACCEPTED] * 6
    assert service.asked == [1, 1, 6, 1, 1, 5]

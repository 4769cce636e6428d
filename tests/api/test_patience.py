"""One timer for all who are waited for."""

import asyncio

import pytest

from clarion.api.patience import Patience


async def test_what_is_there_is_returned() -> None:
    assert await Patience(60).wait_for(asyncio.sleep(0, "body")) == "body"


async def test_whoever_takes_too_long_is_given_up_and_others_are_not() -> None:
    patience = Patience(0.05)
    slow = asyncio.create_task(patience.wait_for(asyncio.Event().wait()))
    for _ in range(10):
        assert await patience.wait_for(asyncio.sleep(0.01, "quick")) == "quick"
    with pytest.raises(TimeoutError):
        await slow
    assert await patience.wait_for(asyncio.sleep(0, "later")) == "later"


async def test_an_error_and_a_cancellation_pass_through() -> None:
    async def fail() -> None:
        raise LookupError

    patience = Patience(60)
    with pytest.raises(LookupError):
        await patience.wait_for(fail())
    waiting = asyncio.create_task(patience.wait_for(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

import pytest

from clarion.http2 import Limits
from clarion.http2.heartbeat import Heartbeat

LIMITS = Limits(silence_seconds=4, idle_ping_seconds=3600, ping_seconds=3)


def test_while_nothing_is_in_flight_it_asks_now_and_then() -> None:
    heartbeat = Heartbeat(LIMITS, 100.0)
    assert heartbeat.next_step_at(None) == 3700
    assert not heartbeat.must_ask(3699, None)
    assert heartbeat.must_ask(3700, None)
    assert not heartbeat.must_ask(3701, None), "asked already"


def test_while_requests_are_in_flight_silence_is_short() -> None:
    heartbeat = Heartbeat(LIMITS, 100.0)
    heartbeat.hear(150.0)
    assert heartbeat.next_step_at(120.0) == 154
    assert heartbeat.next_step_at(200.0) == 204, "silence before the request does not count"
    assert not heartbeat.must_ask(203.9, 200.0)
    assert heartbeat.must_ask(204, 200.0)


@pytest.mark.parametrize("busy_since", [None, 90.0])
def test_a_ping_that_meets_silence_means_death_and_any_octet_life(busy_since: float | None) -> None:
    heartbeat = Heartbeat(LIMITS, 100.0)
    assert not heartbeat.is_dead(10_000.0), "nobody was asked"
    assert heartbeat.must_ask(10_000.0, busy_since)
    assert heartbeat.next_step_at(busy_since) == 10_003
    assert not heartbeat.is_dead(10_002.9)
    assert heartbeat.is_dead(10_003.0)
    heartbeat.hear(10_003.0)
    assert not heartbeat.is_dead(20_000.0)

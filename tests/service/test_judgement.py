"""When a whole lane must rest, and for how long."""

import pytest

from clarion.model.outcome import ACCEPTED, Gone, Misconfigured, Refused, Unavailable, Unknown
from clarion.service.judgement import LONGEST_REST_MS, Rest, find_obstacle, rest_for
from clarion.service.push import MISCONFIGURED_HOLD_MS, Answer, Expired

REFUSED = Misconfigured("InvalidProviderToken")
AWAY = Unavailable("ServiceUnavailable")
ALONE = Unavailable("TooManyRequests", whole_service=False)


@pytest.mark.parametrize(
    ("answers", "obstacle"),
    [
        ([], None),
        ([ACCEPTED] * 3, None),
        ([ALONE] * 500, None),
        ([Unknown("no answer"), Gone("Unregistered"), Refused("PayloadTooLarge"), Expired()], None),
        ([AWAY], AWAY),
        ([AWAY, ACCEPTED], AWAY),
        ([AWAY, ACCEPTED, ALONE], None),
        ([REFUSED, ACCEPTED], REFUSED),
        ([REFUSED, ACCEPTED, ACCEPTED], None),
        ([AWAY, REFUSED, ACCEPTED, ACCEPTED], REFUSED),
    ],
)
def test_a_lane_rests_when_half_of_the_answers_are_about_the_whole_channel(
    answers: list[Answer], obstacle: Misconfigured | Unavailable | None
) -> None:
    assert find_obstacle(answers) == obstacle


@pytest.mark.parametrize(
    ("obstacle", "failures", "wait"),
    [
        (REFUSED, 0, MISCONFIGURED_HOLD_MS),
        (AWAY, 1, 750),
        (AWAY, 4, 6_000),
        (AWAY, 50, 225_000),
        (Unavailable("503", retry_after_seconds=2), 1, 2_000),
        (Unavailable("503", retry_after_seconds=2), 4, 6_000),
        (Unavailable("503", retry_after_seconds=10.0**300), 1, LONGEST_REST_MS),
        (Unavailable("503", retry_after_seconds=float("inf")), 1, LONGEST_REST_MS),
    ],
)
def test_a_rest_grows_with_the_failures_and_is_as_long_as_asked_but_not_without_end(
    obstacle: Misconfigured | Unavailable, failures: int, wait: int
) -> None:
    assert rest_for(obstacle, failures, 1_000, 0.5) == Rest(1_000 + wait, obstacle.reason)

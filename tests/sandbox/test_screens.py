"""What is on a phone's screen."""

from __future__ import annotations

from clarion.sandbox import screens
from clarion.sandbox.push import Alert, Push
from clarion.sandbox.screens import Screen

MS = 1000


def push(number: int, **more: object) -> Push:
    fields: dict[str, object] = {
        "alert": Alert(f"Title {number}"),
        "app": {"notificationId": f"n-{number}"},
        **more,
    }
    return Push("apns", "ab", f"id-{number}", "com.example.field", "alert", **fields)  # type: ignore[arg-type]


def shown(*pushes: Push) -> Screen:
    screen = Screen()
    for at, one in enumerate(pushes, start=1):
        screen = screens.show(screen, one, at)
    return screen


def ids(screen: Screen) -> list[str]:
    return [banner.id for banner in screen.banners]


def test_the_newest_banner_comes_first() -> None:
    assert ids(shown(push(1), push(2))) == ["id-2", "id-1"]


def test_the_same_collapse_id_replaces_and_moves_to_the_top() -> None:
    screen = shown(push(1, collapse_id="c"), push(2), push(3, collapse_id="c"))
    assert ids(screen) == ["id-3", "id-2"]


def test_the_same_id_replaces() -> None:
    screen = shown(push(1), push(2), push(1, alert=Alert("Again")))
    assert [banner.title for banner in screen.banners] == ["Again", "Title 2"]


def test_banners_without_collapse_id_stay_side_by_side() -> None:
    assert len(shown(push(1), push(2)).banners) == 2


def test_a_screen_holds_thirty_banners() -> None:
    screen = shown(*(push(n) for n in range(40)))
    assert (len(screen.banners), ids(screen)[0], ids(screen)[-1]) == (30, "id-39", "id-10")


def test_a_withdrawal_removes_that_notification_alone() -> None:
    screen = shown(push(1), push(2), push(3, alert=None, withdraw=("n-1",)))
    assert ids(screen) == ["id-2"]


def test_a_withdrawal_may_name_several() -> None:
    screen = shown(push(1), push(2), push(3), push(4, alert=None, withdraw=("n-1", "n-3")))
    assert ids(screen) == ["id-2"]


def test_a_push_without_alert_shows_nothing_but_may_set_the_badge() -> None:
    screen = shown(push(1), push(2, alert=None, badge=7))
    assert (ids(screen), screens.to_page(screen)["badge"]) == (["id-1"], 7)


def test_the_badge_counts_the_banners_unless_a_push_said_a_number() -> None:
    assert screens.to_page(shown(push(1), push(2)))["badge"] == 2
    assert screens.to_page(shown(push(1, badge=0)))["badge"] == 0


def test_a_tap_opens_the_app_and_takes_the_banner_away() -> None:
    screen = screens.tap(shown(push(1, app={"jigId": "promo", "inputs": {"price": 34}}), push(2)), "id-1")
    assert screen is not None
    assert screen.opened is not None
    assert screen.opened.app == {"jigId": "promo", "inputs": {"price": 34}}
    assert ids(screen) == ["id-2"]
    assert screens.back(screen).opened is None


def test_a_tap_on_what_is_gone_does_nothing() -> None:
    assert screens.tap(shown(push(1)), "id-9") is None


def test_one_banner_is_dismissed_or_all() -> None:
    screen = shown(push(1), push(2))
    assert ids(screens.dismiss(screen, "id-1")) == ["id-2"]
    assert ids(screens.dismiss(screen, None)) == []


def test_a_screen_is_stored_whole() -> None:
    screen = screens.tap(shown(push(1, collapse_id="c", badge=4), push(2)), "id-2")
    assert screen is not None
    assert screens.from_json(screens.to_json(screen)) == screen


def test_inputs_travel_to_the_page_only_once_opened() -> None:
    screen = shown(push(1, app={"inputs": {"price": 34}}))
    assert "app" not in screens.to_page(screen)["banners"][0]
    opened = screens.tap(screen, "id-1")
    assert opened is not None
    assert screens.to_page(opened)["opened"]["app"] == {"inputs": {"price": 34}}


# --- away ---


def away(*pushes: Push, at: int = 10 * MS) -> Screen:
    screen = screens.leave(shown(push(0)))
    for one in pushes:
        screen = screens.show(screen, one, at)
    return screen


def test_a_phone_that_is_away_shows_nothing_new_until_it_is_back() -> None:
    screen = away(push(1), push(2))
    assert (ids(screen), len(screen.waiting)) == (["id-0"], 2)
    back = screens.come_back(screen, 20 * MS)
    assert ids(back) == ["id-2", "id-1", "id-0"]
    assert (back.away, back.waiting) == (False, ())


def test_what_waits_under_one_name_is_the_newest() -> None:
    screen = away(push(1, waits_as="a"), push(2, waits_as="b"), push(3, waits_as="a"), push(4), push(5))
    assert [one.id for one in screen.waiting] == ["id-2", "id-3", "id-4", "id-5"]


def test_what_is_over_is_dropped_at_once_or_at_the_end() -> None:
    screen = away(push(1, expires_at=10.0), push(2, expires_at=15.0), push(3, expires_at=25.0))
    assert [one.id for one in screen.waiting] == ["id-2", "id-3"]
    assert ids(screens.come_back(screen, 20 * MS)) == ["id-3", "id-0"]


def test_a_hundred_wait_at_most() -> None:
    screen = away(*(push(number) for number in range(101)))
    assert (len(screen.waiting), screen.waiting[0].id) == (100, "id-1")


def test_a_withdrawal_waits_too() -> None:
    screen = away(push(1), push(2, alert=None, withdraw=("n-1",)))
    assert ids(screens.come_back(screen, 20 * MS)) == ["id-0"]


def test_what_waits_is_stored_and_counted() -> None:
    screen = away(push(1, expires_at=99.0), push(2, alert=None, withdraw=("n-1",)))
    assert screens.from_json(screens.to_json(screen)) == screen
    assert (screens.to_page(screen)["away"], screens.to_page(screen)["waiting"]) == (True, 2)


def test_a_screen_that_was_stored_before_phones_could_be_away_is_read() -> None:
    stored = screens.to_json(shown(push(1)))
    del stored["away"], stored["waiting"]
    assert screens.from_json(stored) == shown(push(1))

"""What the stand-ins and the page share, without sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from clarion.sandbox import screens
from clarion.sandbox.push import Alert, Push, Refused
from clarion.sandbox.received import Received
from clarion.sandbox.registry import write_registry
from clarion.sandbox.stage import Stage
from clarion.sandbox.watchers import KEPT_ENTRIES

from .apple import TOKEN, TOPIC, Signer
from .conftest import Clock


@pytest.fixture
def stage(folder: Path, clock: Clock) -> Stage:
    return Stage(folder, clock)


def push(number: int = 1, token: str = TOKEN, **more: object) -> Push:
    fields: dict[str, object] = {"alert": Alert(f"Title {number}"), **more}
    return Push("apns", token, f"id-{number}", TOPIC, "alert", **fields)  # type: ignore[arg-type]


def titles(stage: Stage) -> list[str]:
    return [banner["title"] for banner in stage.describe()["phones"][0]["banners"]]


def save(stage: Stage) -> None:
    state = stage.take_unsaved()
    assert state is not None
    stage.save(state)


def test_the_screens_survive_a_restart(folder: Path, clock: Clock, stage: Stage) -> None:
    stage.accepted(push(1))
    stage.accepted(push(2, app={"jigId": "promo", "inputs": {"price": 34}}))
    stage.touch(TOKEN, lambda screen: screens.tap(screen, "id-2"), "tapped")
    save(stage)
    again = Stage(folder, clock)
    assert titles(again) == ["Title 1"]
    assert again.describe()["phones"][0]["opened"]["app"]["inputs"] == {"price": 34}


def test_what_waits_survives_a_restart_too(folder: Path, clock: Clock, stage: Stage) -> None:
    stage.touch(TOKEN, screens.leave, "offline")
    stage.accepted(push(1))
    save(stage)
    again = Stage(folder, clock)
    assert titles(again) == []
    again.come_back(TOKEN)
    assert titles(again) == ["Title 1"]


def test_nothing_is_written_while_nothing_changes(stage: Stage) -> None:
    assert stage.take_unsaved() is None
    stage.accepted(push(1))
    assert stage.take_unsaved() is not None
    assert stage.take_unsaved() is None
    stage.refused("apns", TOKEN, "id-2", Refused(400, "BadTopic"))
    assert stage.take_unsaved() is None


@pytest.mark.parametrize("content", ["{", "[]", '{"screens": {"ab": {}}, "unknown": []}'])
def test_a_damaged_state_starts_with_empty_screens(folder: Path, clock: Clock, content: str) -> None:
    (folder / "state.json").write_text(content)
    assert titles(Stage(folder, clock)) == []


def test_the_log_holds_answers_of_every_kind_newest_first(stage: Stage) -> None:
    stage.accepted(push(1))
    stage.refused("apns", TOKEN, "id-2", Refused(410, "Unregistered"))
    stage.noted(push(3), "dropped")
    log = [(entry["answer"], entry["what"]) for entry in stage.describe()["log"]]
    assert log == [("mishap", "dropped"), ("refused", "410 Unregistered"), ("accepted", "alert")]


def test_unknown_tokens_stay_off_the_page_where_phones_are_registered(stage: Stage) -> None:
    stage.accepted(push(1, token="ffff"))
    assert [phone["token"] for phone in stage.describe()["phones"]] == [TOKEN]
    assert stage.received.after(0)["total"] == 1


def test_without_registered_phones_unknown_tokens_become_phones(
    tmp_path: Path, signer: Signer, clock: Clock
) -> None:
    write_registry(tmp_path, [signer.public()], [])
    stage = Stage(tmp_path, clock)
    for number in range(60):
        stage.accepted(push(number, token=f"{number:08x}"))
    phones = stage.describe()["phones"]
    assert len(phones) == 50
    assert (phones[10]["name"], phones[10]["topic"]) == ("Phone …00000a", TOPIC)
    save(stage)
    assert len(Stage(tmp_path, clock).describe()["phones"]) == 50


def test_a_watcher_hears_what_happened_since_its_last_look(stage: Stage) -> None:
    with stage.watchers.one() as watcher:
        stage.accepted(push(1))
        stage.accepted(push(2))
        changes = watcher.take()
        assert changes.phones == {TOKEN: "banner"}
        assert [entry["title"] for entry in changes.entries] == ["Title 1", "Title 2"]
        assert watcher.take().entries == []


def test_a_slow_watcher_is_told_to_read_everything_anew(stage: Stage) -> None:
    with stage.watchers.one() as watcher:
        for number in range(KEPT_ENTRIES + 1):
            stage.accepted(push(number))
        changes = watcher.take()
        assert (changes.reread, len(changes.entries)) == (True, KEPT_ENTRIES)


def test_a_changed_registry_makes_watchers_read_anew(
    folder: Path, clock: Clock, stage: Stage, signer: Signer
) -> None:
    with stage.watchers.one() as watcher:
        stage.refresh()
        assert not watcher.take().reread
        write_registry(folder, [signer.public()], [])
        clock.now += 2
        stage.refresh()
        assert watcher.take().reread


async def test_a_watcher_that_waits_is_released_at_the_end(stage: Stage) -> None:
    with stage.watchers.one() as watcher:
        stage.watchers.close()
        assert (await watcher.next(60)).closed
    with stage.watchers.one() as late:
        assert (await late.next(60)).closed


async def test_a_watcher_hears_of_nothing_when_its_patience_ends(stage: Stage) -> None:
    with stage.watchers.one() as watcher:
        changes = await watcher.next(0)
        assert (changes.phones, changes.entries, changes.reread, changes.closed) == ({}, [], False, False)


def test_the_ring_forgets_the_oldest_and_says_so() -> None:
    received = Received(kept=3)
    for number in range(1, 6):
        received.add(push(number), at=number)
    answer = received.after(0)
    assert [item["n"] for item in answer["items"]] == [3, 4, 5]
    assert (answer["last"], answer["total"], answer["forgotten"]) == (5, 5, 2)
    assert received.after(5) == {"last": 5, "total": 5, "forgotten": 0, "items": []}


def test_the_ring_is_read_in_pages() -> None:
    received = Received()
    for number in range(1, 6):
        received.add(push(number), at=number)
    first = received.after(0, limit=2)
    assert [item["id"] for item in first["items"]] == ["id-1", "id-2"]
    assert [item["n"] for item in received.after(first["last"], limit=2)["items"]] == [3, 4]


def test_a_cleared_ring_goes_on_counting() -> None:
    received = Received()
    received.add(push(1), at=1)
    received.clear()
    received.add(push(2), at=2)
    assert [item["n"] for item in received.after(0)["items"]] == [2]

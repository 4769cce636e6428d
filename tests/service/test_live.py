"""Live streams: who is told what, over both databases; and what becomes of readers who do not read."""

import asyncio
from dataclasses import replace
from secrets import token_bytes
from uuid import uuid4

import pytest
from sqlalchemy import Connection, delete, event, update

from clarion.model.access import Role, Session, mint_token
from clarion.model.audience import Scope
from clarion.model.errors import Invalid, NotFound, TooManyStreams, TooOld
from clarion.model.notification import Content
from clarion.model.refresh import first_pair
from clarion.model.watermark import decode_watermark
from clarion.service import inbox
from clarion.service.live import BEAT_MS, LIFETIME_MS
from clarion.service.live_streams import MOST_PER_MEMBER, Showing
from clarion.store import sessions, tokens
from clarion.store.inbox import USUAL_DAYS, CopyState, Horizon
from clarion.store.inbox_hints import Hinted
from clarion.store.schema import members
from clarion.store.schema import tokens as token_table
from tests.service.listening import (
    EVERYBODY,
    App,
    access_of,
    follow,
    ids,
    make_live,
    texts,
)
from tests.world import SOLUTION, Member, World


async def set_state(world: World, member: Member, notification: object, state: CopyState) -> None:
    """Change an entry, as its member does on another device."""
    horizon = Horizon(world.clock(), USUAL_DAYS)
    access = access_of(world, member)
    await world.write(inbox.change_state, access, member.user, notification, state, horizon)  # type: ignore[arg-type]


async def test_a_stream_begins_with_nothing_and_is_told_what_is_released(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    [first] = app.reader.events
    assert first.name == "changes"
    assert first.data == {"count": 0, "items": [], "watermark": first.id, "unread": 0}
    told = await world.tell("Hello")
    await live.look(EVERYBODY)
    [_, second] = app.reader.events
    assert second.name == "changes"
    assert second.id == second.data["watermark"] != first.id
    assert (second.data["count"], second.data["unread"]) == (1, 1)
    [item] = second.data["items"]
    assert (item["notificationId"], item["userId"]) == (str(told.uuid), str(member.user))
    assert (item["state"], item["content"]["text"]) == ("SENT", "Hello")
    await live.look(EVERYBODY)
    assert len(app.reader.events) == 2


async def test_an_event_is_exactly_what_a_pull_since_the_event_before_would_tell(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com", SOLUTION, "sales")
    app = await follow(world, live, member)
    first = await world.tell("one", SOLUTION)
    gone = await world.tell("two")
    await live.look(EVERYBODY)
    await world.recall(gone)
    await world.tell("three")
    await set_state(world, member, first.uuid, CopyState.READ)
    await live.look(EVERYBODY)
    marks = [event.id for event in app.reader.events]
    assert len(marks) >= 3
    for before, told in zip(marks, app.reader.events[1:], strict=False):
        assert before is not None
        again = await follow(world, make_live(world), member, before)
        later = [
            item for event in app.reader.events[marks.index(before) + 1 :] for item in event.data["items"]
        ]
        newest = {item["notificationId"]: item for item in later}
        assert {item["notificationId"]: item for item in again.reader.events[0].data["items"]} == newest
        assert told.data["count"] == len(told.data["items"])


async def test_only_the_audience_is_told(world: World) -> None:
    live = make_live(world)
    inside = await world.add_member("inside@example.com", SOLUTION, "sales", "finance")
    outside = await world.add_member("outside@example.com")
    apps = [await follow(world, live, member) for member in (inside, outside)]
    both = world.draft(Scope.GROUPS, groups=("sales", "finance"), solution=world.solutions[SOLUTION])
    await world.publish(both)
    await world.publish(world.draft(Scope.USERS, emails=("outside@example.com",), content=Content("You")))
    await live.look(EVERYBODY)
    assert [texts(event) for event in apps[0].reader.events] == [[], ["Hello"]]
    assert [texts(event) for event in apps[1].reader.events] == [[], ["You"]]


async def test_who_joins_and_leaves_while_listening_is_told_what_is_theirs(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    await world.tell("before", SOLUTION)
    await world.join(member, SOLUTION)
    during = await world.tell("during", SOLUTION)
    await world.leave(member, SOLUTION)
    await world.tell("after", SOLUTION)
    await live.look(EVERYBODY)
    assert texts(app.reader.events[-1]) == ["during"]
    await world.recall(during)
    await live.look(EVERYBODY)
    [stone] = app.reader.events[-1].data["items"]
    assert (stone["deleted"], stone["notificationId"]) == (True, str(during.uuid))


async def test_a_recall_is_told_with_the_last_state_and_counts_what_was_unread(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    read, unread, both = [await world.tell(text) for text in ("read", "unread", "both")]
    other = await world.add_member("two@example.com")
    await set_state(world, member, read.uuid, CopyState.READ)
    app, elsewhere = await follow(world, live, member), await follow(world, live, other)
    assert app.unread == 2
    for notification in (read, unread):
        await world.recall(notification)
    await live.look(EVERYBODY)
    told = app.reader.events[-1]
    assert [(item["state"], item["content"]) for item in told.data["items"]] == [
        ("READ", {"text": ""}),
        ("SENT", {"text": ""}),
    ]
    assert told.data["unread"] == 1
    assert len(elsewhere.reader.events) == 1, "who came later never saw them"
    await set_state(world, member, both.uuid, CopyState.DISMISSED)
    await live.look(EVERYBODY)
    assert app.reader.events[-1].data["unread"] == 0


async def test_what_a_member_does_on_one_device_reaches_the_others(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    bystander = await follow(world, live, await world.add_member("two@example.com"))
    told = await world.tell("Hello")
    apps = [await follow(world, live, member) for _ in range(2)]
    await set_state(world, member, told.uuid, CopyState.READ)
    await live.look(Hinted(frozenset({(world.organization_id, member.id)})))
    for app in apps:
        [item] = app.reader.events[-1].data["items"]
        assert (item["state"], item["updatedBy"]) == ("READ", str(member.user))
        assert app.reader.events[-1].data["unread"] == 0
    everybody = await follow(world, live, member)
    assert everybody.last_id is not None
    await world.tell("Again")
    horizon = Horizon(world.clock(), USUAL_DAYS)
    access, mark = access_of(world, member), decode_watermark(everybody.last_id)
    await live.look(EVERYBODY)
    await world.write(inbox.mark_all_read, access, member.user, replace(mark, seq=mark.seq + 1), horizon)
    await live.look(EVERYBODY)
    assert [item["state"] for item in apps[0].reader.events[-1].data["items"]] == ["READ"]
    assert len(bystander.reader.events) == 3


async def test_a_stream_begins_where_the_last_one_ended(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    assert app.stream is not None
    live.leave(app.stream)
    sent = {(await world.tell(f"number {number}")).uuid for number in range(20)}
    await live.look(EVERYBODY)
    assert len(app.reader.events) == 1
    back = await follow(world, live, member, app.last_id)
    [first] = back.reader.events
    assert (first.name, ids(first), first.data["unread"]) == ("changes", sent, 20)


async def test_of_more_than_an_event_carries_there_is_a_hint_and_then_only_hints(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    before = app.last_id
    for number in range(21):
        await world.tell(f"number {number}")
    await live.look(EVERYBODY)
    await world.tell("one more")
    await live.look(EVERYBODY)
    await live.look(EVERYBODY)
    assert [(event.name, event.id, event.data) for event in app.reader.events[1:]] == [("hint", None, {})] * 2
    late = await follow(world, live, member, before)
    assert [event.name for event in late.reader.events] == ["hint"]


async def test_what_is_too_long_for_an_event_is_hinted_at(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    await world.publish(world.draft(content=Content("Hello", inputs={"long": "x" * 70_000})))
    await live.look(EVERYBODY)
    assert app.reader.events[-1].name == "hint"


async def test_a_text_that_looks_like_the_wire_changes_nothing(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    text = "\n\nevent: bye\r\ndata: {}\n\nid: x\n\u2028"
    await world.publish(world.draft(content=Content(text)))
    await live.look(EVERYBODY)
    assert texts(app.reader.events[-1]) == [text]
    assert app.reader.octets[-1].count(b"\n\n") == 1


async def test_all_who_get_the_same_share_one_reading_and_one_rendering(world: World) -> None:
    live = make_live(world)
    apps = [await follow(world, live, member) for member in await world.add_members(30)]
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", note)
    await world.tell("Hello")
    statements.clear()
    await live.look(Hinted(frozenset()))
    event.remove(world.database.engine, "before_cursor_execute", note)
    assert len(statements) < 15
    plain = set()
    for app in apps:
        told = app.reader.octets[-1].decode()
        mark = app.reader.events[-1].id
        assert mark is not None
        plain.add(told.replace(mark, "…").replace(str(app.member.user), "…"))
    assert len(plain) == 1


# ── Readers who do not read ──────────────────────────────────────────────────────────────────────────────


async def test_a_slow_reader_delays_nobody_and_is_told_everything_at_once_later(world: World) -> None:
    live = make_live(world)
    slow, quick = [await follow(world, live, member) for member in await world.add_members(2)]
    slow.reader.stick()
    for number in range(3):
        await world.tell(f"number {number}")
        await live.look(EVERYBODY)
    assert len(quick.reader.events) == 4
    assert len(slow.reader.events) == 1
    slow.reader.go_on()
    await slow.reader.until(lambda reader: len(reader.events) == 2)
    assert texts(slow.reader.events[-1]) == ["number 0", "number 1", "number 2"]
    assert slow.reader.events[-1].data["unread"] == 3
    await world.tell("and on")
    await live.look(EVERYBODY)
    assert texts(slow.reader.events[-1]) == texts(quick.reader.events[-1]) == ["and on"]


async def test_a_slow_reader_who_missed_too_much_gets_a_hint(world: World) -> None:
    live = make_live(world)
    [slow] = [await follow(world, live, member) for member in await world.add_members(1)]
    slow.reader.stick()
    for number in range(25):
        await world.tell(f"number {number}")
        await live.look(EVERYBODY)
    slow.reader.go_on()
    await slow.reader.until(lambda reader: len(reader.events) == 2)
    assert slow.reader.events[-1].name == "hint"


async def test_a_reader_who_never_reads_is_let_go(world: World) -> None:
    live = make_live(world, stall_seconds=0.02)
    [stuck] = [await follow(world, live, member) for member in await world.add_members(1)]
    stuck.reader.stick()
    await world.tell("Hello")
    await live.look(EVERYBODY)
    await stuck.reader.until(lambda reader: reader.was_dropped)
    assert live.count == 0


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_fifteen_seconds_there_is_a_sign_of_life(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    for _ in range(3):
        live.beat()
        world.clock.move(milliseconds=BEAT_MS - 1)
        live.beat()
        world.clock.move(milliseconds=1)
        live.beat()
    assert app.reader.octets[1:] == [b": \n\n"] * 3


async def test_a_stream_ends_after_twenty_minutes(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    app = await follow(world, live, member)
    while world.clock() < 1_750_000_000_000 + LIFETIME_MS:
        assert not app.reader.is_over
        world.clock.move(milliseconds=BEAT_MS)
        live.beat()
    assert app.reader.is_over
    assert (app.reader.events[-1].name, app.reader.events[-1].data) == ("bye", {"reason": "renew"})
    assert live.count == 0


# ── Who may listen ───────────────────────────────────────────────────────────────────────────────────────


async def said_goodbye(app: App) -> str | None:
    """Why a stream ended; None while it is open."""
    last = app.reader.events[-1]
    assert app.reader.is_over == (last.name == "bye")
    return last.data["reason"] if last.name == "bye" else None


async def test_a_stream_ends_when_its_session_is_ended(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    now = world.clock()

    def begin(connection: Connection) -> int:
        pair = first_pair("us-east-1", token_bytes)
        sessions.add_session(connection, world.organization_id, member.id, uuid4(), pair, 60, now)
        row = sessions.find_session(connection, pair.key)
        assert row is not None
        return row.id

    ended, kept = await world.write(begin), await world.write(begin)
    apps = [
        await follow(
            world, live, member,
            showing=Showing(access_of(world, member).of_session(Session(now + 3_600_000, session))),
        )
        for session in (ended, kept)
    ]  # fmt: skip
    await world.write(sessions.end, [ended], now)
    world.clock.move(seconds=1)
    await live.audit()
    assert [await said_goodbye(app) for app in apps] == ["signed_out", None]
    world.clock.move(seconds=3_600)
    await live.audit()
    assert await said_goodbye(apps[1]) == "signed_out"


async def test_a_stream_ends_when_its_token_is_removed_or_lapses(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    keys = []
    for _ in range(2):
        _, token = mint_token("us-east-1", token_bytes)
        await world.write(tokens.add_token, world.admin.user_id, token, "test", world.clock())
        keys.append(token.key)
    apps = [await follow(world, live, member, showing=Showing(access_of(world, member), key)) for key in keys]
    await world.write(
        lambda connection: connection.execute(delete(token_table).where(token_table.c.key == keys[0]))
    )
    world.clock.move(seconds=1)
    await live.audit()
    assert [await said_goodbye(app) for app in apps] == ["signed_out", None]
    world.clock.move(seconds=14 * 86_400)
    await live.audit()
    assert await said_goodbye(apps[1]) == "signed_out"


async def test_who_reads_another_s_inbox_is_sent_away_with_their_role(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    chief = await world.add_member("chief@example.com", role=Role.ADMIN)
    watching = await follow(world, live, member, showing=Showing(access_of(world, chief, Role.ADMIN)))
    own = await follow(world, live, chief)
    await live.look(EVERYBODY)
    assert await said_goodbye(watching) is None
    demote = update(members).where(members.c.id == chief.id).values(role=Role.USER)
    await world.write(lambda connection: connection.execute(demote))
    await live.look(EVERYBODY)
    assert await said_goodbye(watching) == "signed_out"
    assert await said_goodbye(own) is None


async def test_a_watermark_of_somebody_else_or_of_another_time_begins_nothing(world: World) -> None:
    live = make_live(world)
    one, other = await world.add_members(2)
    app = await follow(world, live, one)
    assert app.last_id is not None
    with pytest.raises(Invalid):
        await follow(world, live, other, app.last_id)
    world.clock.move(seconds=31 * 86_400)
    with pytest.raises(TooOld):
        await follow(world, live, one, app.last_id)
    with pytest.raises(NotFound):
        await live.begin(Showing(access_of(world, one)), uuid4(), None, "syncToken")
    assert live.count == 1


# ── Limits, and the end ──────────────────────────────────────────────────────────────────────────────────


async def test_one_stream_too_many_of_a_member_ends_their_oldest(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    apps = [await follow(world, live, member) for _ in range(MOST_PER_MEMBER + 1)]
    assert await said_goodbye(apps[0]) == "replaced"
    assert {await said_goodbye(app) for app in apps[1:]} == {None}
    assert live.count == MOST_PER_MEMBER


async def test_a_process_keeps_so_many_streams_and_no_more(world: World) -> None:
    live = make_live(world, most=2)
    one, two, three = await world.add_members(3)
    app = await follow(world, live, one)
    await follow(world, live, two)
    with pytest.raises(TooManyStreams):
        await follow(world, live, three)
    assert app.stream is not None
    live.leave(app.stream)
    live.leave(app.stream)
    await follow(world, live, three)


async def test_at_the_end_all_streams_end_and_nobody_is_let_in(world: World) -> None:
    live = make_live(world)
    apps = [await follow(world, live, member) for member in await world.add_members(3)]
    apps[2].reader.stick()
    begun = await live.begin(apps[0].showing, apps[0].member.user, None, "syncToken")
    live.close()
    assert [await said_goodbye(app) for app in apps[:2]] == ["restart", "restart"]
    assert apps[2].reader.was_dropped
    assert live.join(begun, apps[0].reader) is None
    with pytest.raises(TooManyStreams):
        await follow(world, live, apps[0].member)


async def test_it_runs_by_hints_and_finds_what_no_hint_told(world: World) -> None:
    live, member = make_live(world), await world.add_member("one@example.com")
    running = asyncio.create_task(live.run())
    app = await follow(world, live, member)
    await world.tell("Hello")
    await app.reader.until(lambda reader: len(reader.events) == 2)
    running.cancel()
    await asyncio.wait([running])

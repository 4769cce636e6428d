"""Publishing: what is stored, who is addressed, and what is refused."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, event, func, select, text

from clarion.model.access import Access, Role
from clarion.model.audience import Scope
from clarion.model.errors import Conflict, Invalid, NotFound, Refusal
from clarion.model.notification import Content, NotificationState, Priority
from clarion.service.publish import Published, PublishRequest, publish
from clarion.store import directory, notifications
from clarion.store.database import Database
from clarion.store.schema import metadata, organizations, push_runs, stream_entries
from clarion.store.schema import notifications as notifications_table
from tests.clock import Clock
from tests.world import OTHER_SOLUTION, SOLUTION, World


async def entered(world: World, number: int) -> set[str]:
    """The names of the streams into which a notification was released."""
    names = {stream: name for name, stream in world.streams.items()}
    rows = await world.rows(stream_entries, organization_id=world.organization_id, notification_id=number)
    return {names.get(row.stream_id, "a member") for row in rows}


def accepted(answer: Published | Refusal) -> Published:
    assert isinstance(answer, Published)
    return answer


# ── Audiences ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_notification_to_the_organization_is_stored_and_released(world: World) -> None:
    await world.add_member("one@example.com")
    published = await world.publish(world.draft(Scope.ORGANIZATION))
    stored = await world.stored(published.notification.uuid)
    assert stored == published.notification
    assert await entered(world, stored.id) == {"everybody"}


async def test_a_notification_to_a_solution_enters_its_stream(world: World) -> None:
    told = await world.tell("hello", OTHER_SOLUTION)
    assert await entered(world, told.id) == {OTHER_SOLUTION}
    assert told.solution == world.solutions[OTHER_SOLUTION]


async def test_a_notification_to_groups_enters_each_of_their_streams(world: World) -> None:
    draft = world.draft(Scope.GROUPS, groups=("finance", "sales"), solution=world.solutions[SOLUTION])
    told = (await world.publish(draft)).notification
    assert await entered(world, told.id) == {"sales", "finance"}
    assert told.groups == ("finance", "sales")


async def test_people_are_found_however_their_address_is_spelt(world: World) -> None:
    await world.add_member("Ann.Müller@example.com")
    await world.add_member("bob@example.com")
    spelt = ("ANN.MÜLLER@EXAMPLE.COM", "bob@example.com", "Bob@Example.com")
    published = await world.publish(world.draft(Scope.USERS, emails=spelt))
    entries = await world.rows(stream_entries)
    assert len(entries) == 2
    assert published.unmatched_emails == ()
    assert published.notification.emails == spelt


async def test_addresses_that_nobody_has_are_named_and_the_others_are_reached(world: World) -> None:
    await world.add_member("ann@example.com")
    emails = ("Nobody@example.com", "ann@example.com", "none@example.com")
    published = await world.publish(world.draft(Scope.USERS, emails=emails))
    assert published.unmatched_emails == ("Nobody@example.com", "none@example.com")
    assert await entered(world, published.notification.id) == {"a member"}


async def test_a_notification_that_reaches_nobody_by_name_is_refused_and_not_stored(world: World) -> None:
    other = await World.make(world.database, world.clock)
    await other.add_member("ann@example.com")
    with pytest.raises(Invalid, match="emails: none of these addresses belongs to a member") as refusal:
        await world.publish(world.draft(Scope.USERS, emails=("ann@example.com",)))
    assert [fault.path for fault in refusal.value.faults] == ["emails"]
    assert await world.rows(notifications_table) == []


async def test_unknown_groups_are_refused_with_the_groups_that_exist(world: World) -> None:
    draft = world.draft(
        Scope.GROUPS, groups=("Sales", "sales", "customers"), solution=world.solutions[SOLUTION]
    )
    with pytest.raises(Invalid) as refusal:
        await world.publish(draft)
    known = "its groups: finance, sales"
    assert [(fault.path, fault.message) for fault in refusal.value.faults] == [
        ("groups[0]", f"is not a group of this solution: 'Sales'; {known}"),
        ("groups[2]", "is not a group of this solution: 'customers'"),
    ]


async def test_a_solution_without_groups_says_so(world: World) -> None:
    uuid = uuid4()
    await world.write(directory.add_solution, world.organization_id, uuid, "empty", world.clock())
    with pytest.raises(Invalid, match="its groups: none yet"):
        await world.publish(world.draft(Scope.GROUPS, groups=("sales",), solution=uuid))


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_solution_of_another_organization_does_not_exist(world: World, scope: Scope) -> None:
    other = await World.make(world.database, world.clock)
    await world.add_member("ann@example.com")
    foreign = other.solutions[SOLUTION]
    draft = world.draft(scope, emails=("ann@example.com",), groups=("sales",), solution=foreign)
    with pytest.raises(NotFound) as refusal:
        await world.publish(draft)
    assert refusal.value.code == "solution_not_found"
    assert str(foreign) in refusal.value.message
    assert await world.rows(notifications_table) == []


async def test_a_solution_named_beside_other_scopes_is_kept_for_the_tap(world: World) -> None:
    told = await world.publish(world.draft(Scope.ORGANIZATION, solution=world.solutions[SOLUTION]))
    assert (await world.stored(told.notification.uuid)).solution == world.solutions[SOLUTION]
    assert await entered(world, told.notification.id) == {"everybody"}


# ── What is stored ───────────────────────────────────────────────────────────────────────────────────────


async def test_everything_that_was_asked_for_is_read_back(world: World) -> None:
    inputs = {"promo-code": "x-3654", "price": 34, "rate": 0.1, "deep": {"a": [None, True, "🎉"]}}
    draft = world.draft(
        Scope.GROUPS,
        groups=("customers",),
        solution=world.solutions[OTHER_SOLUTION],
        content=Content("Check it out", "🎉 New", "jig", "view-promotion", inputs),
        description="for our records",
        options=world.options(
            ttl_seconds=60, priority=Priority.NORMAL, collapse_key="promo", badge=3, sound="bell",
            category="offers", thread="promotions",
        ),
    )  # fmt: skip
    published = await world.publish(draft)
    stored = await world.stored(published.notification.uuid)
    assert stored == published.notification
    assert (stored.content, stored.options, stored.description) == (
        draft.content, draft.options, draft.description,
    )  # fmt: skip
    assert stored.start_at == stored.created_at == stored.updated_at == world.clock()
    assert stored.created_by == stored.updated_by == world.admin.user
    assert (stored.organization, stored.region) == (world.organization, "us-east-1")


async def test_notifications_are_listed_newest_first_page_by_page(world: World) -> None:
    told = [await world.tell(str(number)) for number in range(5)]
    page = await world.read(notifications.list_notifications, world.organization_id, 3, None)
    rest = await world.read(notifications.list_notifications, world.organization_id, 3, page.next_before)
    assert page.items + rest.items == told[::-1]
    assert rest.next_before is None


async def test_another_organization_sees_none_of_it(world: World) -> None:
    other = await World.make(world.database, world.clock)
    told = await world.tell("ours")
    find, organization = notifications.find_notification, other.organization_id
    assert await other.read(find, organization, told.uuid) is None
    page = await other.read(notifications.list_notifications, organization, 10, None)
    assert (page.items, page.next_before) == ([], None)


async def test_a_batch_is_answered_in_its_order_across_organizations_and_refusals(world: World) -> None:
    other = await World.make(world.database, world.clock)
    requests = [
        other.request(other.draft()),
        world.request(world.draft(Scope.USERS, emails=("nobody@example.com",))),
        world.request(world.draft()),
        other.request(other.draft(Scope.SOLUTION, solution=world.solutions[SOLUTION])),
        other.request(other.draft()),
    ]
    answers = await world.write(publish, requests)
    assert [type(answer) for answer in answers] == [Published, Invalid, Published, NotFound, Published]
    stored = [accepted(answers[place]).notification for place in (0, 2, 4)]
    assert [one.uuid for one in stored] == [requests[place].uuid for place in (0, 2, 4)]
    assert [one.organization for one in stored] == [
        other.organization,
        world.organization,
        other.organization,
    ]
    assert [one.id for one in stored] == [1, 1, 2]


async def test_a_batch_costs_the_same_statements_however_many_share_it(world: World) -> None:
    await world.add_member("ann@example.com")

    async def statements(count: int) -> int:
        seen: list[str] = []

        def note(*arguments: object) -> None:
            seen.append(str(arguments[2]))

        requests = [
            world.request(world.draft(Scope.USERS, emails=("ann@example.com",))) for _ in range(count)
        ]
        event.listen(world.database.engine, "before_cursor_execute", note)
        await world.write(publish, requests)
        event.remove(world.database.engine, "before_cursor_execute", note)
        return len(seen)

    await statements(1)
    assert await statements(60) == await statements(1) < 15


async def test_a_broadcast_writes_the_same_few_rows_however_many_members_there_are(world: World) -> None:
    async def rows() -> int:
        def count(connection: Connection) -> int:
            tables = metadata.sorted_tables
            return sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables)

        return await world.read(count)

    async def cost() -> int:
        before = await rows()
        await world.tell("to all")
        return await rows() - before

    alone = await cost()
    await world.add_members(500, SOLUTION, "sales")
    assert await cost() == alone == 3  # the notification, its entry, its run


# ── Order ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_release_numbers_follow_the_order_of_the_batch(world: World) -> None:
    later = world.draft(start_at=world.clock() + 1)
    drafts = [world.draft(), later, world.draft()]
    await world.write(publish, [world.request(draft) for draft in drafts])
    rows = await world.rows(notifications_table)
    assert [(row.id, row.seq) for row in rows] == [(1, 1), (2, None), (3, 2)]
    [organization] = await world.rows(organizations)
    assert (organization.last_notification, organization.last_seq) == (3, 2)


async def waiting_for_a_lock(database: Database) -> None:
    """Return when another session waits for a lock."""
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(10):
        while not await database.read(lambda connection: connection.scalar(query)):
            pass


async def test_the_order_of_numbers_is_the_order_of_commits(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    world = await World.make(database, Clock())

    def publish_one() -> int:
        with database.engine.connect() as connection, connection.begin():
            [answer] = publish(connection, [world.request(world.draft())])
        return accepted(answer).notification.id

    with ThreadPoolExecutor(1) as thread:
        with database.engine.connect() as first, first.begin():
            [answer] = publish(first, [world.request(world.draft())])
            second = asyncio.get_running_loop().run_in_executor(thread, publish_one)
            await waiting_for_a_lock(database)
            assert not second.done()
        assert await second == accepted(answer).notification.id + 1
    database.close()


async def test_who_joins_while_a_release_is_being_written_joins_after_it(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    world = await World.make(database, Clock())
    ann = await world.add_member("ann@example.com")

    def join() -> None:
        with database.engine.connect() as connection, connection.begin():
            directory.join(connection, world.organization_id, [(world.streams[SOLUTION], ann.id)])

    draft = world.draft(Scope.SOLUTION, solution=world.solutions[SOLUTION])
    with ThreadPoolExecutor(1) as thread:
        with database.engine.connect() as first, first.begin():
            publish(first, [world.request(draft)])
            joining = asyncio.get_running_loop().run_in_executor(thread, join)
            await waiting_for_a_lock(database)
        await joining
    assert await world.inbox(ann) == []
    await world.publish(draft)
    assert len(await world.inbox(ann)) == 1
    database.close()


# ── Channels ─────────────────────────────────────────────────────────────────────────────────────────────


async def carriers(world: World) -> list[int]:
    """The channels of the runs, in order."""
    rows = await world.rows(push_runs, organization_id=world.organization_id)
    return sorted(row.channel_id for row in rows)


async def test_named_people_without_a_device_make_it_sent_at_once(world: World) -> None:
    await world.add_member("ann@example.com", phones=0)
    published = await world.publish(world.draft(Scope.USERS, emails=("ann@example.com",)))
    assert published.notification.state is NotificationState.SENT
    assert (await world.stored(published.notification.uuid)).state is NotificationState.SENT
    assert await carriers(world) == []


async def test_an_organization_without_a_channel_sends_at_once(database: Database, clock: Clock) -> None:
    world = await World.make(database, clock)
    bare = await world.write(directory.add_organization, uuid4(), "bare", "us-east-1", clock())
    [member] = await world.write(
        directory.add_members, bare, [directory.NewMember(uuid4(), "ann@example.com", "Ann")], clock()
    )
    user = await world.read(directory.find_user, bare, "ann@example.com")
    assert user is not None
    access = Access(bare, uuid4(), "us-east-1", user, uuid4(), member, Role.ADMIN)
    request = PublishRequest(access, world.draft(), uuid4(), clock())
    [answer] = await world.write(publish, [request])
    assert accepted(answer).notification.state is NotificationState.SENT


async def test_named_people_are_sent_to_on_the_channels_where_they_have_a_device(world: World) -> None:
    ann = await world.add_member("ann@example.com", phones=0)
    await world.add_member("bob@example.com")
    second = await world.add_channel()
    await world.add_phone(ann, second)
    published = await world.publish(world.draft(Scope.USERS, emails=("ann@example.com",)))
    assert published.notification.state is NotificationState.QUEUED
    assert await carriers(world) == [second]


async def test_a_broad_audience_is_sent_to_on_every_channel(world: World) -> None:
    second = await world.add_channel()
    await world.tell("to all")
    assert await carriers(world) == [world.channel_id, second]


@pytest.mark.parametrize(("solution", "is_used"), [(None, False), (SOLUTION, True), (OTHER_SOLUTION, False)])
@pytest.mark.parametrize("scope", [Scope.ORGANIZATION, Scope.USERS])
async def test_a_channel_of_one_solution_carries_only_what_names_it(
    world: World, scope: Scope, solution: str | None, is_used: bool
) -> None:
    ids = await world.read(directory.find_solutions, world.organization_id, world.solutions.values())
    limited = await world.add_channel(solution_id=ids[world.solutions[SOLUTION]].id)
    ann = await world.add_member("ann@example.com")
    await world.add_phone(ann, limited)
    named: UUID | None = None if solution is None else world.solutions[solution]
    emails = ("ann@example.com",) if scope is Scope.USERS else ()
    await world.publish(world.draft(scope, emails=emails, solution=named))
    assert await carriers(world) == [world.channel_id, limited][: 1 + is_used]


async def test_a_person_whose_only_device_is_on_another_solutions_channel_gets_no_push(world: World) -> None:
    ids = await world.read(directory.find_solutions, world.organization_id, world.solutions.values())
    limited = await world.add_channel(solution_id=ids[world.solutions[SOLUTION]].id)
    ann = await world.add_member("ann@example.com", phones=0)
    await world.add_phone(ann, limited)
    published = await world.publish(world.draft(Scope.USERS, emails=("ann@example.com",)))
    assert published.notification.state is NotificationState.SENT
    assert await carriers(world) == []


# ── Idempotency ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_key_and_body_answers_as_the_first_time(world: World) -> None:
    await world.add_member("ann@example.com")
    draft = world.draft(Scope.USERS, emails=("ann@example.com", "nobody@example.com"))
    first = await world.publish(draft, key="k", body=b"1")
    world.clock.move(seconds=60)
    await world.recall(first.notification)
    again = await world.publish(draft, key="k", body=b"1")
    assert again == replace(first, replayed=True)
    assert len(await world.rows(notifications_table)) == 1


async def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    await world.publish(world.draft(), key="k", body=b"1")
    with pytest.raises(Conflict) as refusal:
        await world.publish(world.draft(), key="k", body=b"2")
    assert refusal.value.code == "idempotency_key_reused"
    assert len(await world.rows(notifications_table)) == 1


async def test_a_key_is_good_for_24_hours(world: World) -> None:
    first = await world.publish(world.draft(), key="k", body=b"1")
    world.clock.move(seconds=86_400)
    later = await world.publish(world.draft(), key="k", body=b"2")
    assert not later.replayed
    assert later.notification.id == first.notification.id + 1


async def test_two_users_may_choose_the_same_key(world: World) -> None:
    await world.publish(world.draft(), key="k", body=b"1")
    user = await world.read(directory.find_user, world.organization_id, "admin@example.com")
    bob = await world.add_member("bob@example.com", role=Role.ADMIN)
    other = await world.read(directory.find_user, world.organization_id, "bob@example.com")
    assert other is not None
    assert other != user
    access = replace(world.admin, user_id=other, user=bob.user, member_id=bob.id)
    [answer] = await world.write(publish, [replace(world.request(world.draft(), key="k"), access=access)])
    assert not accepted(answer).replayed


async def test_twins_in_one_batch_are_stored_once_and_answered_alike(world: World) -> None:
    draft = world.draft()
    requests = [world.request(draft, key="k", body=b"1") for _ in range(3)]
    first, *others = [accepted(answer) for answer in await world.write(publish, requests)]
    assert others == [replace(first, replayed=True)] * 2
    assert len(await world.rows(notifications_table)) == 1


async def test_a_twin_with_another_body_is_a_conflict_and_the_first_is_stored(world: World) -> None:
    requests = [world.request(world.draft(), key="k", body=body) for body in (b"1", b"2")]
    first, twin = await world.write(publish, requests)
    assert isinstance(first, Published)
    assert isinstance(twin, Conflict)


async def test_a_refused_request_leaves_its_key_free(world: World) -> None:
    with pytest.raises(Invalid):
        await world.publish(world.draft(Scope.USERS, emails=("ann@example.com",)), key="k", body=b"1")
    await world.add_member("ann@example.com")
    assert not (await world.publish(world.draft(), key="k", body=b"2")).replayed


async def test_two_nodes_that_get_the_same_key_at_once_store_it_once(postgresql_url: str) -> None:
    database = Database(postgresql_url)
    world = await World.make(database, Clock())
    draft = world.draft()

    def publish_again() -> Published | Refusal:
        with database.engine.connect() as connection, connection.begin():
            return publish(connection, [world.request(draft, key="k", body=b"1")])[0]

    with ThreadPoolExecutor(1) as thread:
        with database.engine.connect() as first, first.begin():
            [answer] = publish(first, [world.request(draft, key="k", body=b"1")])
            again = asyncio.get_running_loop().run_in_executor(thread, publish_again)
            await waiting_for_a_lock(database)
        assert await again == replace(accepted(answer), replayed=True)
    assert len(await world.rows(notifications_table)) == 1
    database.close()

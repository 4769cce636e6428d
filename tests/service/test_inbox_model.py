"""Any interleaving of publishing, joining, leaving and recalling leaves each inbox as a simple model says."""

from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clarion.model.audience import Scope
from clarion.model.notification import Notification
from clarion.service.inbox import list_inbox
from clarion.store.database import Database
from tests.clock import Clock
from tests.world import OTHER_SOLUTION, SOLUTION, Member, World

GROUPS = {SOLUTION: ("sales", "finance"), OTHER_SOLUTION: ("customers",)}
AUDIENCES = ("everybody", SOLUTION, OTHER_SOLUTION, "sales", "finance", "customers")

people = st.integers(0, 2)
audiences = st.sampled_from(AUDIENCES)
to_groups = st.sampled_from([*GROUPS]).flatmap(
    lambda solution: st.tuples(
        st.just("groups"), st.just(solution), st.sets(st.sampled_from(GROUPS[solution]), min_size=1)
    )
)
steps = st.one_of(
    st.tuples(st.just("all")),
    st.tuples(st.just("solution"), st.sampled_from([*GROUPS])),
    to_groups,
    st.tuples(st.just("users"), st.sets(people, min_size=1)),
    st.tuples(st.just("join"), people, audiences),
    st.tuples(st.just("leave"), people, audiences),
    st.tuples(st.just("recall"), st.integers(0, 20)),
)


@dataclass
class Model:
    """Who belongs where, and what each saw, told without streams."""

    belongs: dict[int, set[str]] = field(default_factory=lambda: defaultdict(lambda: {"everybody"}))
    seen: dict[int, list[Notification]] = field(default_factory=lambda: defaultdict(list))
    told: list[Notification] = field(default_factory=list)
    recalled: set[UUID] = field(default_factory=set)

    def release(self, told: Notification, to: set[str], also: set[int]) -> None:
        self.told.append(told)
        for person in range(3):
            if person in also or self.belongs[person] & to:
                self.seen[person].append(told)

    def inbox(self, person: int) -> list[Notification]:
        return [one for one in reversed(self.seen[person]) if one.uuid not in self.recalled]


async def take(world: World, members: list[Member], model: Model, step: tuple) -> None:  # type: ignore[type-arg]
    """Do a step in the world and in the model."""
    match step:
        case ("join", person, audience):
            await world.join(members[person], audience)
            model.belongs[person].add(audience)
        case ("leave", person, audience):
            assert await world.leave(members[person], audience) == (audience in model.belongs[person])
            model.belongs[person].discard(audience)
        case ("recall", number):
            if model.told:
                one = model.told[number % len(model.told)]
                await world.recall(one)
                model.recalled.add(one.uuid)
        case ("all",):
            model.release(await world.tell("all"), {"everybody"}, set())
        case ("solution", solution):
            model.release(await world.tell(solution, solution), {solution}, set())
        case ("groups", solution, names):
            draft = world.draft(Scope.GROUPS, groups=tuple(names), solution=world.solutions[solution])
            model.release((await world.publish(draft)).notification, names, set())
        case ("users", some):
            draft = world.draft(Scope.USERS, emails=tuple(members[person].email.upper() for person in some))
            model.release((await world.publish(draft)).notification, set(), some)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25), st.integers(1, 4))
async def test_every_inbox_is_what_the_model_says(
    database: Database, script: list[tuple[object, ...]], limit: int
) -> None:
    world, model = await World.make(database, Clock()), Model()
    members = await world.add_members(3, phones=0)
    for step in script:
        await take(world, members, model, step)
    for person, member in enumerate(members):
        paged, before = [], None
        while True:
            page = await world.read(list_inbox, world.admin, member.user, limit, before)
            paged += page.entries
            before = page.next_before
            if before is None:
                break
            assert len(page.entries) == limit
        assert [entry.notification for entry in paged] == [one.uuid for one in model.inbox(person)]

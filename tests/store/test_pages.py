"""Pages end at a count, and early where the texts are long, so that no list fills a process's memory."""

from hypothesis import given
from hypothesis import strategies as st

from clarion.model.audience import Scope
from clarion.model.notification import Content
from clarion.model.watermark import Filter, Walk
from clarion.service.inbox import list_inbox
from clarion.store.notifications import list_notifications
from clarion.store.slices import MOST_PAGE_CHARACTERS, count_fitting
from tests.world import World

QUARTER = "x" * (MOST_PAGE_CHARACTERS // 4 - 1_000)


@given(st.lists(st.integers(0, 2 * MOST_PAGE_CHARACTERS)), st.integers(1, 200))
def test_a_page_has_at_least_one_item_and_no_more_text_than_it_may(sizes: list[int], limit: int) -> None:
    count = count_fitting(sizes, limit)
    assert min(len(sizes), 1) <= count <= min(len(sizes), limit)
    assert count <= 1 or sum(sizes[:count]) <= MOST_PAGE_CHARACTERS
    assert count in {len(sizes), limit} or sum(sizes[: count + 1]) > MOST_PAGE_CHARACTERS


async def tell_long_ones(world: World, count: int) -> list[object]:
    """The ids of long notifications, newest first."""
    content = Content("Hello", inputs={"text": QUARTER})
    told = [(await world.publish(world.draft(content=content))).notification for _ in range(count)]
    return [one.uuid for one in told[::-1]]


async def test_a_page_of_long_notifications_ends_early_and_the_next_one_goes_on(world: World) -> None:
    told = await tell_long_ones(world, 10)
    pages, before = [], None
    while True:
        page = await world.read(list_notifications, world.organization_id, 200, before)
        pages.append([item.uuid for item in page.items])
        if (before := page.next_before) is None:
            break
    assert [len(page) for page in pages] == [4, 4, 2]
    assert [uuid for page in pages for uuid in page] == told


async def test_a_page_of_a_long_inbox_ends_early_and_the_next_one_goes_on(world: World) -> None:
    told = await tell_long_ones(world, 10)
    pages: list[list[object]] = []
    start: Walk | Filter | None = Filter.USUAL
    while start is not None:
        listing = await world.read(list_inbox, world.admin, world.admin.user, start, 7, world.horizon)
        pages.append([entry.notification for entry in listing.entries])
        start = listing.rest
    assert [len(page) for page in pages] == [4, 4, 2]
    assert [uuid for page in pages for uuid in page] == told


async def test_addresses_count_as_text_too(world: World) -> None:
    await world.add_member("ann@example.com")
    emails = ("ann@example.com", *(f"{number:04d}{'n' * 80}@example.com" for number in range(10_000)))
    for _ in range(6):
        await world.publish(world.draft(Scope.USERS, emails=emails))
    page = await world.read(list_notifications, world.organization_id, 200, None)
    assert len(page.items) == 4

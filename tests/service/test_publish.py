"""Publishing: what is stored, who is addressed, and what is refused."""

from clarion.model.audience import Scope
from tests.world import World


async def test_a_notification_to_the_organization_is_stored_and_released(world: World) -> None:
    await world.add_member("one@example.com")
    published = await world.publish(world.draft(Scope.ORGANIZATION))
    stored = await world.stored(published.notification.uuid)
    assert stored == published.notification

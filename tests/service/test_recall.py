"""Recalling: which channels get a withdrawal."""

from uuid import uuid4

from clarion.model.delivery import PushKind
from clarion.store import channels
from clarion.store.schema import push_runs
from tests.service.lanes import ScriptedProvider, make_lane
from tests.world import World


async def test_nothing_is_withdrawn_over_web_push(world: World) -> None:
    """A browser ends a subscription that brings silent messages, so its banner stays."""
    ann = await world.add_member("ann@example.com", phones=1)
    new = channels.NewChannel(uuid4(), "webpush", "browsers", {}, "")
    browsers = await world.write(channels.add_channel, world.organization_id, new, world.clock())
    await world.add_phone(ann, browsers)
    told = await world.tell("to all")
    for channel_id in (world.channel_id, browsers):
        await make_lane(world, ScriptedProvider(), channel_id=channel_id).drain()
    await world.recall(told)
    [withdrawal] = await world.rows(push_runs)
    assert (withdrawal.kind, withdrawal.channel_id) == (PushKind.WITHDRAWAL, world.channel_id)

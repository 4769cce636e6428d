"""`/metrics` tells how long credentials are still good for."""

import re
from uuid import uuid4

import httpx

from clarion.service.expiry import DAY_MS
from clarion.store import channels
from clarion.store.channels import NewChannel
from tests.world import World


async def test_the_days_left_of_every_credential_that_ends_are_shown(
    world: World, http: httpx.AsyncClient
) -> None:
    ids = []
    for days in (10, -2):
        new = NewChannel(uuid4(), "apns", "ends", {}, "", expires_at=world.clock() + days * DAY_MS)
        ids.append(await world.write(channels.add_channel, world.organization_id, new, world.clock()))
    told = (await http.get("/metrics")).text
    found = re.findall(
        r'^clarion_credential_days_left\{channel="(\d+)",provider="apns"\} (\S+)$', told, re.MULTILINE
    )
    assert found == [(str(ids[1]), "-2.0"), (str(ids[0]), "10.0")]
    assert 'channel="' + str(world.channel_id) not in told, "a key does not end"

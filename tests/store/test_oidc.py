"""The issuer of an organization at rest: one at most, replaced by the next."""

from uuid import uuid4

from clarion.model.oidc import Claim, Issuer
from clarion.store import oidc
from tests.world import World

ONE = Issuer("https://one.example.com", "app", Claim.EMAIL)
TWO = Issuer("https://two.example.com/realm", "other", Claim.SUBJECT)


async def test_an_organization_has_one_issuer_at_most(world: World) -> None:
    other = await World.make(world.database, world.clock, "Other")
    assert await world.read(oidc.find_issuer, world.organization) is None
    for issuer in (ONE, TWO):
        await world.write(oidc.set_issuer, world.organization_id, issuer, world.clock())
        assert await world.read(oidc.find_issuer, world.organization) == issuer
    assert await world.read(oidc.find_issuer, other.organization) is None
    assert await world.read(oidc.find_issuer, uuid4()) is None


async def test_an_issuer_is_removed_once(world: World) -> None:
    await world.write(oidc.set_issuer, world.organization_id, ONE, world.clock())
    assert await world.write(oidc.remove_issuer, world.organization_id)
    assert not await world.write(oidc.remove_issuer, world.organization_id)
    assert await world.read(oidc.find_issuer, world.organization) is None

"""ID tokens at the gatekeeper: whose are accepted as a member's session, and which prove nothing."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from clarion.model.access import Role, Session
from clarion.model.errors import Forbidden, IssuerUnavailable, NotFound, Unauthenticated
from clarion.model.oidc import Claim, Issuer
from clarion.service.access import CACHE_MS, Gatekeeper
from clarion.service.allowance import Allowance
from clarion.service.issuer_fetch import Fetcher, Way
from clarion.service.issuer_keys import PAUSE_MS, IssuerKeys
from clarion.service.oidc import LONGEST_TOKEN, IdTokens
from clarion.store import oidc
from tests.clock import Clock
from tests.http2.peer import Certificate, make_certificate
from tests.service.issuer import (
    AUDIENCE,
    EC_KEY,
    EMAIL,
    KEYS,
    OTHER_RSA_KEY,
    RSA_KEY,
    Said,
    StandIn,
    public_jwk,
    said,
    serving,
)
from tests.world import World

MINUTE = 60


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def issuer(certificate: Certificate, clock: Clock) -> Iterator[StandIn]:
    with serving(certificate, clock) as stand_in:
        yield stand_in


async def set_issuer(world: World, issuer: StandIn, claim: Claim = Claim.EMAIL) -> None:
    chosen = Issuer(issuer.url, AUDIENCE, claim)
    await world.write(oidc.set_issuer, world.organization_id, chosen, world.clock())


@pytest.fixture
async def door(world: World, issuer: StandIn, certificate: Certificate) -> Gatekeeper:
    """A gatekeeper of an organization that trusts the issuer, which is asked over TLS."""
    await set_issuer(world, issuer)
    return gatekeeper(world, Fetcher(Way(str(certificate.chain))))


def gatekeeper(world: World, fetch: Any) -> Gatekeeper:
    id_tokens = IdTokens(world.database, IssuerKeys(fetch, world.clock), world.clock)
    allowance = Allowance(1_000, world.clock)
    return Gatekeeper(world.database, "us-east-1", {}, allowance, world.clock, id_tokens)


async def refused(door: Gatekeeper, token: str, organization: UUID) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        await door.access(token, organization)
    assert str(refusal.value) == "Unauthorized"


# ── Accepted ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key_id", ["r1", "e1"])
async def test_a_token_is_a_session_of_the_member_with_its_address(
    door: Gatekeeper, world: World, issuer: StandIn, key_id: str
) -> None:
    member = await world.add_member(EMAIL)
    access = await door.access(issuer.token(key_id), world.organization)
    assert (access.user, access.member_id, access.role) == (member.user, member.id, Role.USER)
    assert access.session == Session(world.clock() + 360_000)
    with pytest.raises(NotFound):
        await door.member(issuer.token(key_id), world.organization, world.admin.user)


async def test_addresses_are_compared_without_regard_to_case(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    member = await world.add_member("UserName@Example.com")
    assert (await door.access(issuer.token(), world.organization)).user == member.user


async def test_an_administrator_is_a_plain_member_in_their_app(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    token = issuer.token(email="admin@example.com")
    assert (await door.access(token, world.organization)).role is Role.USER
    with pytest.raises(Forbidden):
        await door.sender(token, world.organization)


async def test_a_subject_may_be_a_members_user_id(door: Gatekeeper, world: World, issuer: StandIn) -> None:
    await set_issuer(world, issuer, Claim.SUBJECT)
    member = await world.add_member("somebody@example.com")
    token = issuer.token(sub=str(member.user), email=None, email_verified=None)
    assert (await door.access(token, world.organization)).member_id == member.id
    for other in (EMAIL, str(uuid4())):
        with pytest.raises(NotFound):
            await door.access(issuer.token(sub=other), world.organization)


async def test_many_requests_ask_the_issuer_once(door: Gatekeeper, world: World, issuer: StandIn) -> None:
    await world.add_member(EMAIL)
    for number in range(5):
        await door.access(issuer.token(sub=f"subject-{number}"), world.organization)
    assert len(issuer.asked) == 2


# ── Refused ──────────────────────────────────────────────────────────────────────────────────────────────


def b64(value: object) -> str:
    octets = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def unsigned(issuer: StandIn, algorithm: object) -> str:
    return f"{b64({'alg': algorithm, 'typ': 'JWT', 'kid': 'r1'})}.{b64(issuer.claims())}."


def signed_with_public_key(issuer: StandIn, secret: bytes) -> str:
    """What a verifier takes for good that lets the token choose its algorithm."""
    signed = f"{b64({'alg': 'HS256', 'typ': 'JWT', 'kid': 'r1'})}.{b64(issuer.claims())}"
    return f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def changed(token: str, **other: Any) -> str:
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return f"{head}.{b64(claims | other)}.{signature}"


def forgeries(issuer: StandIn) -> dict[str, str]:
    spki = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pkcs1 = RSA_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    good = issuer.token()
    head, body, signature = good.split(".")
    return {
        "alg none": unsigned(issuer, "none"),
        "alg as a list": unsigned(issuer, ["RS256"]),
        "alg None": unsigned(issuer, "None"),
        "alg empty": unsigned(issuer, ""),
        "HS256 with the public key": signed_with_public_key(issuer, spki),
        "HS256 with the public key as DER": signed_with_public_key(issuer, pkcs1),
        "HS256 with the JWK": signed_with_public_key(issuer, json.dumps(public_jwk(RSA_KEY, "r1")).encode()),
        "no signature": f"{head}.{body}.",
        "another's key": jwt.encode(issuer.claims(), OTHER_RSA_KEY, "RS256", {"kid": "r1"}),
        "a key of the other kind": jwt.encode(issuer.claims(), EC_KEY, "ES256", {"kid": "r1"}),
        "RS512": jwt.encode(issuer.claims(), RSA_KEY, "RS512", {"kid": "r1"}),
        "PS256": jwt.encode(issuer.claims(), RSA_KEY, "PS256", {"kid": "r1"}),
        "changed": changed(good, email="admin@example.com"),
        "mistyped": f"{head}.{body}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}",
        "an access token": issuer.token(headers={"kid": "r1", "typ": "at+jwt"}),
        "something critical": issuer.token(headers={"kid": "r1", "crit": ["b64"], "b64": True}),
        "an own key in its header": jwt.encode(
            issuer.claims(), OTHER_RSA_KEY, "RS256", {"kid": "own", "jwk": public_jwk(OTHER_RSA_KEY, "own")}
        ),
        "a URL for its keys": jwt.encode(
            issuer.claims(), OTHER_RSA_KEY, "RS256", {"kid": "own", "jku": "https://evil.example.com/keys"}
        ),
        "a path for a kid": jwt.encode(issuer.claims(), OTHER_RSA_KEY, "RS256", {"kid": "../../dev/null"}),
        "too long": issuer.token(padding="x" * LONGEST_TOKEN),
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "an empty header": f"{b64({})}.{body}.{signature}",
        "a list for a header": f"{b64([])}.{body}.{signature}",
        "no header": f"eyJ.{body}.{signature}",
        "no object": jwt.PyJWS().encode(b"[1]", RSA_KEY, "RS256", {"kid": "r1", "typ": "JWT"}),
        "no JSON": jwt.PyJWS().encode(b"\xff", RSA_KEY, "RS256", {"kid": "r1", "typ": "JWT"}),
        "deep JSON": jwt.PyJWS().encode(b"[" * 5_000, RSA_KEY, "RS256", {"kid": "r1", "typ": "JWT"}),
        "encrypted": f"{head}.{body}.{body}.{body}.{signature}",
    }


async def test_whatever_the_issuer_did_not_sign_is_refused(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    assert await door.access(issuer.token(), world.organization)
    for what, token in forgeries(issuer).items():
        try:
            await refused(door, token, world.organization)
        except pytest.fail.Exception:
            pytest.fail(f"{what} was taken")


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://localhost"},
        {"aud": "another-app"},
        {"aud": [AUDIENCE, "another-app"]},
        {"azp": "another-app"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": None},
        {"sub": None},
        {"exp": None},
        {"iat": None},
        {"nbf": 10**10},
    ],
    ids=str,
)
async def test_a_token_of_the_issuer_that_says_something_else_is_refused(
    door: Gatekeeper, world: World, issuer: StandIn, wrong: dict[str, Any]
) -> None:
    await world.add_member(EMAIL)
    claims = {name: value for name, value in (issuer.claims() | wrong).items() if value is not None}
    await refused(door, jwt.encode(claims, RSA_KEY, "RS256", {"kid": "r1"}), world.organization)


async def test_a_token_is_good_for_a_minute_beyond_its_end_and_not_longer(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    token = issuer.token()
    world.clock.move(seconds=6 * MINUTE, milliseconds=-1)
    assert await door.access(token, world.organization)
    world.clock.move(milliseconds=1)
    await refused(door, token, world.organization)


async def test_the_issuers_clock_may_be_a_minute_ahead(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    now = world.clock() // 1000
    assert await door.access(issuer.token(iat=now + MINUTE), world.organization)
    await refused(door, issuer.token(iat=now + MINUTE + 1), world.organization)


async def test_a_token_of_nobody_hides_the_organization(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    with pytest.raises(NotFound):
        await door.access(issuer.token(), world.organization)


async def test_another_organization_does_not_take_it(door: Gatekeeper, world: World, issuer: StandIn) -> None:
    other = await World.make(world.database, world.clock, "Other")
    await other.add_member(EMAIL)
    await refused(door, issuer.token(), other.organization)
    await refused(door, issuer.token(), uuid4())
    their_app = Issuer(issuer.url, "their-app", Claim.EMAIL)
    await world.write(oidc.set_issuer, other.organization_id, their_app, world.clock())
    await refused(door, issuer.token(sub="again"), other.organization)


async def test_an_issuer_that_is_removed_is_trusted_no_more_within_a_second(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    token = issuer.token()
    await door.access(token, world.organization)
    assert await world.write(oidc.remove_issuer, world.organization_id)
    world.clock.move(milliseconds=CACHE_MS)
    await refused(door, token, world.organization)


async def test_without_id_tokens_none_is_taken(world: World, issuer: StandIn) -> None:
    await set_issuer(world, issuer)
    await world.add_member(EMAIL)
    door = Gatekeeper(world.database, "us-east-1", {}, Allowance(1_000, world.clock), world.clock)
    await refused(door, issuer.token(), world.organization)


# ── Keys that change, and an issuer that is away ─────────────────────────────────────────────────────────


async def test_a_new_key_is_found_when_a_token_names_it(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    await door.access(issuer.token(), world.organization)
    issuer.keys = {"r2": OTHER_RSA_KEY}
    issuer.publish()
    await refused(door, issuer.token("r2"), world.organization)
    world.clock.move(milliseconds=PAUSE_MS)
    assert await door.access(issuer.token("r2"), world.organization)
    issuer.keys["r1"] = RSA_KEY
    await refused(door, issuer.token("r1"), world.organization)


async def test_while_the_issuer_is_away_its_last_keys_serve_and_without_any_it_is_said(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    issuer.documents[KEYS] = Said(status=503)
    with pytest.raises(IssuerUnavailable) as refusal:
        await door.access(issuer.token(), world.organization)
    assert refusal.value.retry_after_seconds == 30
    issuer.publish()
    world.clock.move(milliseconds=PAUSE_MS)
    assert await door.access(issuer.token(), world.organization)
    issuer.documents.clear()
    for hours in (1, 22):
        world.clock.move(seconds=hours * 3_600)
        assert await door.access(issuer.token(), world.organization)
    world.clock.move(seconds=3_600)
    with pytest.raises(IssuerUnavailable):
        await door.access(issuer.token(), world.organization)


async def test_a_key_set_of_ten_megabytes_is_not_taken(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    issuer.documents[KEYS] = said({"keys": [public_jwk(RSA_KEY, "r1")], "padding": "x" * 10_000_000})
    with pytest.raises(IssuerUnavailable):
        await door.access(issuer.token(), world.organization)


async def test_a_discovery_document_of_another_issuer_is_not_taken(
    door: Gatekeeper, world: World, issuer: StandIn
) -> None:
    await world.add_member(EMAIL)
    other = {"issuer": issuer.url + "/", "jwks_uri": issuer.url + KEYS}
    issuer.documents["/.well-known/openid-configuration"] = said(other)
    with pytest.raises(IssuerUnavailable):
        await door.access(issuer.token(), world.organization)
    assert issuer.asked == ["/.well-known/openid-configuration"]

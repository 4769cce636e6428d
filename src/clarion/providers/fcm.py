"""Google's Firebase Cloud Messaging, HTTP v1: settings, sending, and a token that is renewed in time.

A provider of `model.push.Provider`, made by `make_provider`. What is sent stands in `fcm_payload.py`, what the
answers mean in `fcm_answers.py`, who we are in `fcm_credential.py`.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final

from clarion import http2
from clarion.model.outcome import ACCEPTED, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import InvalidChannel, Parcel, Push
from clarion.providers.around import Loan, Surroundings
from clarion.providers.fcm_answers import read_answer
from clarion.providers.fcm_credential import PROJECT_ID, AccessTokens, ServiceAccount
from clarion.providers.fcm_payload import encode_request, encode_target, is_address
from clarion.providers.proving import Proving

HOST: Final = "fcm.googleapis.com"

LIMITS: Final = http2.Limits(deadline_seconds=15.0)
"""FCM gives up inside after ten seconds; a shorter deadline than that would make unknown what it answers
(firebase.google.com/docs/cloud-messaging/scale-fcm)."""

_IMPOSSIBLE: Final = Refused("not an address of FCM", doubts_device=True)


@dataclass(frozen=True, slots=True)
class FcmSettings:
    """A channel's settings. The project is the service account's, host and port are Google's, unless given."""

    project_id: str
    host: str
    port: int

    @classmethod
    def read(cls, values: dict[str, Any], account: ServiceAccount) -> "FcmSettings":
        """Check a channel's settings; raises InvalidChannel with what is wrong."""
        if unknown := sorted(set(values) - {"project_id", "host", "port"}):
            raise InvalidChannel(f"unknown settings for FCM: {', '.join(unknown)}")
        project_id = values.get("project_id", account.project_id)
        if not _is_text(project_id, PROJECT_ID):
            raise InvalidChannel("project_id must be the Firebase project's id, as its settings show it")
        host, port = values.get("host", HOST), values.get("port", 443)
        if not _is_text(host, r"[A-Za-z0-9.-]{1,253}"):
            raise InvalidChannel("host must be a host name")
        if type(port) is not int or not 0 < port < 1 << 16:
            raise InvalidChannel("port must be a number from 1 to 65535")
        return cls(project_id, host, port)


def _is_text(value: object, pattern: str) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


class Fcm:
    """One FCM channel: a Firebase project, a service account, connections."""

    def __init__(
        self, settings: FcmSettings, tokens: Loan[AccessTokens], pool: http2.Pool, clock: Callable[[], int]
    ) -> None:
        self._authority = http2.authority(settings.host, settings.port)
        self._path = http2.literal(b":path", f"/v1/projects/{settings.project_id}/messages:send".encode())
        self._tokens = tokens
        self._pool = pool
        self._clock = clock
        self._proving = Proving(is_address, _IMPOSSIBLE)

    @classmethod
    def from_channel(cls, settings: dict[str, Any], secret: str, around: Surroundings) -> "Fcm":
        """Make the provider of a channel; raises InvalidChannel."""
        account = ServiceAccount.read(secret)
        checked = FcmSettings.read(settings, account)

        def pool(host: str, port: int) -> http2.Pool:
            return http2.Pool(host, port, tls=around.tls, limits=LIMITS, proxy=around.proxy)

        tokens = around.shared.borrow(
            ("fcm-token", sha256(secret.encode()).digest()),
            lambda: AccessTokens(account, pool(account.token_host, account.token_port), around.clock),
            AccessTokens.close,
        )
        return cls(checked, tokens, pool(checked.host, checked.port), around.clock)

    async def connect(self) -> Unavailable | Misconfigured | None:
        """See that Google can be reached and knows the account. What was refused is shown to it once more."""
        self._proving.begin_anew()
        token = await self._tokens.thing.text()
        if not isinstance(token, str):
            return token
        try:
            await self._pool.connect()
        except http2.ConnectFailed as error:
            return Unavailable(str(error))
        return None

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Offer a push. Until this credential was taken once, one device goes ahead of the others."""
        return await self._offer(encode_request(push, self._clock()), parcels)

    async def validate(self, push: Push, parcel: Parcel) -> Outcome:
        """Ask FCM whether it would take a push to a device, which gets nothing."""
        [outcome] = await self._offer(encode_request(push, self._clock(), only_validate=True), [parcel])
        return outcome

    async def close(self) -> None:
        """Close the connections; the access token's goes with its last user."""
        await asyncio.gather(self._pool.close(), self._tokens.give_back())

    async def _offer(self, body: tuple[bytes, bytes], parcels: Sequence[Parcel]) -> list[Outcome]:
        return await self._proving.offer(parcels, partial(self._ask_with_token, body))

    async def _ask_with_token(
        self, body: tuple[bytes, bytes], parcels: Sequence[Parcel], *, is_last_try: bool = False
    ) -> list[Outcome]:
        """Ask with the present token; when FCM does not take it, once more with a new one, one device ahead."""
        token = await self._tokens.thing.text()
        if not isinstance(token, str):
            return [token] * len(parcels)
        outcomes = await self._ask(token, body, parcels)
        turned_away = [place for place, outcome in enumerate(outcomes) if _is_unauthenticated(outcome)]
        if not turned_away:
            return outcomes
        self._tokens.thing.was_refused(token)
        if is_last_try:
            return outcomes
        first, *others = turned_away
        [outcomes[first]] = await self._ask_with_token(body, [parcels[first]], is_last_try=True)
        if isinstance(outcomes[first], Misconfigured):
            again: list[Outcome] = [outcomes[first]] * len(others)
        else:
            again = await self._ask_with_token(body, [parcels[place] for place in others], is_last_try=True)
        for place, outcome in zip(others, again, strict=True):
            outcomes[place] = outcome
        return outcomes

    async def _ask(self, token: str, body: tuple[bytes, bytes], parcels: Sequence[Parcel]) -> list[Outcome]:
        headers = [("authorization", f"Bearer {token}"), ("content-type", "application/json")]
        template = http2.Template(method="POST", authority=self._authority, headers=headers, body=body)
        holes = [(self._path, encode_target(parcel.address)) for parcel in parcels]
        asked_at = self._clock()
        results = await self._pool.burst(template, holes)
        now = self._clock()
        return [_outcome(result, asked_at, now) for result in results]


def _is_unauthenticated(outcome: Outcome) -> bool:
    """Whether the access token was not taken."""
    return isinstance(outcome, Misconfigured) and outcome.reason.startswith("UNAUTHENTICATED")


def _outcome(result: http2.Result, asked_at: int, now: int) -> Outcome:
    match result:
        case http2.Answer(status=200):
            return ACCEPTED
        case http2.Answer():
            return read_answer(result, asked_at=asked_at, now=now)
        case http2.NotProcessed(reason=reason):
            return Unavailable(reason)
        case http2.Unknown(reason=reason):
            return Unknown(reason)

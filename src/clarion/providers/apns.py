"""Apple's push service: one channel, its sending, and its care for the credential.

A provider of `model.push.Provider`, made by `make_provider`. What is sent is in `apns_payload`, what answers
mean in `apns_answers`, keys and certificates in `apns_credentials`.
"""

import asyncio
import re
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from hashlib import sha256
from ssl import SSLContext
from typing import Any, Final

from clarion import http2
from clarion.model.outcome import ACCEPTED, Misconfigured, Outcome, Refused, Unavailable, Unknown
from clarion.model.push import InvalidAddress, InvalidChannel, Parcel, Push
from clarion.providers.apns_answers import ANSWERS, read_answer
from clarion.providers.apns_credentials import (
    ApnsSettings,
    ClientCertificate,
    Credential,
    ProviderToken,
    read_certificate,
    read_key,
)
from clarion.providers.apns_payload import encode_headers, encode_payload
from clarion.providers.around import Loan, Surroundings
from clarion.providers.proving import Proving

__all__ = ["ANSWERS", "Apns", "check_address"]

_ADDRESS: Final = re.compile(r"[0-9a-fA-F]{2,400}")
_IMPOSSIBLE: Final = Refused("not a device token in hexadecimal", doubts_device=True)


def check_address(text: str) -> str:
    """Check a device token in hexadecimal; returns it in lower case. Raises InvalidAddress."""
    if not _is_address(text):
        raise InvalidAddress("a device token of APNs is an even number of hexadecimal digits, at most 400")
    return text.lower()


def _is_address(text: str) -> bool:
    return not len(text) & 1 and _ADDRESS.fullmatch(text) is not None


class Apns:
    """One APNs channel: a credential, a topic, and connections that it shares with the credential's other channels."""

    def __init__(
        self,
        authority: str,
        topic: str,
        credential: Loan[Credential],
        pool: Loan[http2.Pool],
        clock: Callable[[], int],
    ) -> None:
        self._authority = authority
        self._topic = topic
        self._credential = credential
        self._pool = pool
        self._clock = clock
        self._proving = Proving(_is_address, _IMPOSSIBLE)
        self._bursts: set[asyncio.Task[list[http2.Result]]] = set()
        self._is_closed = False

    @classmethod
    def from_channel(cls, settings: dict[str, Any], secret: str, around: Surroundings) -> "Apns":
        """Make the provider of a channel; raises InvalidChannel."""
        checked = ApnsSettings.read(settings)
        if checked.key is None or checked.topic is None:
            return cls._with_certificate(checked, read_certificate(secret), around)
        team_id, key_id = checked.key
        signing = read_key(secret)
        identity = (team_id, key_id, sha256(secret.encode()).digest())
        token = around.shared.borrow(
            ("apns-token", *identity), lambda: ProviderToken(team_id, key_id, signing, around.clock)
        )
        pool = _borrow_pool(checked, identity, around.tls, around)
        return cls(checked.authority, checked.topic, token, pool, around.clock)

    @classmethod
    def _with_certificate(
        cls, settings: ApnsSettings, certificate: ClientCertificate, around: Surroundings
    ) -> "Apns":
        certificate.check(around.clock())
        topic = certificate.find_topic() if settings.topic is None else settings.topic
        try:
            tls = http2.client_tls(around.ca_file, certificate=certificate.pem.encode())
        except (OSError, ValueError) as error:
            raise InvalidChannel(f"the certificate cannot be used: {error}") from None
        identity = (sha256(certificate.pem.encode()).digest(),)
        one = around.shared.borrow(("apns-certificate", *identity), lambda: certificate)
        pool = _borrow_pool(settings, identity, tls, around)
        return cls(settings.authority, topic, one, pool, around.clock)

    async def connect(self) -> Unavailable | Misconfigured | None:
        """See that Apple can be reached. What was refused may have been mended: it is shown to Apple once more."""
        self._proving.begin_anew()
        try:
            self._credential.thing.check(self._clock())
            await self._pool.thing.connect()
        except http2.ConnectFailed as error:
            return Unavailable(str(error))
        except InvalidChannel as error:
            return Misconfigured(str(error))
        return None

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Offer a push. Until this credential was taken once, one device goes ahead of the others."""
        template = http2.Template(
            method="POST",
            authority=self._authority,
            headers=self._credential.thing.headers() + encode_headers(push, self._topic),
            body=(encode_payload(push), b""),
        )
        return await self._proving.offer(parcels, partial(self._ask, template))

    async def close(self) -> None:
        """End what is in flight, and close the connections unless another channel uses them."""
        self._is_closed = True
        for burst in self._bursts:
            burst.cancel()
        await self._pool.give_back()
        await self._credential.give_back()

    async def _ask(self, template: http2.Template, parcels: Sequence[Parcel]) -> list[Outcome]:
        holes = [
            (
                http2.literal(b":path", b"/3/device/" + parcel.address.encode())
                + http2.literal(b"apns-id", parcel.push_id.encode()),
                b"",
            )
            for parcel in parcels
        ]
        outcomes = [_outcome(result) for result in await self._results(template, holes)]
        self._learn(outcomes)
        return outcomes

    async def _results(self, template: http2.Template, holes: Sequence[http2.Hole]) -> list[http2.Result]:
        """Send over the shared connections; `close` ends what this channel has in flight there, and nothing else."""
        if self._is_closed:
            return [http2.NotProcessed("closed by us")] * len(holes)
        burst = asyncio.create_task(self._pool.thing.burst(template, holes))
        self._bursts.add(burst)
        try:
            await asyncio.wait([burst])
        finally:
            self._bursts.remove(burst)
            burst.cancel()
        return [http2.Unknown("closed by us")] * len(holes) if burst.cancelled() else burst.result()

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        """Note what the answers say about the provider token and the connections."""
        reasons = {outcome.reason for outcome in outcomes if isinstance(outcome, Unavailable)}
        if "ExpiredProviderToken" in reasons:
            self._proving.doubt()
            self._credential.thing.was_called_expired()
        if "UnrelatedKeyIdInToken" in reasons:
            self._proving.doubt()
            self._pool.thing.renew()


def _borrow_pool(
    settings: ApnsSettings, identity: tuple[Hashable, ...], tls: SSLContext, around: Surroundings
) -> Loan[http2.Pool]:
    """The connections of one credential to one host: Apple binds a connection to the team that used it first."""
    return around.shared.borrow(
        ("apns", settings.host, settings.port, *identity),
        lambda: http2.Pool(settings.host, settings.port, tls=tls, proxy=around.proxy),
        http2.Pool.close,
    )


def _outcome(result: http2.Result) -> Outcome:
    match result:
        case http2.Answer(status=200):
            return ACCEPTED
        case http2.Answer(status=status, body=body):
            return read_answer(status, body)
        case http2.NotProcessed(reason=reason):
            return Unavailable(reason)
        case http2.Unknown(reason=reason):
            return Unknown(reason)

"""Apple's push service: one channel, its sending, and its care for the credential.

A provider of `model.push.Provider`, made by `make_provider`. What is sent is in `apns_payload`, what answers
mean in `apns_answers`, keys and certificates in `apns_credentials`.
"""

import asyncio
import re
from collections.abc import Callable, Hashable, Sequence
from hashlib import sha256
from ssl import SSLContext
from typing import Any, Final

from clarion import http2
from clarion.model.outcome import (
    ACCEPTED,
    Accepted,
    Gone,
    Misconfigured,
    Outcome,
    Refused,
    Unavailable,
    Unknown,
)
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

__all__ = ["ANSWERS", "Apns", "check_address"]

_ADDRESS: Final = re.compile(r"[0-9a-fA-F]{2,400}")


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
        host: str,
        topic: str,
        credential: Loan[Credential],
        pool: Loan[http2.Pool],
        clock: Callable[[], int],
    ) -> None:
        self._host = host
        self._topic = topic
        self._credential = credential
        self._pool = pool
        self._clock = clock
        self._is_proven = False
        self._refusal: Misconfigured | None = None
        self._proving = asyncio.Lock()
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
        return cls(checked.host, checked.topic, token, pool, around.clock)

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
        return cls(settings.host, topic, one, pool, around.clock)

    async def connect(self) -> Unavailable | Misconfigured | None:
        """See that Apple can be reached. What was refused may have been mended: it is shown to Apple once more."""
        self._refusal = None
        try:
            self._credential.thing.check(self._clock())
            await self._pool.thing.connect()
        except http2.ConnectFailed as error:
            return Unavailable(str(error))
        except InvalidChannel as error:
            return Misconfigured(str(error))
        return None

    async def send(self, push: Push, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Offer a push. Until this credential was taken once, one device goes ahead of the others.

        Apple counts refusals against a sender, so a wrong key must not be shown to it five hundred times: once
        refused, everything is until the next `connect`.
        """
        template = http2.Template(
            method="POST",
            authority=self._host,
            headers=self._credential.thing.headers() + encode_headers(push, self._topic),
            body=(encode_payload(push), b""),
        )
        async with self._proving:
            may_go = self._is_proven or self._refusal is not None
            ahead = [] if may_go else await self._burst(template, parcels[:1])
        if self._refusal is not None:
            return ahead + [self._refusal] * (len(parcels) - len(ahead))
        if ahead and _is_whole_service(ahead[0]):
            return ahead * len(parcels)
        return ahead + await self._burst(template, parcels[len(ahead) :])

    async def close(self) -> None:
        """End what is in flight, and close the connections unless another channel uses them."""
        self._is_closed = True
        for burst in self._bursts:
            burst.cancel()
        await self._pool.give_back()
        await self._credential.give_back()

    async def _burst(self, template: http2.Template, parcels: Sequence[Parcel]) -> list[Outcome]:
        """Send to the addresses that can be one; Apple need not be asked about the others."""
        possible = [parcel for parcel in parcels if _is_address(parcel.address)]
        if len(possible) == len(parcels):
            return await self._ask(template, parcels)
        asked = iter(await self._ask(template, possible) if possible else ())
        impossible = Refused("not a device token in hexadecimal", doubts_device=True)
        return [next(asked) if _is_address(parcel.address) else impossible for parcel in parcels]

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
        """Note what the answers say about the credential."""
        for outcome in outcomes:
            if isinstance(outcome, Accepted | Gone):
                self._is_proven = True
            elif isinstance(outcome, Misconfigured):
                self._is_proven, self._refusal = False, outcome
            elif isinstance(outcome, Unavailable) and outcome.reason == "ExpiredProviderToken":
                self._is_proven = False
                self._credential.thing.was_called_expired()
            elif isinstance(outcome, Unavailable) and outcome.reason == "UnrelatedKeyIdInToken":
                self._is_proven = False
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


def _is_whole_service(outcome: Outcome) -> bool:
    """Whether what one device was answered would be answered to all."""
    return isinstance(outcome, Unavailable) and outcome.whole_service


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

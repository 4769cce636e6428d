"""The wire of channels, devices and receipts: their bodies and answers."""

import json
import re
from functools import cache
from typing import Annotated, Final, Literal, NotRequired, TypedDict
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, Field

from clarion.api.checking import Body
from clarion.api.schemas import read_moment, read_uuid
from clarion.model.errors import Fault, Invalid
from clarion.model.moment import to_rfc3339
from clarion.service.devices import Registered
from clarion.service.receipts import MOST_RECEIPTS, Told
from clarion.store.installations import Details, Installation, OpenChannel
from clarion.store.receipts import ReceiptEvent

# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────


def _check_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable characters")
    return text


def _check_language(tag: str) -> str:
    if re.fullmatch(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}", tag) is None:
        raise ValueError("is no language tag, such as en or pt-BR")
    return tag.replace("_", "-")


@cache
def _time_zones() -> frozenset[str]:
    """The system's time zones; finding them walks a folder, so it is done once."""
    return frozenset(available_timezones())


def _check_time_zone(name: str) -> str:
    if name not in _time_zones():
        raise ValueError("is no time zone, such as Europe/Berlin")
    return name


Words = Annotated[str, Field(max_length=100), AfterValidator(_check_printable)]
Id = Annotated[UUID, BeforeValidator(read_uuid, json_schema_input_type=UUID)]


class KeysBody(Body):
    """The keys of a browser's subscription."""

    p256dh: str = Field(alias="p256dh")
    auth: str


class AddressBody(Body):
    """How the device is reached: what its push service gave the app.

    APNs: `token`. FCM: `token` or `fid`. A browser: `endpoint` and `keys`, as `PushSubscription.toJSON()` has them.
    """

    token: str | None = None
    fid: str | None = None
    endpoint: str | None = None
    keys: KeysBody | None = None
    expiration_time: float | None = Field(None, description="A browser's; without effect.")


class DeviceBody(Body):
    """An installation to register."""

    channel_id: Id = Field(description="One of those that `GET …/channels` lists.")
    installation_id: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_check_printable)] = (
        Field(
            description="The app's own id of this installation, such as a random UUID made at its first start."
        )
    )
    address: AddressBody
    name: Words | None = Field(None, description="What people call the device.")
    platform: Words | None = Field(None, description="Such as `ios`, `android` or `web`.")
    app_version: Words | None = None
    language: Annotated[str, Field(max_length=35), AfterValidator(_check_language)] | None = Field(
        None, description="A BCP 47 tag."
    )
    time_zone: Annotated[str, AfterValidator(_check_time_zone)] | None = Field(
        None, description="A name of the IANA time zone database."
    )

    def details(self) -> Details:
        """What the app tells about itself."""
        return Details(
            name=self.name or "",
            platform=self.platform,
            app_version=self.app_version,
            language=self.language,
            time_zone=self.time_zone,
        )


class NewAddressBody(Body):
    """A device's new address."""

    address: AddressBody


class ReceiptBody(Body):
    """That a notification was displayed, or opened, which it cannot be without being displayed."""

    notification_id: Id
    event: Literal["displayed", "opened"]
    at: Annotated[
        int | None,
        BeforeValidator(read_moment, json_schema_input_type=str | Annotated[int, Field(ge=0)] | None),
    ] = Field(None, description="When, spelt like `startAt`; now when absent.")


class ReceiptsBody(Body):
    """What a device tells."""

    receipts: Annotated[list[ReceiptBody], Field(min_length=1, max_length=MOST_RECEIPTS)]

    def told(self) -> tuple[Told, ...]:
        """The events."""
        return tuple(Told(one.notification_id, ReceiptEvent(one.event), one.at) for one in self.receipts)


_PARTS: Final = {"apns": ("token",), "fcm": ("token", "fid"), "webpush": ("endpoint", "keys")}
"""What an address consists of; of FCM's parts one."""

_PATHS: Final = {
    "endpoint": "address.endpoint",
    "p256dh": "address.keys.p256dh",
    "auth": "address.keys.auth",
}


def spell_address(provider: str, address: AddressBody) -> str:
    """An address as its provider checks it; raises Invalid with every part that is missing or another provider's."""
    given = {name for name in ("token", "fid", "endpoint", "keys") if getattr(address, name) is not None}
    wanted = _PARTS[provider]
    faults = [
        Fault(f"address.{name}", f"is no part of an address of {provider}") for name in given - {*wanted}
    ]
    if provider == "fcm":
        if len(given & {*wanted}) != 1:
            faults.append(Fault("address", "must have one of token and fid"))
    else:
        faults += [Fault(f"address.{name}", "is required") for name in wanted if name not in given]
    if faults:
        raise Invalid.because(sorted(faults, key=lambda fault: fault.path))
    return _spelt(provider, address)


def _spelt(provider: str, address: AddressBody) -> str:
    if provider == "webpush":
        assert address.keys is not None
        return json.dumps({"endpoint": address.endpoint, "keys": address.keys.model_dump()})
    if provider == "fcm":
        return f"fid:{address.fid}" if address.token is None else f"token:{address.token}"
    return address.token or ""


def address_fault(address: AddressBody, sentence: str) -> Fault:
    """What a provider says of an address, at the part that it speaks of."""
    subject, _, rest = sentence.partition(" ")
    if subject in _PATHS:
        return Fault(_PATHS[subject], rest)
    return Fault(
        "address.fid" if address.fid is not None else "address.token", f"is not an address: {sentence}"
    )


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────


class ChannelAnswer(TypedDict):
    """A channel on which an app may register, with what it needs for that."""

    channelId: UUID
    provider: str
    name: str
    solutionId: NotRequired[UUID]
    topic: NotRequired[str]
    applicationServerKey: NotRequired[str]


class ChannelList(TypedDict):
    """All channels on which a member's app may register."""

    count: int
    items: list[ChannelAnswer]


class DeviceAnswer(TypedDict):
    """A device, without its address."""

    deviceId: UUID
    channelId: UUID
    provider: str
    registeredAt: str
    name: NotRequired[str]
    platform: NotRequired[str]
    appVersion: NotRequired[str]
    language: NotRequired[str]
    timeZone: NotRequired[str]
    lastSeenAt: NotRequired[str]


class RegisteredAnswer(DeviceAnswer):
    """A device that is registered; its token is shown this once."""

    deviceToken: str


class DeviceList(TypedDict):
    """All devices of a member that are in use."""

    count: int
    items: list[DeviceAnswer]


def channel_answer(channel: OpenChannel) -> ChannelAnswer:
    """Tell a channel."""
    answer: ChannelAnswer = {"channelId": channel.uuid, "provider": channel.provider, "name": channel.name}
    if channel.solution is not None:
        answer["solutionId"] = channel.solution
    settings = channel.settings
    if "topic" in settings:
        answer["topic"] = settings["topic"]
    if "public_key" in settings:
        answer["applicationServerKey"] = settings["public_key"]
    return answer


def device_answer(installation: Installation) -> DeviceAnswer:
    """Tell a device."""
    details = installation.details
    answer: DeviceAnswer = {
        "deviceId": installation.device,
        "channelId": installation.channel,
        "provider": installation.provider,
        "registeredAt": to_rfc3339(installation.registered_at),
    }
    if details.name:
        answer["name"] = details.name
    if details.platform is not None:
        answer["platform"] = details.platform
    if details.app_version is not None:
        answer["appVersion"] = details.app_version
    if details.language is not None:
        answer["language"] = details.language
    if details.time_zone is not None:
        answer["timeZone"] = details.time_zone
    if installation.last_seen_at is not None:
        answer["lastSeenAt"] = to_rfc3339(installation.last_seen_at)
    return answer


def registered_answer(registered: Registered, token: str) -> RegisteredAnswer:
    """Tell a device that is registered, with its token."""
    return {**device_answer(registered.installation), "deviceToken": token}

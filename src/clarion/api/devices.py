"""`/organizations/{o}/members/{u}/devices` for who signs in, `/organizations/{o}/devices/{d}` for the device itself."""

import secrets
from typing import Final
from uuid import UUID

from litestar import Response, delete, get, post, put
from litestar.openapi import ResponseSpec
from litestar.params import FromPath

from clarion.api.auth import authenticate_member, bearer_token
from clarion.api.checking import read_json
from clarion.api.context import ApiRequest, door
from clarion.api.openapi import BODY_ERRORS, ERRORS, TOO_MANY_DEVICES, operation_with
from clarion.api.schemas_devices import (
    AddressBody,
    DeviceAnswer,
    DeviceBody,
    DeviceList,
    NewAddressBody,
    RegisteredAnswer,
    address_fault,
    device_answer,
    registered_answer,
    spell_address,
)
from clarion.model.access import TokenKind, mint_token
from clarion.model.errors import Invalid
from clarion.model.push import InvalidAddress
from clarion.service import devices
from clarion.store.installations import DeviceAccess

_KNOWN: Final = {
    200: ResponseSpec(RegisteredAnswer, generate_examples=False, description="The device was known.")
}


@post(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/devices",
    operation_id="registerDevice",
    operation_class=operation_with(DeviceBody),
    summary="Register an installation of the app",
    responses=BODY_ERRORS | TOO_MANY_DEVICES | _KNOWN,
    tags=["devices"],
)
async def register_device(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> Response[RegisteredAnswer]:
    """Register at every start of the app: 201 when the device is new, 200 when it is known.

    The device token in the answer takes the place of the one before. It is good for this device's receipts, its
    new address and its removal, and nothing else.
    """
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    body = await read_json(request, DeviceBody)
    channel = await tools.database.read(devices.find_channel, access, user_id, body.channel_id)
    address = await _checked(request, channel.provider, body.address)
    registration = devices.Registration(channel, body.installation_id, address, body.details())
    text, token = mint_token(tools.devices.region, secrets.token_bytes, TokenKind.DEVICE)
    registered = await devices.register_device(
        tools.database, access, user_id, registration, token, tools.clock()
    )
    return Response(registered_answer(registered, text), status_code=201 if registered.is_new else 200)


@get(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/devices",
    operation_id="listDevices",
    summary="List a member's devices",
    responses=ERRORS,
    tags=["devices"],
)
async def list_member_devices(
    request: ApiRequest, organization_id: FromPath[UUID], user_id: FromPath[UUID]
) -> DeviceList:
    """The devices that are in use, without their addresses and tokens."""
    access = await authenticate_member(request, organization_id, user_id)
    found = await door(request).database.read(devices.list_devices, access, user_id)
    return {"count": len(found), "items": [device_answer(one) for one in found]}


@delete(
    "/organizations/{organization_id:uuid}/members/{user_id:uuid}/devices/{device_id:uuid}",
    operation_id="removeDevice",
    summary="Remove a device of a member",
    responses=ERRORS,
    tags=["devices"],
)
async def remove_member_device(
    request: ApiRequest,
    organization_id: FromPath[UUID],
    user_id: FromPath[UUID],
    device_id: FromPath[UUID],
) -> None:
    """Nothing reaches it from now on, not even what is on its way to it, and its token is good no more."""
    tools = door(request)
    access = await authenticate_member(request, organization_id, user_id)
    await tools.database.write(devices.remove_device, access, user_id, device_id, tools.clock())


# ── With the device's own token ──────────────────────────────────────────────────────────────────────────


@put(
    "/organizations/{organization_id:uuid}/devices/{device_id:uuid}/address",
    operation_id="changeDeviceAddress",
    operation_class=operation_with(NewAddressBody),
    summary="Give a device another address",
    responses=BODY_ERRORS | TOO_MANY_DEVICES,
    tags=["devices"],
)
async def change_device_address(
    request: ApiRequest, organization_id: FromPath[UUID], device_id: FromPath[UUID]
) -> DeviceAnswer:
    """With the device's token, which goes on working: for a push service that gave the app a new address.

    A device that was retired because its push service called it gone is live again, under the same `deviceId`.
    When another device of the member has that address, this one becomes it, and the answer has its `deviceId`.
    """
    tools = door(request)
    device = await authenticate_device(request, organization_id, device_id)
    body = await read_json(request, NewAddressBody)
    address = await _checked(request, device.provider, body.address)
    return device_answer(await devices.change_address(tools.database, device, address, tools.clock()))


@delete(
    "/organizations/{organization_id:uuid}/devices/{device_id:uuid}",
    operation_id="leaveDevice",
    summary="Remove the device that asks",
    responses=ERRORS,
    tags=["devices"],
)
async def delete_device(
    request: ApiRequest, organization_id: FromPath[UUID], device_id: FromPath[UUID]
) -> None:
    """With the device's token, which is good no more then: for an app whose member signs out."""
    tools = door(request)
    device = await authenticate_device(request, organization_id, device_id)
    await tools.database.write(devices.leave, device, tools.clock())


async def authenticate_device(request: ApiRequest, organization: UUID, device: UUID) -> DeviceAccess:
    """The device that calls, which the path must name."""
    return await door(request).devices.access(bearer_token(request), organization, device)


async def _checked(request: ApiRequest, provider: str, address: AddressBody) -> str:
    """An address as the store keeps it; raises Invalid, which names the part that is wrong."""
    try:
        return await door(request).check_address(provider, spell_address(provider, address))
    except InvalidAddress as error:
        raise Invalid.because([address_fault(address, str(error))]) from None

"""`/organizations/{o}/devices/{d}/receipts`: what a device tells of notifications."""

from uuid import UUID

from litestar import post
from litestar.params import FromPath

from clarion.api.checking import read_json
from clarion.api.context import ApiRequest, door
from clarion.api.devices import authenticate_device
from clarion.api.openapi import BODY_ERRORS, operation_with
from clarion.api.schemas_devices import ReceiptsBody
from clarion.service.receipts import ReceiptRequest


@post(
    "/organizations/{organization_id:uuid}/devices/{device_id:uuid}/receipts",
    operation_id="addReceipts",
    operation_class=operation_with(ReceiptsBody),
    summary="Tell that notifications were displayed or opened",
    responses=BODY_ERRORS,
    status_code=204,
    tags=["devices"],
)
async def add_receipts(
    request: ApiRequest, organization_id: FromPath[UUID], device_id: FromPath[UUID]
) -> None:
    """With the device's token. Each event counts once, however often it is told.

    What was not released to the device's member is passed over in silence. `at` is taken as it can be: not before
    the release, not after now.
    """
    tools = door(request)
    device = await authenticate_device(request, organization_id, device_id)
    body = await read_json(request, ReceiptsBody)
    await tools.receive(ReceiptRequest(device, body.told(), tools.clock()))

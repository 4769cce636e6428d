"""What every handler works with: made once by `bootstrap.py`, kept in the application's state."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from litestar import Request
from litestar.datastructures import State

from clarion.api.patience import Patience
from clarion.service.access import Gatekeeper
from clarion.service.device_access import DeviceGatekeeper
from clarion.service.live import Live
from clarion.service.publish import Published, PublishRequest
from clarion.service.receipts import ReceiptRequest
from clarion.store.database import Database, Together
from clarion.store.hints import HintSender
from clarion.store.inbox import USUAL_DAYS
from clarion.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Door:
    """The API's tools. `clock` answers in milliseconds; an entry stays in an inbox for `inbox_days`."""

    database: Database
    publish: Together[PublishRequest, Published]
    gatekeeper: Gatekeeper
    hints: HintSender
    live: Live
    metrics: Metrics
    clock: Callable[[], int]
    new_uuid: Callable[[], UUID]
    devices: DeviceGatekeeper
    receive: Together[ReceiptRequest, None]
    check_address: Callable[[str, str], Awaitable[str]]
    """From a provider's name and an address to its one spelling; raises InvalidAddress."""
    inbox_days: int = USUAL_DAYS
    patience: Patience = field(default_factory=Patience)


ApiRequest = Request[None, None, State]


def header_values(request: ApiRequest, name: bytes) -> list[str]:
    """All values of a header; its name in lower case. Cheaper than Litestar's table of all headers."""
    return [value.decode("latin-1") for key, value in request.scope["headers"] if key == name]


def door(request: ApiRequest) -> Door:
    """The tools of the application that serves this request."""
    tools = request.app.state.door
    assert isinstance(tools, Door)
    return tools

"""What every handler works with: made once by `bootstrap.py`, kept in the application's state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from litestar import Request
from litestar.datastructures import State

from clarion.api.patience import Patience
from clarion.service.access import Gatekeeper
from clarion.service.publish import Published, PublishRequest
from clarion.store.database import Database, Together
from clarion.store.hints import HintSender
from clarion.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Door:
    """The API's tools. `clock` answers in milliseconds."""

    database: Database
    publish: Together[PublishRequest, Published]
    gatekeeper: Gatekeeper
    hints: HintSender
    metrics: Metrics
    clock: Callable[[], int]
    new_uuid: Callable[[], UUID]
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

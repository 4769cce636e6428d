"""The OpenAPI 3.1 description: what the code does not say by itself, and the page that shows it.

The description is generated from handlers and schemas; the page at `/schema` is Swagger UI, served from the
installed package, so that it works without the internet.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict

import swagger_ui
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    Example,
    OpenAPIMediaType,
    Operation,
    Parameter,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
    Server,
)
from litestar.openapi.spec.enums import OpenAPIType

from clarion.api.checking import Body
from clarion.api.schemas import NotificationBody

SWAGGER_FILES: Final = Path(swagger_ui.__file__).parent / "static"
SWAGGER_PATH: Final = "/schema/files"


class FaultAnswer(TypedDict):
    """One thing that is wrong with a request."""

    path: str
    message: str


class ErrorAnswer(TypedDict):
    """The one shape of every error."""

    message: str
    code: str
    details: list[FaultAnswer]


def _error(description: str) -> ResponseSpec:
    return ResponseSpec(ErrorAnswer, generate_examples=False, description=description)


ERRORS: Final[dict[int, ResponseSpec]] = {
    400: _error("The request itself is wrong; every fault is named with its path. Nothing was stored."),
    401: _error("No token, or one that is malformed, unknown, expired, lapsed or revoked."),
    403: _error("A valid token that may not do this."),
    404: _error("Absent, or hidden from this caller."),
    421: _error("The token belongs to another region; `region` and `baseUrl` say which."),
    429: _error("Too many requests; try again after `Retry-After` seconds."),
    503: _error(
        "Nothing can be stored right now, and nothing was, or the issuer of the ID token cannot be asked for its "
        "keys; try again after `Retry-After` seconds."
    ),
}

BODY_ERRORS: Final = ERRORS | {
    408: _error("The body did not arrive in time."),
    413: _error("The body is larger than 1 MiB."),
    415: _error("The body is declared to be something other than JSON."),
}

CHANGE_ERRORS: Final = BODY_ERRORS | {409: _error("This state is the service's to set.")}
SYNC_ERRORS: Final = ERRORS | {
    410: _error("The watermark cannot serve any more: forget everything and list anew.")
}
TOO_MANY_DEVICES: Final = {409: _error("The member has a hundred devices already.")}

STREAM_ANSWERS: Final = SYNC_ERRORS | {
    200: ResponseSpec(
        str, generate_examples=False, media_type="text/event-stream", description="Events, until `bye`."
    ),
}
CREATE_ERRORS: Final = BODY_ERRORS | {409: _error("The Idempotency-Key stands for another body.")}

_SOLUTION: Final = "3f1c9a52-7d0e-4c55-9a55-0c3f6f1f7a10"

EXAMPLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "users": (
        "People, by e-mail",
        {
            "content": {
                "title": "Approved",
                "text": "Your overtime for this month has been approved",
                "screen": "jig",
            },
            "scope": "USR",
            "emails": ["username@example.com"],
        },
    ),
    "solution": (
        "Everybody of a solution",
        {
            "content": {
                "title": "Weekly timesheets",
                "text": "Reminder to log your time for the week",
                "screen": "jig",
            },
            "scope": "SLN",
            "solutionId": _SOLUTION,
        },
    ),
    "groups": (
        "Groups of a solution",
        {
            "content": {
                "title": "Sales target",
                "text": "This quarter's sale target has been reached",
                "screen": "jig",
            },
            "scope": "SLN_GRP",
            "groups": ["sales", "finance"],
            "solutionId": _SOLUTION,
        },
    ),
    "organization": (
        "The whole organization",
        {
            "content": {
                "title": "Update your app",
                "text": "We released a new version of the app",
                "screen": "jig",
            },
            "scope": "ORG",
        },
    ),
    "jig": (
        "Groups, with a screen that a tap opens",
        {
            "content": {
                "title": "🎉 New product promotion",
                "text": "Check it out now",
                "jigId": "view-promotion-details",
                "screen": "jig",
                "inputs": {"promo-code": "x-3654", "name": "20% on all Winter stock", "price": 34},
            },
            "scope": "SLN_GRP",
            "groups": ["customers"],
            "solutionId": _SOLUTION,
        },
    ),
}
"""The five requests of the contract: a summary and a body each."""


class _Generated(Schema):
    """A schema that pydantic wrote."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self._schema = schema

    def to_schema(self) -> dict[str, Any]:
        """Give it as it was written."""
        return self._schema


def _body_schema(model: type[Body]) -> _Generated:
    """The schema of a request's body, with what it refers to in place: Litestar keeps only its own components."""
    schema = model.model_json_schema()
    return _Generated(_inlined(schema, schema.pop("$defs", {})))


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    match value:
        case {"$ref": str(reference), **others}:
            return _inlined(definitions[reference.removeprefix("#/$defs/")] | others, definitions)
        case dict():
            return {key: _inlined(item, definitions) for key, item in value.items()}
        case list():
            return [_inlined(item, definitions) for item in value]
    return value


@dataclass
class CreateOperation(Operation):
    """POST …/notifications reads its own body, so the body is described here."""

    def __post_init__(self) -> None:
        """Add the body and the header that the handler reads by itself."""
        examples: dict[str, Example | Reference] = {
            name: Example(summary=summary, value=value) for name, (summary, value) in EXAMPLES.items()
        }
        body = OpenAPIMediaType(schema=_body_schema(NotificationBody), examples=examples)
        self.request_body = RequestBody(required=True, content={"application/json": body})
        key = Parameter(
            name="Idempotency-Key",
            param_in="header",
            required=False,
            schema=Schema(type=OpenAPIType.STRING, min_length=1, max_length=255),
            description="Repeats are answered as the first time for 24 hours.",
        )
        self.parameters = [*(self.parameters or []), key]


def operation_with(model: type[Body], *, is_optional: bool = False) -> type[Operation]:
    """The description of a handler that reads a body of this model by itself."""

    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            media_type = OpenAPIMediaType(schema=_body_schema(model))
            self.request_body = RequestBody(
                required=not is_optional, content={"application/json": media_type}
            )

    return WithBody


def openapi_config(base_path: str, version: str) -> OpenAPIConfig:
    """The description's frame."""
    token = SecurityScheme(
        type="http",
        scheme="bearer",
        description="A personal access token, such as `BEARER clr_us-east-1_…`; for what is one member's own also a "
        "session's token (`cls_…`), or an ID token of the issuer that the organization trusts.",
    )
    return OpenAPIConfig(
        title="Clarion",
        version=version,
        description="One POST reaches every phone in the audience.",
        path="/schema",
        servers=[Server(url=base_path)],
        components=Components(security_schemes={"token": token}),
        security=[{"token": []}],
        use_handler_docstrings=True,
        render_plugins=[
            SwaggerRenderPlugin(
                path="/",
                js_url=f"{SWAGGER_PATH}/swagger-ui-bundle.js",
                standalone_preset_js_url=f"{SWAGGER_PATH}/swagger-ui-standalone-preset.js",
                css_url=f"{SWAGGER_PATH}/swagger-ui.css",
                favicon=f"<link rel='icon' type='image/png' href='{SWAGGER_PATH}/favicon-32x32.png'>",
            ),
            JsonRenderPlugin(path="/openapi.json"),
        ],
    )

"""A body against its model: every fault of it at once, each with its path, in words for people.

Called by the `schemas` modules and, through `read_json`, by handlers; knows no body in particular.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from clarion.api.body import JsonObject, check_media_type, parse_object, read_body
from clarion.api.context import ApiRequest, door, header_values
from clarion.model.errors import Fault, Invalid


class Body(BaseModel):
    """A JSON object that a caller sends; a key that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel, frozen=True)


B = TypeVar("B", bound=Body)


async def read_json(request: ApiRequest, model: type[B], *, is_optional: bool = False) -> B:
    """Read a request's body; raises what `api/body.py` raises, and Invalid with all faults at once.

    `is_optional`: no body means an empty object.
    """
    check_media_type(header_values(request, b"content-type"))
    raw = await read_body(request, door(request).patience)
    value, oddities = parse_object(raw or b"{}" if is_optional else raw)
    body, faults = check(model, value, oddities)
    if body is None or faults:
        raise Invalid.because(one_per_path(faults))
    return body


def check(model: type[B], value: JsonObject, faults: Sequence[Fault] = ()) -> tuple[B | None, list[Fault]]:
    """Check an object against every rule of its model; returns what it is, and all faults with those found already."""
    try:
        return model.model_validate(value), list(faults)
    except ValidationError as error:
        return None, [*faults, *(_fault(details) for details in error.errors(include_url=False))]


def one_per_path(faults: Sequence[Fault]) -> list[Fault]:
    """The first fault of each path: a value that was set aside as odd must not be called missing as well."""
    first: dict[str, Fault] = {}
    for fault in faults:
        first.setdefault(fault.path, fault)
    return list(first.values())


def _fault(details: Any) -> Fault:
    path = ""
    for part in details["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return Fault(path, _sentence(details))


_SENTENCES: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known key",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array or a string",
}


def _sentence(details: Any) -> str:
    """Pydantic's finding as the end of a sentence that begins with the path."""
    if details["type"] in _SENTENCES:
        return _SENTENCES[details["type"]]
    context = details.get("ctx", {})
    match details["type"]:
        case "string_too_long":
            return f"has {len(details['input'])} characters; at most {context['max_length']} are allowed"
        case "too_long":
            return f"has {context['actual_length']} entries; at most {context['max_length']} are allowed"
        case "literal_error":
            return f"must be one of {context['expected']}"
        case "value_error":
            return str(context["error"])
    message: str = details["msg"]
    return message.replace("Input should be", "must be", 1)

"""Schemathesis against the API: no 5xx, no status that the description hides, no answer of another shape."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from clarion.api.app import create_app
from tests.api.caller import make_door, make_token
from tests.api.test_openapi import OPERATIONS
from tests.world import World

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
async def described(world: World) -> Any:
    """The description, with everything that a caller needs to come in."""
    await world.add_member("username@example.com", "sales", "customers")
    application = create_app(make_door(world, requests_per_second=100_000))
    schema = schemathesis.openapi.from_asgi("/schema/openapi.json", application)
    schema.config.update(headers={"Authorization": f"BEARER {await make_token(world)}"})
    return schema


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_makes_it_fail_or_lie(described: Any, world: World, mode: GenerationMode) -> None:
    known = {"organization_id": str(world.organization), "user_id": str(world.admin.user)}
    seen = set()
    for result in described.get_all_operations():
        operation = result.ok()
        seen.add((operation.path, operation.method))
        if mode is GenerationMode.NEGATIVE and operation.path.endswith("/version"):
            continue  # without parameters there is nothing to get wrong
        if operation.path.endswith("/stream"):
            continue  # its answer goes on for minutes

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=25,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def call(case: Case[Any]) -> None:
            case.path_parameters |= {name: known[name] for name in known if name in case.path_parameters}
            case.call_and_validate(checks=CHECKS)

        call()
    assert seen == OPERATIONS

"""The OpenAPI description: valid, complete, true; and the page that shows it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from clarion.api.errors import STATUS
from clarion.api.openapi import EXAMPLES
from clarion.model import errors
from tests.api.caller import Caller
from tests.api.test_create import five_requests
from tests.world import World

OPERATIONS = {
    ("/v2.0/tool/organizations/{organization_id}/notifications", "get"),
    ("/v2.0/tool/organizations/{organization_id}/notifications", "post"),
    ("/v2.0/tool/organizations/{organization_id}/notifications/{notification_id}", "get"),
    ("/v2.0/tool/organizations/{organization_id}/notifications/{notification_id}", "delete"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications", "patch"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications/summary", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications/stream", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications/{notification_id}", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications/{notification_id}", "patch"),
    (
        "/v2.0/tool/organizations/{organization_id}/members/{user_id}/notifications/{notification_id}",
        "delete",
    ),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/sessions", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/sessions", "post"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/sessions", "delete"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/sessions/{session_id}", "delete"),
    ("/v2.0/tool/organizations/{organization_id}/sessions/refresh", "post"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/channels", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/devices", "get"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/devices", "post"),
    ("/v2.0/tool/organizations/{organization_id}/members/{user_id}/devices/{device_id}", "delete"),
    ("/v2.0/tool/organizations/{organization_id}/devices/{device_id}", "delete"),
    ("/v2.0/tool/organizations/{organization_id}/devices/{device_id}/address", "put"),
    ("/v2.0/tool/organizations/{organization_id}/devices/{device_id}/receipts", "post"),
    ("/v2.0/tool/organizations/{organization_id}/notifications/{notification_id}/stats", "get"),
    ("/v2.0/tool/version", "get"),
}
WITHOUT_A_TOKEN = ("/version", "/sessions/refresh")
ERRORS_PAGE = Path(__file__).parents[2] / "docs" / "errors.md"


@pytest.fixture
async def description(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/schema/openapi.json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_description_is_valid_openapi_3_1(description: dict[str, Any]) -> None:
    assert description["openapi"].startswith("3.1")
    OPENAPI_31_VALIDATOR.validate(description)


def test_every_route_is_described_and_nothing_else(description: dict[str, Any]) -> None:
    assert {(path, method) for path, method, _ in operations(description)} == OPERATIONS


def test_every_operation_has_its_own_id_a_summary_and_words(description: dict[str, Any]) -> None:
    found = [operation for _, _, operation in operations(description)]
    assert len({operation["operationId"] for operation in found}) == len(found)
    assert all(operation["summary"] and operation["description"] for operation in found)


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(description)))
    assert references <= {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}


async def test_the_five_examples_are_the_contract_s_and_work(
    caller: Caller, world: World, description: dict[str, Any]
) -> None:
    await world.add_member("username@example.com")
    create = next(op for _, _, op in operations(description) if op["operationId"] == "createNotification")
    body = create["requestBody"]["content"]["application/json"]
    values = [example["value"] for example in body["examples"].values()]
    assert values == [value for _, value in EXAMPLES.values()]
    schema = {"components": description["components"], **body["schema"]}
    for example, own in zip(values, five_requests(world), strict=True):
        jsonschema_rs.validate(schema, example)
        assert example | {"solutionId": ""} == own | {"solutionId": ""}
        sent = example | ({"solutionId": own["solutionId"]} if "solutionId" in own else {})
        assert (await caller.send(sent)).status_code == 201


def test_every_operation_wants_a_token_but_the_version_and_the_exchange_of_one(
    description: dict[str, Any],
) -> None:
    assert description["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for path, _, operation in operations(description):
        wanted = operation.get("security", description.get("security"))
        assert wanted == ([{}] if path.endswith(WITHOUT_A_TOKEN) else [{"token": []}])


def test_the_schema_takes_every_spelling_of_emails_groups_and_start_at(description: dict[str, Any]) -> None:
    create = next(op for _, _, op in operations(description) if op["operationId"] == "createNotification")
    body = create["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema_rs.validator_for({"components": description["components"], **body})
    good: dict[str, Any] = {"content": {"text": "Hi"}, "scope": "ORG"}
    for more in (
        {"emails": "a@example.com,b@example.com"}, {"emails": ["a@example.com"]}, {"groups": "a, b"},
        {"groups": ["a"]}, {"startAt": 0}, {"startAt": "2030-01-01T00:00:00Z"}, {"emails": None},
        {"content": {"text": "Hi", "inputs": {"a": [1, None]}}},
    ):  # fmt: skip
        assert validator.is_valid(good | more), more
    wrong: list[dict[str, Any]] = [
        {"colour": 1},
        {"scope": "X"},
        {"content": {}},
        {"content": {"text": "Hi", "body": ""}},
    ]
    for more in wrong:
        assert not validator.is_valid(good | more), more


def test_every_status_that_an_operation_answers_is_described(description: dict[str, Any]) -> None:
    common = {"400", "401", "403", "404", "421", "429", "503"}
    told = {op["operationId"]: set(op["responses"]) for _, _, op in operations(description)}
    assert told == {
        "createNotification": {"201", "408", "409", "413", "415"} | common,
        "listNotifications": {"200"} | common,
        "getNotification": {"200"} | common,
        "deleteNotification": {"204"} | common,
        "listInbox": {"200", "410"} | common,
        "readInbox": {"200", "408", "410", "413", "415"} | common,
        "getInboxSummary": {"200"} | common,
        "streamInbox": {"200", "410"} | common,
        "getInboxEntry": {"200"} | common,
        "changeInboxEntry": {"200", "408", "409", "413", "415"} | common,
        "deleteInboxEntry": {"204"} | common,
        "createSession": {"201", "408", "413", "415"} | common,
        "refreshSession": {"200", "408", "413", "415"} | common,
        "listSessions": {"200"} | common,
        "deleteSession": {"204"} | common,
        "deleteSessions": {"204"} | common,
        "listChannels": {"200"} | common,
        "registerDevice": {"200", "201", "408", "409", "413", "415"} | common,
        "listDevices": {"200"} | common,
        "removeDevice": {"204"} | common,
        "changeDeviceAddress": {"200", "408", "409", "413", "415"} | common,
        "leaveDevice": {"204"} | common,
        "addReceipts": {"204", "408", "413", "415"} | common,
        "getNotificationStats": {"200"} | common,
        "getVersion": {"200"},
    }


async def test_the_page_shows_the_description_from_this_host_alone(http: httpx.AsyncClient) -> None:
    page = await http.get("/schema")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href)="?\'?([^"\'\s>]+)', page.text)
    assert loaded
    assert not [link for link in loaded if link.startswith(("http:", "https:", "//"))]
    for link in loaded:
        if link.startswith("/"):
            assert (await http.get(link)).status_code == 200, link


def test_every_code_that_the_api_can_tell_is_explained_in_the_docs() -> None:
    page = ERRORS_PAGE.read_text(encoding="utf-8")
    codes = {refusal.code for refusal in STATUS} | {"internal_error", "unknown_path"}
    for path in (Path(errors.__file__).parents[1]).rglob("*.py"):
        codes |= set(re.findall(r'\bcode="([a-z_]+)"', path.read_text(encoding="utf-8")))
    assert {code for code in codes if f"\n## {code}\n" not in page} == set()

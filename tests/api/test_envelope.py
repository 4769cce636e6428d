"""What every answer has: an id, CORS headers, one shape of errors; and the doors without a token."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from clarion.model.errors import Refusal
from clarion.service.publish import Published, PublishRequest
from clarion.store.database import Database, Together
from tests.api.caller import Caller, Json, faults, make_door, make_http
from tests.world import World

GOOD: Json = {"content": {"text": "Hi"}, "scope": "ORG"}
ORGANIZATION = f"/v2.0/tool/organizations/{uuid4()}"
INBOX = f"{ORGANIZATION}/members/{uuid4()}/notifications"
KNOWN_PATHS = [
    f"{ORGANIZATION}/notifications", f"{ORGANIZATION}/notifications/{uuid4()}", INBOX, f"{INBOX}/{uuid4()}",
    "/v2.0/tool/version",
]  # fmt: skip


async def test_the_version_needs_no_token(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v2.0/tool/version")
    assert answer.status_code == 200
    assert answer.json()["name"] == "clarion"
    assert answer.json()["version"][0].isdecimal()


@pytest.mark.parametrize("path", KNOWN_PATHS)
async def test_a_browser_may_ask_before_it_calls(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.options(
        path, headers={"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    allowed = answer.headers["access-control-allow-methods"].split(", ")
    assert {"GET", "POST", "PATCH", "DELETE", "OPTIONS"} <= set(allowed)
    headers = answer.headers["access-control-allow-headers"].lower()
    assert all(name in headers for name in ("authorization", "content-type", "idempotency-key"))
    assert len(answer.headers.get_list("access-control-allow-origin")) == 1


async def test_a_browser_may_read_every_answer_even_an_error(caller: Caller, http: httpx.AsyncClient) -> None:
    for answer in (await caller.send(GOOD), await caller.send({}), await http.get("/nothing")):
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]
        assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "path",
    ["/", "/v2.0", "/v2.0/tool", "/v2.0/tool/nothing", "/v1.0/tool/version", f"{ORGANIZATION}/nothing", ORGANIZATION,
     "/v2.0/tool/version/x", "/v2.0/tool/../tool/nothing", "//", "/v2.0/tool/%00", "/%FF"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
async def test_an_unknown_path_is_not_found_in_the_one_shape_of_errors(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 404
    assert faults(answer) == {}
    assert answer.json()["code"] == "unknown_path"
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("path", KNOWN_PATHS)
@pytest.mark.parametrize("method", ["PUT", "TRACE", "HEAD", "FOO"])
async def test_an_unknown_method_on_a_known_path_is_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 404
    if method != "HEAD":
        assert answer.json()["code"] == "unknown_path"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v2.0/tool/version"), ("DELETE", KNOWN_PATHS[0]), ("PATCH", KNOWN_PATHS[1]), ("POST", INBOX)],
)
async def test_another_method_of_a_known_path_is_not_found(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    answer = await http.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_path"


@pytest.mark.parametrize("host", ["[", "a b", "clarion.example.com:x", "", "🎉", "::1"])
async def test_an_odd_host_header_is_ignored_or_refused(http: httpx.AsyncClient, host: str) -> None:
    for path, usual in (("/v2.0/tool/version", 200), ("/nothing", 404), (KNOWN_PATHS[0], 401)):
        answer = await http.get(path, headers=[(b"Host", host.encode())])
        assert answer.status_code in {usual, 400}
        if answer.status_code == 400:
            assert faults(answer) == {}


async def test_every_answer_has_a_request_id(caller: Caller, http: httpx.AsyncClient) -> None:
    answers = [
        await caller.send(GOOD), await caller.send({}), await caller.known_as(None).send(GOOD),
        await http.get("/nothing"), await http.options(caller.path), await http.get("/v2.0/tool/version"),
        await http.get("/healthz"), await http.get("/metrics"), await http.get("/schema/openapi.json"),
    ]  # fmt: skip
    ids = [answer.headers.get_list("x-request-id") for answer in answers]
    assert all(len(given) == 1 and given[0] for given in ids)
    assert len({given[0] for given in ids}) == len(ids)


@pytest.mark.parametrize("given", ["abc-123", "A.b_c:d", "x" * 64, str(uuid4())])
async def test_a_harmless_request_id_is_kept(http: httpx.AsyncClient, given: str) -> None:
    for path in ("/v2.0/tool/version", "/nothing"):
        assert (await http.get(path, headers={"X-Request-Id": given})).headers["x-request-id"] == given


@pytest.mark.parametrize(
    "given", [b"", b"x" * 65, b"a b", b"<script>", b"a\tb", b"\xff", "é".encode(), b"a\x00"]
)
async def test_a_request_id_that_could_do_harm_is_replaced(http: httpx.AsyncClient, given: bytes) -> None:
    answer = await http.get("/v2.0/tool/version", headers=[(b"X-Request-Id", given)])
    assert answer.headers["x-request-id"].encode() != given
    assert len(answer.headers["x-request-id"]) == 16


async def test_a_fault_of_ours_is_told_without_details_and_logged_with_them(
    caller: Caller, world: World
) -> None:
    def fail(_connection: Connection, _requests: Sequence[PublishRequest]) -> list[Published | Refusal]:
        raise RuntimeError("a secret of ours")

    broken = replace(make_door(world), publish=Together(world.database, fail))
    async with make_http(broken) as http:
        with capture_logs() as lines:
            answer = await Caller(http, world.organization, caller.token).send(GOOD)
    assert answer.status_code == 500
    assert faults(answer) == {}
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"]
    assert answer.headers["access-control-allow-origin"] == "*"
    errors = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in errors] == ["unexpected_error"]
    assert "a secret of ours" in repr(errors[0]["exc_info"])


async def test_a_store_that_is_away_is_told_with_a_time_to_come_back(caller: Caller, world: World) -> None:
    def fail(*_arguments: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("disk I/O error"))

    class Away(Database):
        async def write(self, *_arguments: Any, **_more: Any) -> Any:
            return await super().write(fail)

        async def read(self, *_arguments: Any, **_more: Any) -> Any:
            return await super().read(fail)

    away = Away("sqlite://")
    async with make_http(make_door(replace(world, database=away))) as http:
        stranded = Caller(http, world.organization, caller.token)
        for answer in (
            await stranded.send(GOOD),
            await stranded.get(caller.path),
            await stranded.delete(f"{caller.path}/{uuid4()}"),
            await http.get("/readyz"),
        ):
            assert answer.status_code == 503
            assert faults(answer) == {}
            assert answer.json()["code"] == "store_unavailable"
            assert int(answer.headers["retry-after"]) > 0
        assert (await http.get("/healthz")).status_code == 200
        assert (await http.get("/v2.0/tool/version")).status_code == 200
    away.close()


async def test_operators_see_health_readiness_and_figures(caller: Caller, http: httpx.AsyncClient) -> None:
    await caller.send(GOOD)
    await caller.send({})
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}
    figures = await http.get("/metrics")
    assert figures.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'clarion_accepted_total{scope="organization"} 1.0' in figures.text
    assert 'clarion_requests_total{status="400"} 1.0' in figures.text
    assert re.search(r"^clarion_queue_age_seconds 0\.0+$", figures.text, re.MULTILINE)

"""Bad requests: the right status, every fault at once with its path, and nothing stored."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.caller import Caller, Json, count_rows, faults
from tests.clock import Clock
from tests.world import OTHER_SOLUTION, SOLUTION, World

FAMILY = "👨‍👩‍👧‍👦"  # seven code points, one picture
STILL_UNKNOWN = ("actions", "silent", "inbox", "push", "localizations", "deliverAt", "throttlePerMinute")
E_ACUTE = "é"  # two code points, one letter


def org(**content: Any) -> Json:
    return {"content": {"text": "Hi"} | content, "scope": "ORG"}


async def refused(answer: httpx.Response, world: World, status: int = 400) -> dict[str, str]:
    """The faults of an answer that must be a refusal which left nothing behind."""
    assert answer.status_code == status, answer.text
    assert await count_rows(world) == 0
    return faults(answer)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"scope": "ORG"}, "content"),
        ({"content": None, "scope": "ORG"}, "content"),
        ({"content": "Hi", "scope": "ORG"}, "content"),
        ({"content": ["Hi"], "scope": "ORG"}, "content"),
        ({"content": {}, "scope": "ORG"}, "content.text"),
        ({"content": {"text": None}, "scope": "ORG"}, "content.text"),
        ({"content": {"text": 1}, "scope": "ORG"}, "content.text"),
        ({"content": {"text": ["Hi"]}, "scope": "ORG"}, "content.text"),
        ({"content": {"text": "Hi"}}, "scope"),
        ({"content": {"text": "Hi"}, "scope": None}, "scope"),
        ({"content": {"text": "Hi"}, "scope": "org"}, "scope"),
        ({"content": {"text": "Hi"}, "scope": "ORGANIZATION"}, "scope"),
        ({"content": {"text": "Hi"}, "scope": ["ORG"]}, "scope"),
        (org(title=1), "content.title"),
        (org(title=True), "content.title"),
        (org(screen={}), "content.screen"),
        (org(jigId=[]), "content.jigId"),
        (org(inputs=[]), "content.inputs"),
        (org(inputs="{}"), "content.inputs"),
        (org(inputs=0), "content.inputs"),
        (org() | {"emails": 1}, "emails"),
        (org() | {"emails": {"a@example.com": 1}}, "emails"),
        (org() | {"emails": ["a@example.com", 1]}, "emails[1]"),
        (org() | {"emails": [["a@example.com"]]}, "emails[0]"),
        (org() | {"groups": [None]}, "groups[0]"),
        (org() | {"groups": True}, "groups"),
        (org() | {"solutionId": 1}, "solutionId"),
        (org() | {"solutionId": ""}, "solutionId"),
        (org() | {"solutionId": "sample-crm"}, "solutionId"),
        (org() | {"solutionId": str(uuid4())[:-1]}, "solutionId"),
        (org() | {"description": 1}, "description"),
        (org() | {"description": "x" * 101}, "description"),
        (org() | {"options": []}, "options"),
        (org() | {"options": {"ttl": -1}}, "options.ttl"),
        (org() | {"options": {"ttl": 2_419_201}}, "options.ttl"),
        (org() | {"options": {"ttl": "60"}}, "options.ttl"),
        (org() | {"options": {"ttl": True}}, "options.ttl"),
        (org() | {"options": {"ttl": 1.5}}, "options.ttl"),
        (org() | {"options": {"priority": "urgent"}}, "options.priority"),
        (org() | {"options": {"collapseKey": ""}}, "options.collapseKey"),
        (org() | {"options": {"collapseKey": "x" * 65}}, "options.collapseKey"),
        (org() | {"options": {"badge": -1}}, "options.badge"),
        (org() | {"options": {"imageUrl": "http://example.com/i.png"}}, "options.imageUrl"),
        (org() | {"options": {"imageUrl": "https://"}}, "options.imageUrl"),
        (org() | {"options": {"imageUrl": "https://user@example.com/i.png"}}, "options.imageUrl"),
        (org() | {"options": {"imageUrl": "https://example.com/é.png"}}, "options.imageUrl"),
        (org() | {"options": {"imageUrl": "https://example.com/i.png\n"}}, "options.imageUrl"),
        (org() | {"options": {"imageUrl": "https://example.com/".ljust(1_001, "i")}}, "options.imageUrl"),
        (org() | {"options": {"channelId": ""}}, "options.channelId"),
        (org() | {"options": {"channelId": "x" * 101}}, "options.channelId"),
        (org() | {"options": {"critical": 1}}, "options.critical"),
        (org() | {"options": {"interruptionLevel": "critical"}}, "options.interruptionLevel"),
        *((org() | {"options": {key: None}}, f"options.{key}") for key in STILL_UNKNOWN),
        (org() | {"options": {"colour": "red"}}, "options.colour"),
        (org() | {"createdBy": "me"}, "createdBy"),
        (org() | {"Scope": "ORG"}, "Scope"),
        (org() | {"solution_id": str(uuid4())}, "solution_id"),
        (org() | {"start_at": 0}, "start_at"),
        (org() | {"": 1}, ""),
        (org(jig_id="x"), "content.jig_id"),
        (org(body="x"), "content.body"),
        (org(Text="x"), "content.Text"),
        (org(title="x" * 101), "content.title"),
        (org(screen="x" * 51), "content.screen"),
        (org(jigId="x" * 51), "content.jigId"),
        ({"content": {"text": "Hi"}, "scope": "USR"}, "emails"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": []}, "emails"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": " , "}, "emails"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": None}, "emails"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": "stranger@example.com"}, "emails"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": "not an address"}, "emails[0]"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": ["admin@example.com", "@"]}, "emails[1]"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": ["a@b@example.com"]}, "emails[0]"),
        ({"content": {"text": "Hi"}, "scope": "USR", "emails": [f"{'x' * 89}@example.com"]}, "emails[0]"),
        ({"content": {"text": "Hi"}, "scope": "SLN"}, "solutionId"),
        ({"content": {"text": "Hi"}, "scope": "SLN", "solutionId": None}, "solutionId"),
    ],
)
async def test_one_wrong_thing_is_named_with_its_path(
    caller: Caller, world: World, body: Json, path: str
) -> None:
    told = await refused(await caller.send(body), world)
    assert set(told) == {path}
    assert "ContentBody" not in told[path], "the words of the wire, not of our code"
    assert "dictionary" not in told[path], "JSON has objects"
    assert "list" not in told[path], "JSON has arrays"


async def test_groups_need_names_and_a_solution(caller: Caller, world: World) -> None:
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "SLN_GRP", "groups": ","})
    assert set(await refused(answer, world)) == {"groups", "solutionId"}


async def test_all_faults_are_told_at_once(caller: Caller, world: World) -> None:
    body = {
        "content": {"title": "x" * 101, "screen": 5, "colour": "red", "inputs": "no"},
        "scope": "SLN_GRP",
        "emails": ["admin@example.com", "nobody"],
        "startAt": "tomorrow",
        "options": {"ttl": -1, "sounds": "x"},
        "descriptoin": "a slip",
    }
    answer = await caller.send(body)
    told = await refused(answer, world)
    assert set(told) == {
        "content.text", "content.title", "content.screen", "content.colour", "content.inputs", "emails[1]",
        "startAt", "options.ttl", "options.sounds", "descriptoin", "groups", "solutionId",
    }  # fmt: skip
    assert answer.json()["message"].endswith("(11 more in details)")


async def test_odd_json_and_broken_rules_are_told_together(caller: Caller, world: World) -> None:
    answer = await caller.send_octets(
        b'{"content":{"text":"a\\u0000b","inputs":{"a":NaN,"b":[1e999]},"title":7},"scope":"SLN","scope":"USR"}'
    )
    told = await refused(answer, world)
    assert set(told) == {
        "content.text", "content.inputs.a", "content.inputs.b[0]", "content.title", "scope", "emails"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "limit"), [("text", 200), ("title", 100), ("screen", 50), ("jigId", 50), ("description", 100)]
)
@pytest.mark.parametrize("letter", ["x", "ß", "🎉", FAMILY, E_ACUTE, "\u202e", "\u200b"])
async def test_lengths_are_counted_in_code_points(
    caller: Caller, world: World, key: str, limit: int, letter: str
) -> None:
    def body(length: int) -> Json:
        text = (letter * length)[:length]
        return org() | {"description": text} if key == "description" else org(**{key: text})

    path = key if key == "description" else f"content.{key}"
    assert f"{limit + 1} characters" in (await refused(await caller.send(body(limit + 1)), world))[path]
    answer = await caller.send(body(limit))
    assert answer.status_code == 201
    told = answer.json()
    assert len(told["description"] if key == "description" else told["content"][key]) == limit


@pytest.mark.parametrize(
    "start_at",
    [
        "", "now", "2030-04-04", "2030-04-04T08:18:54", "2030-04-04T08:18Z", "2030-4-4T08:18:54Z",
        "2030-02-31T00:00:00Z", "2031-02-29T00:00:00Z", "2030-13-01T00:00:00Z", "2030-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z", "2030-04-04T24:00:01Z", "2030-04-04T25:00:00Z", "2030-04-04T08:60:00Z",
        "2030-04-04T08:18:61Z", "2030-04-04T08:18:54+24:00", "2030-04-04T08:18:54+05:60",
        "2030-04-04T08:18:54+0530", "2030-04-04T08:18:54 Z", "2030-04-04T08:18:54.Z", "2030-04-04_08:18:54Z",
        " 2030-04-04T08:18:54Z", "2030-04-04T08:18:54Z\n", "+2030-04-04T08:18:54Z", "12030-04-04T08:18:54Z",
        "２０３０-04-04T08:18:54Z", "1900000000", "9999-12-31T24:00:00Z", "9999-12-31T23:59:59-00:01",
        -1, 1.5, 1e10, 253_402_300_800_000, 10**30, True, False, [], {}, [1_900_000_000],
    ],
)  # fmt: skip
async def test_a_moment_that_is_none_is_refused(caller: Caller, world: World, start_at: object) -> None:
    told = await refused(await caller.send(org() | {"startAt": start_at}), world)
    assert set(told) == {"startAt"}


async def test_a_moment_without_an_end_is_refused(caller: Caller, world: World) -> None:
    body = b'{"content":{"text":"Hi"},"scope":"ORG","startAt":%s}' % (b"9" * 4000)
    assert set(await refused(await caller.send_octets(body), world)) == {"startAt"}


async def test_ten_thousand_addresses_are_taken_and_one_more_is_not(caller: Caller, world: World) -> None:
    emails = [f"{number}@example.com" for number in range(9_999)]
    body = {
        "content": {"text": "Hi"},
        "scope": "USR",
        "emails": [*emails, "admin@example.com", "one@more.com"],
    }
    assert set(await refused(await caller.send(body), world)) == {"emails"}
    body["emails"] = [*emails, "admin@example.com", "ADMIN@EXAMPLE.COM", "0@EXAMPLE.com"]
    answer = await caller.send(body)
    assert answer.status_code == 201, "repeats in another case do not count"
    assert answer.json()["unmatchedEmails"] == emails


async def test_ten_thousand_addresses_in_one_string_are_counted_as_well(caller: Caller, world: World) -> None:
    text = ",".join(f"{number}@example.com" for number in range(10_001))
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "USR", "emails": text})
    assert set(await refused(answer, world)) == {"emails"}


async def test_a_refusal_is_bounded_however_many_faults_there_are(caller: Caller, world: World) -> None:
    deep = '{"' + "k" * 100 + '":'
    body = '{"content":{"text":"Hi","inputs":' + deep * 28 + "[" + "1e999," * 150_000 + "1]" + "}" * 29 + "}"
    answer = await caller.send_octets(body.encode())
    await refused(answer, world)
    assert len(answer.content) < 4 * 1_048_576
    assert "more in details" in answer.json()["message"] or "more" in answer.json()["message"]


async def test_unknown_groups_are_told_with_those_that_exist(caller: Caller, world: World) -> None:
    body = {
        "content": {"text": "Hi"}, "scope": "SLN_GRP", "groups": ["sales", "Sales", "customers"],
        "solutionId": str(world.solutions[SOLUTION]),
    }  # fmt: skip
    told = await refused(await caller.send(body), world)
    assert set(told) == {"groups[1]", "groups[2]"}, "customers is a group of the other solution"
    assert "finance, sales" in told["groups[1]"], "once is enough"
    body["solutionId"] = str(world.solutions[OTHER_SOLUTION])
    assert set(await refused(await caller.send(body), world)) == {"groups[0]", "groups[1]"}


async def test_a_hundred_thousand_unknown_groups_do_not_make_a_large_answer(
    caller: Caller, world: World
) -> None:
    groups = ",".join(f"{number:x}" for number in range(100_000))
    body = {
        "content": {"text": "Hi"}, "scope": "SLN_GRP", "groups": groups,
        "solutionId": str(world.solutions[SOLUTION]),
    }  # fmt: skip
    answer = await caller.send(body)
    assert await refused(answer, world)
    assert len(answer.content) < 1_048_576


@pytest.mark.parametrize("scope", ["SLN", "SLN_GRP", "ORG", "USR"])
async def test_a_solution_of_another_organization_does_not_exist(
    caller: Caller, world: World, clock: Clock, scope: str
) -> None:
    other = await World.make(world.database, clock, "Other")
    for solution in (other.solutions[SOLUTION], uuid4()):
        body = {
            "content": {"text": "Hi"}, "scope": scope, "solutionId": str(solution),
            "emails": "admin@example.com", "groups": "sales",
        }  # fmt: skip
        answer = await caller.send(body)
        assert set(await refused(answer, world, 404)) == {"solutionId"}
        assert answer.json()["code"] == "solution_not_found"


async def test_a_member_of_another_organization_is_unknown(
    caller: Caller, world: World, clock: Clock
) -> None:
    other = await World.make(world.database, clock, "Other")
    await other.add_member("other@example.com")
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "USR", "emails": "other@example.com"})
    assert set(await refused(answer, world)) == {"emails"}

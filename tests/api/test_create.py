"""Creating a notification: the contract's five requests, and the exact shape of their answers."""

import re
from typing import Any
from uuid import UUID

import pytest

from clarion.model.delivery import PushKind
from clarion.store import runs
from tests.api.caller import Caller, Json, count_rows
from tests.clock import Clock
from tests.world import OTHER_SOLUTION, SOLUTION, World

NOW = "2025-06-15T15:06:40.000Z"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

ALWAYS = {
    "organizationId", "region", "notificationId", "scope", "state", "startAt", "content", "createdAt",
    "createdBy", "updatedAt", "updatedBy",
}  # fmt: skip


def five_requests(world: World) -> list[Json]:
    crm, retail = str(world.solutions[SOLUTION]), str(world.solutions[OTHER_SOLUTION])
    return [
        {
            "content": {
                "title": "Approved",
                "text": "Your overtime for this month has been approved",
                "screen": "jig",
            },
            "scope": "USR",
            "emails": ["username@example.com"],
        },
        {
            "content": {
                "title": "Weekly timesheets",
                "text": "Reminder to log your time for the week",
                "screen": "jig",
            },
            "scope": "SLN",
            "solutionId": crm,
        },
        {
            "content": {
                "title": "Sales target",
                "text": "This quarter's sale target has been reached",
                "screen": "jig",
            },
            "scope": "SLN_GRP",
            "groups": ["sales", "finance"],
            "solutionId": crm,
        },
        {
            "content": {
                "title": "Update your app",
                "text": "We released a new version of the app",
                "screen": "jig",
            },
            "scope": "ORG",
        },
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
            "solutionId": retail,
        },
    ]


@pytest.mark.parametrize("number", range(5))
async def test_the_five_requests_of_the_contract_work_as_they_stand(
    caller: Caller, world: World, number: int
) -> None:
    await world.add_member("username@example.com", "customers")
    body = five_requests(world)[number]
    answer = await caller.send(body)
    assert answer.status_code == 201
    told = answer.json()
    assert set(told) == ALWAYS | (set(body) & {"emails", "groups", "solutionId"})
    assert told["organizationId"] == str(world.organization)
    assert told["region"] == "us-east-1"
    assert str(UUID(told["notificationId"])) == told["notificationId"]
    assert told["state"] == "QUEUED"
    assert told["createdBy"] == told["updatedBy"] == str(world.admin.user)
    assert told["startAt"] == told["createdAt"] == told["updatedAt"] == NOW
    assert told["content"] == {"inputs": {}} | body["content"]
    assert {key: told[key] for key in body if key != "content"} == {
        key: value for key, value in body.items() if key != "content"
    }


async def test_a_number_among_the_inputs_stays_a_number(caller: Caller, world: World) -> None:
    answer = await caller.send(five_requests(world)[4])
    price = answer.json()["content"]["inputs"]["price"]
    assert (type(price), price) == (int, 34)
    assert '"price":34' in answer.text.replace(" ", "")


async def test_any_json_value_comes_back_from_the_inputs_as_it_was_sent(caller: Caller) -> None:
    inputs: dict[str, Any] = {
        "null": None, "true": True, "false": False, "zero": 0, "negative": -1, "real": 0.1, "whole": 34.0,
        "tiny": 5e-324, "large": 1.7976931348623157e308, "long": 2**63, "longer": -(10**30),
        "text": "\u2028 \" \\ / é 👩🏽‍💻 \x7f", "empty": {}, "nothing": [], "": "an empty key",
        "list": [1, [2, [3]], {"deep": [None]}], "__proto__": 1, "text with \n": "\t",
    }  # fmt: skip
    created = await caller.send({"content": {"text": "Hi", "inputs": inputs}, "scope": "ORG"})
    assert created.status_code == 201
    fetched = await caller.get(f"{caller.path}/{created.json()['notificationId']}")
    for told in (created.json(), fetched.json()):
        assert told["content"]["inputs"] == inputs
        assert {key: type(value) for key, value in told["content"]["inputs"].items()} == {
            key: type(value) for key, value in inputs.items()
        }


async def test_the_least_that_a_request_can_say_gets_the_defaults(caller: Caller) -> None:
    answer = await caller.send({"content": {"text": ""}, "scope": "ORG"})
    assert answer.status_code == 201
    assert answer.json()["content"] == {"text": "", "screen": "jig", "inputs": {}}
    assert set(answer.json()) == ALWAYS


async def test_everything_that_was_sent_is_in_the_answer(caller: Caller, world: World) -> None:
    await world.add_member("one@example.com")
    body = {
        "content": {"text": "t", "title": "T", "screen": "list", "jigId": "j", "inputs": {"a": 1}},
        "scope": "USR",
        "emails": ["One@Example.com"],
        "solutionId": str(world.solutions[SOLUTION]).upper(),
        "description": "For the records",
        "startAt": "2030-01-02T03:04:05.678+01:00",
        "options": {
            "ttl": 60, "priority": "normal", "collapseKey": "k", "badge": 0, "sound": "default",
            "category": "c", "threadId": "t", "imageUrl": "https://example.com:8443/a%20b.png?size=2#x",
            "channelId": "alerts", "critical": True, "interruptionLevel": "time-sensitive",
        },
    }  # fmt: skip
    told = (await caller.send(body)).json()
    assert set(told) == ALWAYS | {"emails", "solutionId", "description", "options"}
    assert told["emails"] == ["One@Example.com"]
    assert told["solutionId"] == str(world.solutions[SOLUTION])
    assert told["startAt"] == "2030-01-02T02:04:05.678Z"
    assert told["createdAt"] == NOW
    assert {key: told[key] for key in ("content", "description", "options")} == {
        key: body[key] for key in ("content", "description", "options")
    }


async def test_null_for_an_optional_key_means_absent(caller: Caller) -> None:
    content = {"text": "Hi", "title": None, "screen": None, "jigId": None, "inputs": None}
    body = {
        "content": content, "scope": "ORG", "emails": None, "groups": None, "solutionId": None,
        "description": None, "startAt": None, "options": None,
    }  # fmt: skip
    answer = await caller.send(body)
    assert answer.status_code == 201
    assert set(answer.json()) == ALWAYS
    assert answer.json()["content"] == {"text": "Hi", "screen": "jig", "inputs": {}}


async def test_null_for_every_option_means_absent(caller: Caller) -> None:
    names = (
        "ttl", "priority", "collapseKey", "badge", "sound", "category", "threadId", "imageUrl", "channelId",
        "critical", "interruptionLevel",
    )  # fmt: skip
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "ORG", "options": dict.fromkeys(names)})
    assert answer.status_code == 201
    assert "options" not in answer.json()


@pytest.mark.parametrize(
    "emails",
    [
        ["one@example.com", "two@example.com"],
        "one@example.com,two@example.com",
        " one@example.com ,\ttwo@example.com ,, ",
        ["one@example.com,two@example.com"],
        ["one@example.com", " two@example.com, ", "", "  ", ","],
        ["one@example.com", "two@example.com", "ONE@example.com", "Two@Example.COM,one@EXAMPLE.com"],
    ],
)
async def test_emails_may_be_an_array_a_string_or_have_commas_in_either(
    caller: Caller, world: World, emails: object
) -> None:
    await world.add_member("one@example.com")
    await world.add_member("two@example.com")
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "USR", "emails": emails})
    assert answer.status_code == 201
    assert answer.json()["emails"] == ["one@example.com", "two@example.com"]
    assert not {"unmatchedEmails", "ignored"} & set(answer.json())


@pytest.mark.parametrize(
    "groups",
    [
        ["sales", "finance"],
        "sales,finance",
        " sales , finance,",
        ["sales,finance", "sales"],
        ["sales ", "", " finance"],
    ],
)
async def test_groups_are_spelt_as_freely_as_emails(caller: Caller, world: World, groups: object) -> None:
    solution = str(world.solutions[SOLUTION])
    body = {"content": {"text": "Hi"}, "scope": "SLN_GRP", "groups": groups, "solutionId": solution}
    answer = await caller.send(body)
    assert answer.status_code == 201
    assert answer.json()["groups"] == ["sales", "finance"]


async def test_an_email_matches_its_member_whatever_the_case(caller: Caller, world: World) -> None:
    await world.add_member("Mixed.Case@Example.com")
    body = {"content": {"text": "Hi"}, "scope": "USR", "emails": "mIXED.cASE@eXAMPLE.COM"}
    answer = await caller.send(body)
    assert answer.status_code == 201
    assert answer.json()["emails"] == ["mIXED.cASE@eXAMPLE.COM"]
    assert answer.json()["state"] == "QUEUED"


async def test_unknown_addresses_are_told_as_they_were_spelt(caller: Caller, world: World) -> None:
    await world.add_member("one@example.com")
    emails = ["Stranger@example.com", "one@example.com", "nobody@example.com"]
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "USR", "emails": emails})
    assert answer.status_code == 201
    assert answer.json()["unmatchedEmails"] == ["Stranger@example.com", "nobody@example.com"]
    assert answer.json()["emails"] == emails


@pytest.mark.parametrize(
    ("scope", "extra", "ignored"),
    [
        ("ORG", {"emails": "one@example.com"}, ["emails"]),
        ("ORG", {"emails": ["one@example.com"], "groups": "sales"}, ["emails", "groups"]),
        ("SLN", {"emails": []}, ["emails"]),
        ("SLN", {"groups": ["no-such-group"]}, ["groups"]),
        ("SLN_GRP", {"groups": "sales", "emails": "stranger@example.com"}, ["emails"]),
        ("USR", {"emails": "one@example.com", "groups": "sales"}, ["groups"]),
    ],
)
async def test_keys_of_another_scope_have_no_effect_and_are_named_as_ignored(
    caller: Caller, world: World, scope: str, extra: Json, ignored: list[str]
) -> None:
    await world.add_member("one@example.com")
    solution = str(world.solutions[SOLUTION])
    body = {"content": {"text": "Hi"}, "scope": scope, "solutionId": solution} | extra
    answer = await caller.send(body)
    assert answer.status_code == 201
    assert answer.json()["ignored"] == ignored
    assert not set(ignored) & (set(answer.json()) - {"ignored"})


async def test_a_user_without_a_device_is_sent_to_at_once(caller: Caller, world: World) -> None:
    await world.add_member("new@example.com", phones=0)
    body = {"content": {"text": "Hi"}, "scope": "USR", "emails": "new@example.com"}
    assert (await caller.send(body)).json()["state"] == "SENT"


async def test_a_solution_may_name_whose_jig_opens_in_any_scope(caller: Caller, world: World) -> None:
    await world.add_member("one@example.com")
    solution = str(world.solutions[OTHER_SOLUTION])
    for scope in ("USR", "ORG"):
        body = {"content": {"text": "Hi"}, "scope": scope, "solutionId": solution}
        answer = await caller.send(body | ({"emails": "one@example.com"} if scope == "USR" else {}))
        assert answer.status_code == 201
        assert answer.json()["solutionId"] == solution


@pytest.mark.parametrize(
    ("start_at", "told"),
    [
        ("2030-04-04T08:18:54.435Z", "2030-04-04T08:18:54.435Z"),
        ("2030-04-04t08:18:54z", "2030-04-04T08:18:54.000Z"),
        ("2030-04-04 08:18:54Z", "2030-04-04T08:18:54.000Z"),
        ("2030-04-04T08:18:54+05:30", "2030-04-04T02:48:54.000Z"),
        ("2030-04-04T08:18:54-23:59", "2030-04-05T08:17:54.000Z"),
        ("2030-04-04T08:18:54-00:00", "2030-04-04T08:18:54.000Z"),
        ("2030-04-04T08:18:54.4Z", "2030-04-04T08:18:54.400Z"),
        ("2030-04-04T08:18:54.4359999999999999999999Z", "2030-04-04T08:18:54.435Z"),
        ("2030-12-31T23:59:60Z", "2031-01-01T00:00:00.000Z"),
        ("2030-12-31T24:00:00Z", "2031-01-01T00:00:00.000Z"),
        ("2032-02-29T00:00:00Z", "2032-02-29T00:00:00.000Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        (1_900_000_000, "2030-03-17T17:46:40.000Z"),
        (1_900_000_000_123, "2030-03-17T17:46:40.123Z"),
        (99_999_999_999, "5138-11-16T09:46:39.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
async def test_start_at_takes_every_published_form(caller: Caller, start_at: object, told: str) -> None:
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "ORG", "startAt": start_at})
    assert answer.status_code == 201
    assert answer.json()["startAt"] == told
    assert answer.json()["state"] == "QUEUED"


@pytest.mark.parametrize(
    "start_at", ["2001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", 0, 1, 100_000_000_000, 1_750_000_000]
)
async def test_a_moment_in_the_past_means_now(caller: Caller, world: World, start_at: object) -> None:
    answer = await caller.send({"content": {"text": "Hi"}, "scope": "ORG", "startAt": start_at})
    assert answer.status_code == 201
    assert answer.json()["startAt"] == NOW
    claimed = await world.write(runs.claim, world.channel_id, "test", world.clock(), world.clock() + 1)
    assert [run.kind for run in claimed] == [PushKind.ALERT]


async def test_a_moment_in_the_future_leaves_nothing_to_push_yet(caller: Caller, world: World) -> None:
    body = {"content": {"text": "Hi"}, "scope": "ORG", "startAt": 1_750_000_001}
    assert (await caller.send(body)).status_code == 201
    assert not await world.write(runs.claim, world.channel_id, "test", world.clock(), world.clock() + 1)
    assert await count_rows(world) == 1


async def test_every_moment_has_milliseconds_and_ends_in_z(caller: Caller, clock: Clock) -> None:
    clock.move(milliseconds=7)
    told = (await caller.send({"content": {"text": "Hi"}, "scope": "ORG"})).json()
    assert all(MOMENT.fullmatch(told[key]) for key in ("startAt", "createdAt", "updatedAt"))
    assert told["createdAt"] == "2025-06-15T15:06:40.007Z"

"""The demonstration from nothing: each of the five requests reaches exactly the right phones."""

import json
import shlex
from collections import Counter

import pytest

from clarion.demo import PEOPLE
from tests.process.installation import Installation, Json, Process, Sandbox, eventually, facts

AUDIENCES = {
    "Approved": {"username@example.com"},
    "Weekly timesheets": {person.email for person in PEOPLE if "sample-crm" in person.solutions},
    "Sales target": {person.email for person in PEOPLE if {"sales", "finance"} & set(person.groups)},
    "Update your app": {person.email for person in PEOPLE},
    "🎉 New product promotion": {person.email for person in PEOPLE if "customers" in person.groups},
}
"""Whom each request is for, by its title; told by the directory, not by the code that sends."""


def requests_of(installation: Installation) -> list[Json]:
    """The five requests as `clarion seed-demo` prints them, to be pasted."""
    told = installation.run("seed-demo").stdout.replace("\\\n", " ").splitlines()
    commands = [shlex.split(line) for line in told if line.startswith("curl ")]
    return [json.loads(command[command.index("-d") + 1]) for command in commands]


def test_the_five_requests_reach_exactly_the_right_phones(
    demo_installation: Installation, sandbox: Sandbox, demo: Process
) -> None:
    known = facts(demo_installation)
    phones = json.loads((demo_installation.folder / "sandbox" / "registry.json").read_text())["phones"]
    path = f"organizations/{known['organizationId']}/notifications"
    bodies = requests_of(demo_installation)
    assert [body["content"]["title"] for body in bodies] == list(AUDIENCES)
    with demo_installation.caller(known["token"]) as caller:
        for body in bodies:
            mark = sandbox.mark()
            created = caller.post(path, json=body)
            assert created.status_code == 201, created.text
            one = f"{path}/{created.json()['notificationId']}"
            eventually(lambda: caller.get(one).json()["state"], "it is sent", lambda state: state == "SENT")  # noqa: B023
            pushes = sandbox.received(mark)
            wanted = {p["token"] for p in phones if p["email"] in AUDIENCES[body["content"]["title"]]}
            assert Counter(push["token"] for push in pushes) == Counter(wanted)
            assert len({push["id"] for push in pushes}) == len(pushes)


def test_the_phones_show_the_words_and_a_tap_opens_the_jig_with_its_inputs(
    demo_installation: Installation, sandbox: Sandbox, demo: Process
) -> None:
    known = facts(demo_installation)
    body = requests_of(demo_installation)[4]
    mark = sandbox.mark()
    with demo_installation.caller(known["token"]) as caller:
        caller.post(f"organizations/{known['organizationId']}/notifications", json=body).raise_for_status()
    push = eventually(lambda: sandbox.received(mark), "it is on the phones")[0]
    phones = sandbox.http.get("/api/phones").json()["phones"]
    banner = next(b for phone in phones for b in phone["banners"] if b["id"] == push["id"])
    assert (banner["title"], banner["text"]) == ("🎉 New product promotion", "Check it out now")
    tapped = sandbox.http.post(f"/api/phones/{push['token']}/tap", json={"id": banner["id"]}).json()
    opened = tapped["opened"]["app"]
    assert (opened["screen"], opened["jigId"]) == ("jig", "view-promotion-details")
    assert opened["inputs"] == body["content"]["inputs"]
    assert type(opened["inputs"]["price"]) is int


def test_a_member_without_a_device_is_sent_to_at_once(
    demo_installation: Installation, sandbox: Sandbox, demo: Process
) -> None:
    known = facts(demo_installation)
    mark = sandbox.mark()
    body = {"content": {"text": "Welcome"}, "scope": "USR", "emails": "new.starter@example.com"}
    with demo_installation.caller(known["token"]) as caller:
        created = caller.post(f"organizations/{known['organizationId']}/notifications", json=body)
        assert created.status_code == 201
        assert created.json()["state"] == "SENT"
        user = next(m["userId"] for m in known["members"] if m["email"] == "new.starter@example.com")
        inbox = caller.get(f"organizations/{known['organizationId']}/members/{user}/notifications").json()
    assert created.json()["notificationId"] in [item["notificationId"] for item in inbox["items"]]
    assert sandbox.received(mark) == []


@pytest.mark.usefixtures("sandbox")
def test_a_token_made_at_the_command_line_opens_the_door(
    demo_installation: Installation, demo: Process
) -> None:
    organization = facts(demo_installation)["organizationId"]
    made = demo_installation.run(
        "token", "create", "--organization", organization, "--email", "ADMIN@example.com"
    )
    assert made.returncode == 0, made.stderr
    token = made.stdout.splitlines()[-1]
    with demo_installation.caller(token) as caller:
        assert caller.get(f"organizations/{organization}/notifications").status_code == 200


def test_no_log_line_names_an_address_an_email_or_a_token(
    demo_installation: Installation, sandbox: Sandbox, demo: Process
) -> None:
    known = facts(demo_installation)
    body = {
        "content": {"text": "confidential"},
        "scope": "USR",
        "emails": ["username@example.com", "x@y.example"],
    }
    with demo_installation.caller(known["token"]) as caller:
        sent = caller.post(f"organizations/{known['organizationId']}/notifications", json=body).json()
        path = f"organizations/{known['organizationId']}/notifications/{sent['notificationId']}"
        eventually(lambda: caller.get(path).json()["state"], "it is sent", lambda state: state == "SENT")
    said = demo.said()
    assert sent["notificationId"] in said, "the log of requests is on"
    registry = (demo_installation.folder / "sandbox" / "registry.json").read_text()
    private = {phone["token"] for phone in json.loads(registry)["phones"]}
    private |= {person.email for person in PEOPLE} | {"confidential", known["token"].split("_")[3][:16]}
    assert not [one for one in private if one in said]

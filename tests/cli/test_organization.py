"""`clarion organization add`, `member add`, `token create`: the first people of an installation."""

import pytest

from clarion.store.schema import members, organizations, users
from tests.cli.conftest import Desk


def test_an_organization_has_its_administrator_who_gets_a_token(desk: Desk) -> None:
    [organization], [member] = desk.rows(organizations), desk.rows(members)
    assert (str(organization.uuid), organization.name, organization.region) == (
        desk.organization, "Example", "us-east-1"
    )  # fmt: skip
    assert (member.email, member.name, member.role) == ("admin@example.com", "Administrator", "admin")
    added = desk.run("organization", "add", "--name", "Second", "--admin-email", "b@example.com")
    hint = added.stderr.partition("clarion ")[2].split()
    assert desk.done(*hint).splitlines()[-1].startswith("clr_us-east-1_")


def test_members_are_added_once(desk: Desk) -> None:
    options = ["--organization", desk.organization, "--email", "sales@example.com"]
    user = desk.done("member", "add", *options).strip()
    _, added = desk.rows(members)
    assert (added.name, added.role) == ("sales", "user")
    assert str(desk.rows(users)[1].uuid) == user
    assert "is a member of that organization already" in desk.refused("member", "add", *options)
    again = ["--organization", desk.organization, "--email", "SALES@example.com"]
    assert "is a member of that organization already" in desk.refused("member", "add", *again)
    owner = [*options[:2], "--email", "boss@example.com", "--name", "Boss", "--role", "owner"]
    desk.done("member", "add", *owner)
    assert (desk.rows(members)[2].name, desk.rows(members)[2].role) == ("Boss", "owner")


@pytest.mark.parametrize("email", ["", "x", "@", "a@", "@b", "a b@c", "a@b@c", "a" * 100 + "@b", "a\n@b"])
def test_what_is_no_address_adds_nobody(desk: Desk, email: str) -> None:
    assert "no e-mail address" in desk.refused(
        "member", "add", "--organization", desk.organization, "--email", email
    )
    assert "no e-mail address" in desk.refused("organization", "add", "--name", "X", "--admin-email", email)
    assert len(desk.rows(members)) == len(desk.rows(organizations)) == 1


def test_a_member_needs_an_organization_that_is_there(desk: Desk) -> None:
    absent = "00000000-0000-4000-8000-000000000000"
    told = desk.refused("member", "add", "--organization", absent, "--email", "a@example.com")
    assert told == f"Error: There is no organization {absent}.\n"


def test_without_a_database_the_way_out_is_told(empty_desk: Desk) -> None:
    told = empty_desk.refused("organization", "add", "--name", "X", "--admin-email", "a@example.com")
    assert told == "Error: The database is empty. Run: clarion migrate\n"

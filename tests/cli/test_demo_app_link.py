"""`clarion seed-demo` tells a way into the reference app, and banners in browsers lead there."""

import json
from urllib.parse import parse_qs, urlsplit

from clarion.demo.app_link import app_address, is_local
from clarion.demo.people import PEOPLE
from clarion.model.access import parse_token
from clarion.store.schema import channels, sessions
from tests.cli.conftest import Desk


def test_the_link_holds_a_session_of_the_everyday_user(empty_desk: Desk) -> None:
    told = empty_desk.done("seed-demo")
    known = json.loads((empty_desk.folder / "demo.json").read_text())
    heading, address = told.splitlines()[-2:]
    link = urlsplit(address)
    assert heading == f"Open the app as {PEOPLE[1].name}:"
    assert address.startswith(f"{app_address(known['baseUrl'])}#")
    assert (link.path, link.query) == ("/phone/", "")
    fragment = {name: values[0] for name, values in parse_qs(link.fragment).items()}
    user = next(member["userId"] for member in known["members"] if member["email"] == PEOPLE[1].email)
    token = parse_token(fragment.pop("session"))
    assert fragment == {"organization": known["organizationId"], "user": user, "name": PEOPLE[1].name}
    [session] = empty_desk.rows(sessions)
    assert token is not None
    assert token.proves(session.secret_hash)


def test_a_banner_in_a_browser_opens_the_app(empty_desk: Desk) -> None:
    empty_desk.done("seed-demo")
    known = json.loads((empty_desk.folder / "demo.json").read_text())
    [channel] = [row for row in empty_desk.rows(channels) if row.provider == "webpush"]
    assert json.loads(channel.settings)["app_url"] == app_address(known["baseUrl"])


def test_browsers_let_pages_of_this_machine_get_pushes() -> None:
    assert is_local("http://127.0.0.1:8080/v2.0")
    assert is_local("http://[::1]:8080/v2.0")
    assert not is_local("http://10.0.0.7:8080/v2.0")

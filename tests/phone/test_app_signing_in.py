"""Signing in to the reference app, and out."""

from tests.browsers.awaiting import until
from tests.phone.app import App
from tests.phone.conftest import Phone

KEPT = """(async () => [localStorage.length,
  (await indexedDB.databases()).map(({ name }) => name).filter((name) => name.startsWith("clarion."))])()"""


async def test_a_link_signs_in_and_its_token_leaves_the_address_at_once(phone: Phone) -> None:
    phone.service.send("Hello")
    app = await App.open(phone)
    await app.go(app.link(phone.token, name="Everyday user"))
    await app.lists("Hello")
    assert await app.do("location.href") == f"{app.site}/phone/"
    history = await app.tab.command("Page.getNavigationHistory")
    assert not [entry["url"] for entry in history["entries"] if "session=" in entry["url"]]
    await app.click("#open-settings")
    await app.reads("#settings", "Everyday user", str(phone.service.member), str(phone.service.organization))


async def test_a_token_can_be_filled_in(phone: Phone) -> None:
    phone.service.send("Hello")
    app = await App.open(phone)
    await app.go("/phone/")
    await app.reads("#sign-in-title", "Sign in")
    await app.click("#sign-in-button")
    await app.reads("#sign-in-notice", "That is not enough")
    await app.click("#sign-in-details summary")
    await app.fill("#sign-in-organization", str(phone.service.organization))
    await app.fill("#sign-in-user", f" {phone.service.member} ")
    await app.fill("#sign-in-token", phone.token)
    await app.press("Enter")
    await app.lists("Hello")


async def test_a_link_can_be_pasted(phone: Phone) -> None:
    phone.service.send("Hello")
    app = await App.open(phone)
    await app.go("/phone/")
    await app.fill("#sign-in-link", f"{app.site}{app.link(phone.token)}")
    await app.click("#sign-in-button")
    await app.lists("Hello")


async def test_a_session_that_ended_is_told_and_the_inbox_stays_until_one_signs_in_again(
    phone: Phone,
) -> None:
    phone.service.send("Hello")
    app = await App.signed_in(phone)
    await app.lists("Hello")
    phone.service.call("DELETE", f"members/{phone.service.member}/sessions")
    await app.reads("#strip", "Your session has ended")
    await app.lists("Hello")
    await app.click("#sign-in-again")
    await app.reads("#sign-in-notice", "Your session has ended")
    await app.fill("#sign-in-link", app.link(phone.service.session()))
    await app.click("#sign-in-button")
    await app.is_live()
    await app.lists("Hello")
    assert not await app.text("#strip")


async def test_a_session_that_can_be_renewed_is_renewed(phone: Phone) -> None:
    opened = phone.service.call("POST", f"members/{phone.service.member}/sessions")
    phone.service.send("Hello")
    app = await App.open(phone)
    wrong = opened["token"][:-1] + ("0" if opened["token"][-1] != "0" else "1")
    await app.go(app.link(wrong, refresh=opened["refreshToken"]))
    await app.lists("Hello")
    kept = await app.do("JSON.parse(localStorage.getItem('clarion.account'))")
    assert kept["token"] not in (wrong, opened["token"])
    assert kept["refreshToken"] != opened["refreshToken"]


async def test_signing_out_leaves_nothing_behind_in_any_tab(phone: Phone) -> None:
    phone.service.send("Hello")
    app, other = await App.signed_in(phone), await App.signed_in(phone)
    await app.click("#open-settings")
    await app.click("#sign-out")
    for tab in (app, other):
        await tab.reads("#sign-in-notice", "You are signed out")
        assert await tab.rows() == []
    await until(lambda: app.do(KEPT), "nothing is kept", lambda kept: kept == [0, []])


async def test_another_person_finds_nothing_of_the_one_before(phone: Phone) -> None:
    phone.service.send("Hello")
    app = await App.signed_in(phone)
    await app.lists("Hello")
    other = phone.service.call("GET", "notifications?limit=1")["items"][0]["createdBy"]
    token = phone.service.call("POST", f"members/{other}/sessions")["token"]
    await app.go(f"/phone/#session={token}&organization={phone.service.organization}&user={other}")
    await app.lists("Hello")
    names = await app.do("indexedDB.databases().then((all) => all.map(({ name }) => name))")
    assert f"clarion.{phone.service.organization}.{phone.service.member}" not in names

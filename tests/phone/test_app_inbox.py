"""The reference app's inbox, driven in Chromium: what comes, what one does with it, with and without a network."""

from tests.browsers.awaiting import until
from tests.phone.app import App, relay
from tests.phone.conftest import Phone


async def test_the_inbox_shows_what_was_sent(phone: Phone) -> None:
    phone.service.send("Check it out now", title="🎉 New product promotion")
    phone.service.send("No title")
    app = await App.signed_in(phone)
    first, second = await app.lists("No title", "🎉 New product promotion")
    assert (first["text"], first["state"]) == (None, "SENT")
    assert second["text"] == "Check it out now"
    await until(lambda: app.do("document.title"), "the title counts", lambda title: title == "(2) Clarion")
    assert await app.text("#unread-count") == "2"
    assert await app.text(".period") == "Today"


async def test_what_arrives_is_there_at_once_with_a_toast_that_opens_it(phone: Phone) -> None:
    app = await App.signed_in(phone)
    await app.reads("#empty", "Nothing here yet")
    phone.service.send("There is cake on the third floor", title="Kitchen news")
    await app.reads(".toast", "Kitchen news", "There is cake on the third floor")
    await app.lists("Kitchen news")
    await app.is_gone("#empty")
    await app.click(".toast-action")
    await app.reads("#reader-title", "Kitchen news")
    await app.is_gone(".toast")


async def test_words_are_never_read_as_html(phone: Phone) -> None:
    title, text = "<img src=x onerror=alert(1)>", "<b>bold</b> &amp;"
    phone.service.send(text, title=title, jigId="x", inputs={"<i>name</i>": "<script>alert(2)</script>"})
    app = await App.signed_in(phone)
    await app.lists(title)
    await app.click(".row-link")
    await app.reads("#notification", title, text, "<i>name</i>", "<script>alert(2)</script>")
    assert await app.do("document.querySelectorAll('#app :is(img:not(.bar-icon), b, i, script)').length") == 0


async def test_reading_is_known_to_the_service_and_in_other_tabs(phone: Phone) -> None:
    for text in ("one", "two"):
        phone.service.send(text)
    app, other = await App.signed_in(phone), await App.signed_in(phone)
    await app.lists("two", "one")
    await app.click(".row-link")
    await app.reads("#reader-title", "two")
    await other.states("READ", "SENT")
    await until_inbox(phone, ["two", "READ"], ["one", "SENT"])
    await app.click("#reader-buttons [data-action=unread]")
    await other.states("SENT", "SENT")
    await until_inbox(phone, ["two", "SENT"], ["one", "SENT"])
    await app.click("#mark-all")
    await other.states("READ", "READ")
    await until_inbox(phone, ["two", "READ"], ["one", "READ"])
    await other.is_gone("#unread-count")
    await until(lambda: other.do("document.title"), "the title is bare", lambda title: title == "Clarion")


async def test_filters_show_all_the_unread_and_the_trash(phone: Phone) -> None:
    for text in ("one", "two", "three"):
        phone.service.send(text)
    app = await App.signed_in(phone)
    await app.lists("three", "two", "one")
    await app.click("#filter-unread")
    await app.click(".row:nth-of-type(2) .row-link")
    await app.reads("#reader-title", "three")
    await app.lists("three", "two", "one")  # it stays in its place while it is open
    await app.press("Escape")
    await app.lists("two", "one")
    await app.click("#filter-dismissed")
    await app.reads("#empty", "The trash is empty")
    assert await app.do("document.getElementById('filter-dismissed').getAttribute('aria-pressed')") == "true"


async def test_what_is_moved_to_the_trash_can_be_restored_and_deleted(phone: Phone) -> None:
    phone.service.send("one")
    app = await App.signed_in(phone)
    await app.lists("one")
    await app.click(".row-link")
    await app.click("#reader-buttons [data-action=dismiss]")
    await app.reads("#empty", "Nothing here yet")
    await until_inbox(phone, ["one", "DISMISSED"])
    await app.click(".toast-action")  # undo
    await app.lists("one")
    await until_inbox(phone, ["one", "READ"])
    await app.click(".row-link")
    await app.click("#reader-buttons [data-action=dismiss]")
    await app.click("#filter-dismissed")
    await app.lists("one")
    await app.click(".row-link")
    await app.click("#reader-buttons [data-action=remove]")
    await app.click("#confirm-no")
    assert await app.text("#reader-title") == "one"
    await app.click("#reader-buttons [data-action=remove]")
    await app.click("#confirm-yes")
    await app.reads("#empty", "The trash is empty")
    await until_inbox(phone)


async def test_fingers_swipe_rows_and_pull_the_list(phone: Phone) -> None:
    for text in ("one", "two"):
        phone.service.send(text)
    app = await App.signed_in(phone)
    await app.resize(412)
    await app.lists("two", "one")
    await app.swipe(".row-face", across=40)
    await app.states("SENT", "SENT")  # too short to mean anything
    await app.swipe(".row-face", across=150)
    await app.states("READ", "SENT")
    await app.swipe(".row-face", across=-150)
    await app.lists("one")
    await until_inbox(phone, ["two", "DISMISSED"], ["one", "SENT"])
    await app.do("void (globalThis.asked = performance.getEntriesByType('resource').length)")
    await app.swipe("#inbox", across=0, down=220)
    asked = "performance.getEntriesByType('resource').length > asked"
    await until(lambda: app.do(asked), "pulling asks the service")


async def test_a_long_list_grows_as_one_scrolls(phone: Phone) -> None:
    texts = [f"number {n}" for n in range(60)]
    for text in texts:
        phone.service.send(text)
    app = await App.signed_in(phone)
    await until(app.rows, "the first part is there", lambda rows: len(rows) == 40)
    await app.do("void (document.getElementById('scroller').scrollTop = 1e6)")
    await app.lists(*reversed(texts))


async def test_without_a_network_the_app_opens_and_keeps_what_is_done(phone: Phone) -> None:
    for text in ("one", "two"):
        phone.service.send(text)
    async with relay(phone.service.port) as way:
        app = await App.signed_in(phone, f"http://127.0.0.1:{way.port}")
        await app.lists("two", "one")
        await app.do("navigator.serviceWorker.ready.then(() => true)")
        await way.close()
        await app.go("/phone/")
        await app.lists("two", "one")
        await app.reads("#strip", "cannot be reached")
        await app.click(".row-link")
        await app.reads("#reader-title", "two")
        await app.states("READ", "SENT")
        assert phone.service.inbox(phone.token)["unread"] == 2
        await way.open()
        await until_inbox(phone, ["two", "READ"], ["one", "SENT"])
        await app.is_live()
        await app.is_gone("#strip")


async def test_a_browser_that_is_offline_says_so(phone: Phone) -> None:
    app = await App.signed_in(phone)
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    await app.tab.command("Network.enable")
    await app.tab.command("Network.emulateNetworkConditions", {"offline": True, **network})
    await app.reads("#strip", "You are offline")
    phone.service.send("while away")
    await app.tab.command("Network.emulateNetworkConditions", {"offline": False, **network})
    await app.lists("while away")
    await app.is_gone("#strip")


async def test_what_was_recalled_leaves_the_list_and_the_reader(phone: Phone) -> None:
    recalled = phone.service.send("a mistake")
    app = await App.signed_in(phone)
    await app.click(".row-link")
    await app.reads("#reader-title", "a mistake")
    phone.service.call("DELETE", f"notifications/{recalled}")
    await app.reads("#missing", "It is not there any more")
    await app.lists()


async def until_inbox(phone: Phone, *entries: list[str]) -> None:
    """Wait until the service tells these entries."""

    async def told() -> list[list[str]]:
        entries: list[list[str]] = phone.service.inbox(phone.token)["entries"]
        return entries

    await until(told, f"the service tells {entries}", lambda now: now == list(entries))

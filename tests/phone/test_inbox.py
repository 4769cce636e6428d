"""The inbox in a real browser, against the real service: whatever happens, the device agrees with it in the end."""

import json

from tests.phone.conftest import Phone, Service

BREAK_AFTER_ONE_PAGE = """(() => {
  const send = fetch;
  let pages = 0;
  globalThis.fetch = (...request) => pages++ ? Promise.reject(new TypeError("cut off")) : send(...request);
})()"""

NOTE_REQUESTS = """(() => {
  const send = fetch;
  globalThis.asked = [];
  globalThis.fetch = (...request) => asked.push(request[0]) && send(...request);
})()"""

REFUSE_ONE = """(() => {
  const send = fetch;
  globalThis.fetch = async () => {
    globalThis.fetch = send;
    return Response.json(%s, { status: %d });
  };
})()"""


async def test_what_was_sent_is_listed_newest_first(phone: Phone, service: Service) -> None:
    service.send("one")
    service.send("two", title="Second", jigId="view", inputs={"price": 34})
    tab = await phone.open()
    assert await tab.look() == {"unread": 0, "entries": []}
    await tab.do("clarion.sync()")
    await tab.sees(["two", "SENT"], ["one", "SENT"])
    await tab.agrees()
    (first, *_) = await tab.do("clarion.list({ limit: 1 })")
    assert first["content"] == {
        "text": "two", "title": "Second", "screen": "jig", "jigId": "view", "inputs": {"price": 34},
    }  # fmt: skip
    rest = await tab.do("clarion.list({ limit: 1 }).then(([after]) => clarion.list({ after }))")
    assert [entry["content"]["text"] for entry in rest] == ["one"]


async def test_what_the_person_does_reaches_the_service(phone: Phone, service: Service) -> None:
    ids = {text: service.send(text) for text in ("a", "b", "c", "d", "e")}
    tab = await phone.open()
    await tab.do("clarion.sync()")
    assert (await tab.look())["unread"] == 5
    await tab.do(f"clarion.markRead('{ids['a']}')")
    await tab.do(f"clarion.dismiss('{ids['b']}')")
    await tab.do(f"clarion.remove('{ids['c']}')")
    await tab.do(f"clarion.markRead('{ids['d']}').then(() => clarion.markUnread('{ids['d']}'))")
    shown = [["e", "SENT"], ["d", "SENT"], ["b", "DISMISSED"], ["a", "READ"]]
    assert await tab.look() == {"unread": 2, "entries": shown}
    await tab.agrees()
    lists = "Promise.all(['inbox', 'unread', 'dismissed'].map((filter) => clarion.list({ filter })))"
    named = [[entry["content"]["text"] for entry in entries] for entries in await tab.do(lists)]
    assert named == [["e", "d", "a"], ["e", "d"], ["b"]]
    await tab.do(f"clarion.restore('{ids['b']}')")
    await tab.do("clarion.markAllRead()")
    service.send("later")
    await tab.do("clarion.sync()")
    await tab.sees(["later", "SENT"], ["e", "READ"], ["d", "READ"], ["b", "READ"], ["a", "READ"])
    await tab.agrees()


async def test_what_another_device_does_arrives(phone: Phone, service: Service) -> None:
    ids = {text: service.send(text) for text in ("a", "b", "c")}
    tab = await phone.open()
    await tab.do("clarion.sync()")
    one = f"members/{service.member}/notifications"
    service.call("PATCH", f"{one}/{ids['a']}", {"state": "DISMISSED"}, token=phone.token)
    service.call("DELETE", f"{one}/{ids['b']}", token=phone.token)
    service.call("DELETE", f"notifications/{ids['c']}")
    service.send("d")
    await tab.do("clarion.sync()")
    await tab.sees(["d", "SENT"], ["a", "DISMISSED"])
    await tab.agrees()
    arrived = await tab.hears("arrived")
    assert [entry["content"]["text"] for entry in arrived["entries"]] == ["d"]


async def test_without_a_network_everything_goes_on_and_is_told_later(phone: Phone, service: Service) -> None:
    ids = {text: service.send(text) for text in ("a", "b", "c", "d")}
    tab = await phone.open()
    await tab.do("clarion.sync()")
    await phone.go_offline(tab)
    assert await tab.do("clarion.sync().catch(({ code }) => code)") == "unreachable"
    await tab.do(f"clarion.markRead('{ids['a']}')")
    await tab.do(f"clarion.markRead('{ids['a']}').then(() => clarion.markUnread('{ids['a']}'))")
    await tab.do(f"clarion.remove('{ids['b']}')")
    await tab.do("clarion.markAllRead()")
    await tab.do(f"clarion.markUnread('{ids['c']}')")
    await tab.do(f"clarion.dismiss('{ids['d']}')")
    seen = [["d", "DISMISSED"], ["c", "SENT"], ["a", "READ"]]
    assert await tab.look() == {"unread": 1, "entries": seen}
    service.send("meanwhile")
    assert service.inbox(phone.token)["unread"] == 5
    await phone.go_online(tab)
    await phone.load(tab)
    assert (await tab.look())["entries"] == seen
    await tab.do("clarion.sync()")
    await tab.sees(["meanwhile", "SENT"], *seen)
    await tab.agrees()


async def test_what_the_service_refuses_is_taken_back(phone: Phone, service: Service) -> None:
    one, _two = service.send("one"), service.send("two")
    tab = await phone.open()
    await tab.do("clarion.sync()")
    service.call("DELETE", f"notifications/{one}")
    await tab.do(f"clarion.markRead('{one}')")
    await tab.sees(["two", "SENT"])
    assert await tab.do(f"clarion.get('{one}').catch(({{ status }}) => status)") == 404


async def test_a_listing_that_was_cut_off_goes_on_where_it_stopped(phone: Phone, service: Service) -> None:
    for number in range(120):
        service.send(f"{number}")
    tab = await phone.open()
    await tab.do(BREAK_AFTER_ONE_PAGE)
    assert await tab.do("clarion.sync().catch(({ code }) => code)") == "unreachable"
    seen = await tab.look()
    assert [text for text, _ in seen["entries"]] == [str(number) for number in range(119, 69, -1)]
    service.send("meanwhile")
    await phone.load(tab)
    await tab.do(NOTE_REQUESTS)
    await tab.do("clarion.sync()")
    await tab.agrees()
    assert [path.split("?")[1].split("=")[0] for path in await tab.do("asked")] == ["syncToken", "filterMode"]


async def test_a_long_history_stays_with_the_service_and_is_counted(phone: Phone, service: Service) -> None:
    ids = [service.send(f"{number}") for number in range(60)]
    tab = await phone.open(history=10)
    await tab.do("clarion.sync()")
    seen = await tab.look()
    assert (len(seen["entries"]), seen["unread"]) == (50, 60)
    await tab.do(f"clarion.markRead('{ids[59]}')")
    assert (await tab.look())["unread"] == 59
    assert (await tab.do(f"clarion.get('{ids[0]}')"))["content"]["text"] == "0"
    await tab.do("clarion.markAllRead()")
    assert (await tab.look())["unread"] == 0
    await tab.do("clarion.sync()")
    assert (await tab.look())["unread"] == service.inbox(phone.token)["unread"] == 0


async def test_a_watermark_that_the_service_does_not_take_begins_anew(phone: Phone, service: Service) -> None:
    service.send("one")
    tab = await phone.open()
    await tab.do("clarion.sync()")
    for body, status in [({"code": "sync_token_too_old"}, 410), ({"code": "invalid_sync_token"}, 400)]:
        service.send(f"{status}")
        await tab.do(REFUSE_ONE % (json.dumps(body), status))
        await tab.do("clarion.sync()")
        await tab.agrees()


async def test_what_is_too_old_leaves_without_a_word(phone: Phone, service: Service) -> None:
    service.send("one")
    tab = await phone.open()
    await tab.do("clarion.sync()")
    await tab.do("void (Date.now = () => Date.UTC(2100, 1, 1))")
    await tab.do("clarion.sync()")
    assert await tab.look() == {"unread": 0, "entries": []}


async def test_tabs_stay_equal(phone: Phone, service: Service) -> None:
    ids = [service.send(text) for text in ("one", "two")]
    first, second = await phone.open(), await phone.open()
    await first.do("clarion.sync()")
    await second.sees(["two", "SENT"], ["one", "SENT"])
    await second.do(f"clarion.dismiss('{ids[0]}')")
    await first.sees(["two", "SENT"], ["one", "DISMISSED"])
    await first.hears("change")
    await first.agrees()


async def test_who_signs_out_leaves_nothing_behind(phone: Phone, service: Service) -> None:
    one = service.send("one")
    first, second = await phone.open(), await phone.open()
    await first.do("clarion.sync()")
    await second.sees(["one", "SENT"])
    await first.do(f"clarion.markRead('{one}')")
    await first.do("clarion.signOut()")
    await second.hears("signedout")
    assert await second.do("clarion.list().catch(({ code }) => code)") == "signed_out"
    databases = "indexedDB.databases().then((all) => all.map(({ name }) => name))"
    assert await first.do(databases) == ["clarion-push"]
    assert service.inbox(phone.token)["entries"] == [["one", "READ"]]
    await phone.load(first)
    assert (await first.look())["entries"] == []

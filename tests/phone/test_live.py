"""The live connection in a real browser, against the real service."""

from tests.browsers.awaiting import until
from tests.phone.conftest import Phone, Service, Tab

COUNT_STREAMS = """(() => {
  const send = fetch;
  globalThis.streams = 0;
  globalThis.pulls = 0;
  globalThis.fetch = (...request) => {
    if (request[0].endsWith("/stream")) streams++;
    if (request[0].includes("syncToken")) pulls++;
    return send(...request);
  };
})()"""


async def is_live(tab: Tab) -> None:
    """Wait until a tab says that it is live."""
    await until(lambda: tab.do("clarion.liveState"), "it is live", lambda state: state == "live")


async def test_what_is_sent_arrives_by_itself_without_a_pull(phone: Phone, service: Service) -> None:
    tab = await phone.open()
    await tab.do(COUNT_STREAMS)
    await tab.do("clarion.live()")
    await is_live(tab)
    one = service.send("one")
    await tab.sees(["one", "SENT"])
    service.send("two")
    await tab.sees(["two", "SENT"], ["one", "SENT"])
    arrived = await tab.hears("arrived")
    assert [entry["content"]["text"] for entry in arrived["entries"]] == ["two"]
    await tab.do(f"clarion.markRead('{one}')")
    service.call("DELETE", f"notifications/{one}")
    await tab.sees(["two", "SENT"])
    await tab.agrees()
    assert await tab.do("[streams, pulls]") == [1, 0]


async def test_what_another_device_reads_is_read_here(phone: Phone, service: Service) -> None:
    one = service.send("one")
    tab = await phone.open()
    await tab.do("clarion.start()")
    await is_live(tab)
    await tab.sees(["one", "SENT"])
    path = f"members/{service.member}/notifications/{one}"
    service.call("PATCH", path, {"state": "READ"}, token=phone.token)
    await tab.sees(["one", "READ"])
    await tab.agrees()


async def test_tabs_share_a_connection_and_another_takes_over(phone: Phone, service: Service) -> None:
    first, second = await phone.open(), await phone.open()
    for tab in (first, second):
        await tab.do(COUNT_STREAMS)
    await first.do("clarion.live()")
    await is_live(first)
    await second.do("clarion.live()")
    await is_live(second)
    assert await second.do("streams") == 0
    service.send("one")
    await second.sees(["one", "SENT"])
    assert [entry["content"]["text"] for entry in (await second.hears("arrived"))["entries"]] == ["one"]
    await first.page.go("about:blank")
    service.send("two")
    await second.sees(["two", "SENT"], ["one", "SENT"])
    await until(lambda: second.do("streams"), "the second tab is connected", lambda count: count == 1)


async def test_it_comes_back_with_the_network_and_nothing_is_lost(phone: Phone, service: Service) -> None:
    one = service.send("one")
    tab = await phone.open()
    await tab.do("clarion.start()")
    await is_live(tab)
    await tab.sees(["one", "SENT"])
    await phone.go_offline(tab)
    await until(
        lambda: tab.do("clarion.liveState"), "it notices", lambda state: state in {"offline", "waiting"}
    )
    await tab.do(f"clarion.markRead('{one}')")
    for number in range(30):
        service.send(f"{number}")
    await phone.go_online(tab)
    await is_live(tab)
    await tab.agrees()
    assert (await tab.look())["unread"] == 30


async def test_a_burst_that_is_only_hinted_at_is_pulled(phone: Phone, service: Service) -> None:
    tab = await phone.open()
    await tab.do("clarion.start()")
    await is_live(tab)
    one = f"members/{service.member}/notifications"
    for number in range(50):
        service.send(f"{number}")
    watermark = service.call("GET", f"{one}/summary", token=phone.token)["watermark"]
    service.call("PATCH", one, {"state": "READ", "upTo": watermark}, token=phone.token)
    await tab.agrees()
    service.send("after")
    await tab.agrees()
    assert (await tab.look())["unread"] == 1


async def test_a_session_that_ends_is_renewed_once_and_then_it_is_over(
    phone: Phone, service: Service
) -> None:
    tab = await phone.open()
    await tab.do("clarion.start()")
    await is_live(tab)
    service.call("DELETE", f"members/{service.member}/sessions")
    assert await tab.hears("live")
    await until(lambda: tab.do("clarion.liveState"), "it is refused", lambda state: state == "refused")

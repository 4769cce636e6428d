"""A desktop's notification service (org.freedesktop.Notifications) on a bus of its own, with a person before it.

Both browsers show their notifications there. A click here is a real one for them: the event is trusted, and the
service worker may open windows.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus

from tests.browsers.awaiting import until
from tests.browsers.programs import find, home, running

NAME, PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
CONFIG = """<busconfig>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/>
  </policy>
</busconfig>
"""
CLOSED_BY_PERSON, CLOSED_BY_CALL = 2, 3


@dataclass(frozen=True)
class Shown:
    """A notification as the desktop was told it. `actions`: what can be clicked, with its label."""

    id: int
    title: str
    body: str
    actions: dict[str, str]


class Desktop:
    """The screen."""

    def __init__(self, bus: MessageBus, address: str) -> None:
        self.address = address
        self.screen: dict[int, Shown] = {}
        self.history: list[Shown] = []
        self._bus = bus
        self._last = 0

    async def shown(self, title: str) -> Shown:
        """Wait for a notification with this title, now on the screen."""

        async def look() -> Shown | None:
            return next((one for one in self.screen.values() if one.title == title), None)

        found = await until(look, f"{title!r} is on the screen")
        assert found is not None
        return found

    async def click(self, one: Shown, action: str = "default") -> None:
        """A person clicks on it; it goes from the screen."""
        await self._bus.send(Message.new_signal(PATH, NAME, "ActionInvoked", "us", [one.id, action]))
        await self._bus.send(self._closed(one.id, CLOSED_BY_PERSON))

    def answer(self, message: Message) -> Message | None:
        """Answer a browser's call."""
        if message.message_type is not MessageType.METHOD_CALL or message.interface != NAME:
            return None
        if message.member == "GetCapabilities":
            return Message.new_method_return(message, "as", [["actions", "body", "persistence"]])
        if message.member == "GetServerInformation":
            return Message.new_method_return(message, "ssss", ["desktop", "tests", "1", "1.2"])
        if message.member == "Notify":
            return Message.new_method_return(message, "u", [self._show(message)])
        if message.member == "CloseNotification":
            self._bus.send(self._closed(message.body[0], CLOSED_BY_CALL))
            return Message.new_method_return(message)
        return None

    def _show(self, message: Message) -> int:
        _, replaced, _, title, body, actions, *_ = message.body
        self._last += not replaced
        one = Shown(replaced or self._last, title, body, dict(zip(actions[::2], actions[1::2], strict=True)))
        self.screen[one.id] = one
        self.history.append(one)
        return one.id

    def _closed(self, number: int, reason: int) -> Message:
        self.screen.pop(number, None)
        return Message.new_signal(PATH, NAME, "NotificationClosed", "uu", [number, reason])


@asynccontextmanager
async def desktop(folder: Path) -> AsyncIterator[Desktop]:
    """A bus with a notification service on it."""
    socket, config = folder / "bus", folder / "bus.conf"
    address = f"unix:path={socket}"
    config.write_text(CONFIG.format(socket=socket))
    command = [find("dbus-daemon"), "--nofork", "--nosyslog", f"--config-file={config}", "--print-address"]

    async with running(command, folder, home(folder, address)) as program:
        await until(program.said, "the bus listens", lambda text: address in text)
        bus = await MessageBus(address, bus_type=BusType.SESSION).connect()
        screen = Desktop(bus, address)
        bus.add_message_handler(screen.answer)
        await bus.request_name(NAME)
        try:
            yield screen
        finally:
            bus.disconnect()

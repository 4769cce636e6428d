"""What the stand-ins and the page share: the phones' screens, the log, the fault, the registry.

The stand-ins report what they accepted and refused; the page reads, taps and dismisses. State survives a
restart in `state.json`; `server.py` calls `save` once a second and at the end.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clarion.sandbox import screens
from clarion.sandbox.faults import Fault
from clarion.sandbox.push import Provider, Push, Refused
from clarion.sandbox.received import Received
from clarion.sandbox.registry import Phone, Registry, RegistryFile, write_atomically
from clarion.sandbox.screens import Screen
from clarion.sandbox.watchers import Watchers

FILE_NAME = "state.json"
LOGGED = 100
MOST_UNKNOWN_PHONES = 50

log = logging.getLogger(__name__)


class Stage:
    """The scene of one sandbox."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self.registry = RegistryFile(folder, clock)
        self.received = Received()
        self.watchers = Watchers()
        self.fault = Fault()
        self.fault_set: list[Callable[[Fault], None]] = []
        self._path = folder / FILE_NAME
        self._clock = clock
        self._log: deque[dict[str, Any]] = deque(maxlen=LOGGED)
        self._screens: dict[str, Screen] = {}
        self._unknown: dict[str, Phone] = {}
        self._seen = self.registry.current()
        self._changed = False
        self._load()

    # --- for the stand-ins ---

    def accepted(self, push: Push) -> None:
        """Note an accepted push and show it, where its phone is on the page."""
        at = self._now_ms()
        self.received.add(push, at)
        title = push.alert.title if push.alert else ""
        self._entry(
            push.provider, push.token, push.id, "accepted", push.push_type, title=title, advice=push.advice
        )
        if self._find(push) is None:
            return
        before = self._screens.get(push.token, Screen())
        after = screens.show(before, push, at)
        if after != before:
            shown = "withdrawn" if push.withdraw else "banner" if push.alert else "badge"
            self._set(push.token, after, "waiting" if before.away else shown)

    def refused(self, provider: Provider, token: str, push_id: str, refused: Refused) -> None:
        """Note a refused push, or another request that was refused; that one has no token."""
        self._entry(provider, token, push_id, "refused", f"{refused.status} {refused.reason}")

    def noted(self, push: Push, mishap: str) -> None:
        """Note that a push met with a mishap on the wire."""
        self._entry(push.provider, push.token, push.id, "mishap", mishap)

    def set_fault(self, fault: Fault) -> None:
        """Let all requests meet a fault from now on."""
        self.fault = fault
        for tell in self.fault_set:
            tell(fault)
        self._reread()

    # --- for the page ---

    def describe(self) -> dict[str, Any]:
        """Return all that the page shows."""
        registry = self.registry.current()
        return {
            "now": self._now_ms(),
            "credentials": len(registry.keys) + len(registry.projects),
            "fault": {"mode": self.fault.mode, "value": self.fault.value},
            "phones": [self.describe_phone(phone) for phone in self._on_page(registry).values()],
            "log": list(reversed(self._log)),
        }

    def describe_phone(self, phone: Phone) -> dict[str, Any]:
        """Return one phone with its screen."""
        names = ("provider", "topic", "name", "owner", "email", "model")
        whose = {name: getattr(phone, name) for name in names}
        screen = self._screens.get(phone.key, Screen())
        return {"token": phone.key, **whose, **screens.to_page(screen)}

    def phone(self, token: str) -> Phone | None:
        """Return a phone that is on the page, by its address as the page spells it."""
        return self._on_page(self.registry.current()).get(token)

    def touch(self, token: str, change: Callable[[Screen], Screen | None], reason: str) -> Phone | None:
        """Apply what a person did to a phone; None when there is no such phone or nothing to apply it to."""
        phone = self.phone(token)
        if phone is None:
            return None
        screen = change(self._screens.get(token, Screen()))
        if screen is None:
            return None
        self._set(token, screen, reason)
        return phone

    def come_back(self, token: str) -> Phone | None:
        """Let a phone find the network again; what has waited for it appears."""
        return self.touch(token, lambda screen: screens.come_back(screen, self._now_ms()), "online")

    # --- upkeep ---

    def refresh(self) -> None:
        """Look at the registry and tell the page when it changed."""
        registry = self.registry.current()
        if registry is not self._seen:
            self._seen = registry
            self._reread()

    def take_unsaved(self) -> str | None:
        """Return the state to be written, if it changed since the last time."""
        if not self._changed:
            return None
        self._changed = False
        unknown = [
            {"provider": p.provider, "token": p.token, "topic": p.topic} for p in self._unknown.values()
        ]
        content = {token: screens.to_json(screen) for token, screen in self._screens.items()}
        return json.dumps({"screens": content, "unknown": unknown})

    def save(self, state: str) -> None:
        """Write the state; may run in a thread."""
        write_atomically(self._path, state)

    def _load(self) -> None:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            self._screens = {token: screens.from_json(entry) for token, entry in content["screens"].items()}
            unknown = content["unknown"]
            self._unknown = {
                p["token"]: _generic(p.get("provider", "apns"), p["token"], p["topic"]) for p in unknown
            }
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("starting with empty screens: %s: %r", self._path, error)

    def _on_page(self, registry: Registry) -> Mapping[str, Phone]:
        return registry.phones or self._unknown

    def _find(self, push: Push) -> Phone | None:
        """Return the phone of a push; where nobody registered phones, a new address makes one."""
        phones = self._on_page(self.registry.current())
        if push.token in phones or phones is not self._unknown:
            return phones.get(push.token)
        if len(self._unknown) >= MOST_UNKNOWN_PHONES:
            return None
        self._unknown[push.token] = phone = _generic(push.provider, push.token, push.topic)
        return phone

    def _set(self, token: str, screen: Screen, reason: str) -> None:
        self._screens[token] = screen
        self._changed = True
        for watcher in self.watchers:
            watcher.phone(token, reason)

    def _entry(
        self, provider: Provider, token: str, push_id: str, answer: str, what: str, **more: str
    ) -> None:
        about = {"provider": provider, "token": token, "id": push_id, "answer": answer, "what": what}
        entry = {"at": self._now_ms(), **about, **more}
        self._log.append(entry)
        for watcher in self.watchers:
            watcher.entry(entry)

    def _reread(self) -> None:
        for watcher in self.watchers:
            watcher.reread()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _generic(provider: Provider, token: str, topic: str) -> Phone:
    model = "iPhone" if provider == "apns" else "Android"
    return Phone(token, topic, name=f"Phone …{token[-6:]}", model=model, provider=provider)

"""What is on a phone's screen: banners, the badge, and the screen of the app that a tap opened.

Frozen values and pure functions; `stage.py` keeps the current one per phone. Nothing here knows a provider.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from clarion.sandbox.push import Alert, Push

MOST_BANNERS = 30
MOST_WAITING = 100


@dataclass(frozen=True, slots=True)
class Banner:
    """A notification as the lock screen shows it."""

    id: str
    at: int
    """When it arrived, epoch milliseconds."""
    title: str = ""
    subtitle: str = ""
    text: str = ""
    collapse_id: str | None = None
    app: Mapping[str, Any] = field(default_factory=dict)

    def replaces(self, other: Banner) -> bool:
        """Whether the other goes when this one comes."""
        same_collapse_id = self.collapse_id is not None and self.collapse_id == other.collapse_id
        return same_collapse_id or self.id == other.id


@dataclass(frozen=True, slots=True)
class Screen:
    """One phone's screen; the newest banner comes first."""

    banners: tuple[Banner, ...] = ()
    badge: int | None = None
    """The number that the last push asked for; None: count the banners."""
    opened: Banner | None = None
    """The notification whose screen the app shows; None: the lock screen."""
    away: bool = False
    """Whether the phone has no network."""
    waiting: tuple[Push, ...] = ()
    """What the push service keeps for it meanwhile, oldest first."""


def show(screen: Screen, push: Push, at: int) -> Screen:
    """Show an accepted push: its banner, its badge, or the withdrawal that it brings; or keep it for later."""
    if screen.away:
        return _keep(screen, push, at)
    if push.withdraw:
        return withdraw(screen, push.withdraw)
    badge = screen.badge if push.badge is None else push.badge
    if push.alert is None:
        return replace(screen, badge=badge)
    alert = push.alert
    banner = Banner(push.id, at, alert.title, alert.subtitle, alert.text, push.collapse_id, push.app)
    others = (other for other in screen.banners if not banner.replaces(other))
    return replace(screen, banners=(banner, *others)[:MOST_BANNERS], badge=badge)


def _keep(screen: Screen, push: Push, at: int) -> Screen:
    """What waits under the same name makes room for the newer push; what has no time to wait is dropped."""
    if _is_over(push, at):
        return screen
    named = push.waits_as is not None
    others = tuple(other for other in screen.waiting if not (named and other.waits_as == push.waits_as))
    return replace(screen, waiting=(*others, push)[-MOST_WAITING:])


def _is_over(push: Push, at: int) -> bool:
    return push.expires_at is not None and push.expires_at * 1000 <= at


def leave(screen: Screen) -> Screen:
    """Lose the network."""
    return replace(screen, away=True)


def come_back(screen: Screen, at: int) -> Screen:
    """Find the network again, and what has waited and is still good."""
    waiting, screen = screen.waiting, replace(screen, away=False, waiting=())
    for push in waiting:
        screen = screen if _is_over(push, at) else show(screen, push, at)
    return screen


def withdraw(screen: Screen, notification_ids: Collection[str]) -> Screen:
    """Remove the banners of some notifications."""
    kept = tuple(b for b in screen.banners if b.app.get("notificationId") not in notification_ids)
    return screen if kept == screen.banners else replace(screen, banners=kept, badge=None)


def tap(screen: Screen, banner_id: str) -> Screen | None:
    """Open the app at a banner, which leaves the lock screen; None when it is not there any more."""
    found = next((b for b in screen.banners if b.id == banner_id), None)
    if found is None:
        return None
    kept = tuple(b for b in screen.banners if b.id != banner_id)
    return replace(screen, banners=kept, badge=None, opened=found)


def dismiss(screen: Screen, banner_id: str | None) -> Screen:
    """Swipe a banner away, or all of them."""
    kept = tuple(b for b in screen.banners if banner_id is not None and b.id != banner_id)
    return replace(screen, banners=kept, badge=None)


def back(screen: Screen) -> Screen:
    """Return to the lock screen."""
    return replace(screen, opened=None)


# --- for the page and the state file ---


def to_json(screen: Screen) -> dict[str, Any]:
    """Return the whole screen, to be stored."""
    return {
        "banners": [_banner_to_json(banner) for banner in screen.banners],
        "badge": screen.badge,
        "opened": _banner_to_json(screen.opened) if screen.opened else None,
        "away": screen.away,
        "waiting": [asdict(push) for push in screen.waiting],
    }


def to_page(screen: Screen) -> dict[str, Any]:
    """Return what the page draws: inputs travel only with the banner that is open."""
    return {
        "banners": [_banner_to_json(banner, brief=True) for banner in screen.banners],
        "badge": len(screen.banners) if screen.badge is None else screen.badge,
        "opened": _banner_to_json(screen.opened) if screen.opened else None,
        "away": screen.away,
        "waiting": len(screen.waiting),
    }


def from_json(content: Mapping[str, Any]) -> Screen:
    """Return a stored screen; raises KeyError or TypeError for what never was one."""
    opened = content["opened"]
    return Screen(
        tuple(_banner_from_json(entry) for entry in content["banners"]),
        content["badge"],
        _banner_from_json(opened) if opened else None,
        content.get("away", False),
        tuple(_push_from_json(entry) for entry in content.get("waiting", ())),
    )


def _push_from_json(entry: Mapping[str, Any]) -> Push:
    alert = entry["alert"]
    return Push(**{**entry, "alert": Alert(**alert) if alert else None, "withdraw": tuple(entry["withdraw"])})


def _banner_to_json(banner: Banner, *, brief: bool = False) -> dict[str, Any]:
    texts = {"title": banner.title, "subtitle": banner.subtitle, "text": banner.text}
    whole = {} if brief else {"collapseId": banner.collapse_id, "app": dict(banner.app)}
    return {"id": banner.id, "at": banner.at, **texts, **whole}


def _banner_from_json(entry: Mapping[str, Any]) -> Banner:
    texts = entry["title"], entry["subtitle"], entry["text"]
    return Banner(entry["id"], entry["at"], *texts, entry["collapseId"], entry["app"])

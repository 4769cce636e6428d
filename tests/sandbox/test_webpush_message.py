"""What a browser reads in a message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from clarion.sandbox.push import Alert
from clarion.sandbox.webpush_message import Message, read_message

from .browser import DECLARATIVE, NOTIFICATION


def read(content: Any) -> Message:
    return read_message(json.dumps(content).encode())


def declarative(**change: Any) -> dict[str, Any]:
    """A message with another notification."""
    whole = {**NOTIFICATION, **change}
    return {
        "web_push": 8030,
        "notification": {name: part for name, part in whole.items() if part is not None},
    }


def test_a_declarative_message_is_a_banner() -> None:
    everything = declarative(
        lang="en",
        dir="auto",
        tag="n-1",
        icon="https://app.example.com/i.png",
        silent=False,
        actions=[],
        data={},
    )
    app = {"notificationId": "n-1", "inputs": {"price": 34}}
    message = read({**everything, "app_badge": "3", "mutable": True, "clarion": app})
    assert message == Message(
        Alert("Hello", text="World"), "n-1", 3, {**app, "navigate": NOTIFICATION["navigate"]}
    )


def test_the_object_for_the_app_may_lie_in_the_data_too() -> None:
    app = {"notificationId": "n-1", "inputs": {"price": 34}}
    assert read(declarative(data={"clarion": app})).app["inputs"] == {"price": 34}
    assert read({**declarative(data={"clarion": {}}), "clarion": app}).app["inputs"] == {"price": 34}
    assert read({**DECLARATIVE, "clarion": "text"}).app == {"navigate": NOTIFICATION["navigate"]}


@pytest.mark.parametrize(("badge", "expected"), [(0, 0), (7, 7), ("18446744073709551615", (1 << 64) - 1)])
def test_a_badge_is_a_number_or_its_digits(badge: object, expected: int) -> None:
    assert read({**DECLARATIVE, "app_badge": badge}).badge == expected


WRONG: dict[str, tuple[Any, str]] = {
    "a text": ("hello", "not declarative"),
    "a list": ([], "not declarative"),
    "any object": ({"title": "Hello"}, "not declarative"),
    "8030 as a text": ({**DECLARATIVE, "web_push": "8030"}, "not declarative"),
    "8030 as a truth": ({**DECLARATIVE, "web_push": True}, "not declarative"),
    "another number": ({**DECLARATIVE, "web_push": 9001}, "web_push must be 8030"),
    "no notification": ({"web_push": 8030}, "notification an object"),
    "no title": (declarative(title=None), "title"),
    "an empty title": (declarative(title=""), "title"),
    "no link": (declarative(navigate=None), "navigate"),
    "a relative link": (declarative(navigate="/jig/promo"), "navigate"),
    "a link without a host": (declarative(navigate="https:///x"), "navigate"),
    "a link that is a script": (declarative(navigate="javascript:x"), "navigate"),
    "a link that cannot be": (declarative(navigate="https://[x"), "navigate"),
    "a body that is a number": (declarative(body=3), "notification.body must be a string"),
    "a tag that is a number": (declarative(tag=3), "notification.tag must be a string"),
    "a direction of its own": (declarative(dir="up"), "notification.dir"),
    "silent as a text": (declarative(silent="no"), "notification.silent"),
    "actions as an object": (declarative(actions={}), "notification.actions"),
    "the badge in the wrong place": (declarative(app_badge=3), "app_badge belongs beside notification"),
    "mutable in the wrong place": (declarative(mutable=True), "mutable belongs beside notification"),
    "mutable as a text": ({**DECLARATIVE, "mutable": "true"}, "mutable must be"),
    "a badge in words": ({**DECLARATIVE, "app_badge": "three"}, "app_badge must be"),
    "a negative badge": ({**DECLARATIVE, "app_badge": -1}, "app_badge must be"),
    "a badge of 65 bits": ({**DECLARATIVE, "app_badge": 1 << 64}, "app_badge must be"),
    "a badge with a fraction": ({**DECLARATIVE, "app_badge": 1.5}, "app_badge must be"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_browser_shows_nothing_by_itself_and_the_advice_says_why(case: str) -> None:
    content, expected = WRONG[case]
    message = read(content)
    assert message.alert is None
    assert expected in message.advice


@pytest.mark.parametrize("octets", [b"", b"\xff", b"{", b"[" * 4000])
def test_what_is_no_json_is_named(octets: bytes) -> None:
    assert "no JSON" in read_message(octets).advice

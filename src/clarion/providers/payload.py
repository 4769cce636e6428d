"""What all roads render alike: the object for the app, the collapse id, and inputs that are too large.

Called by the providers' encoders; knows no provider.
"""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

from clarion.model.push import Banner, Push

MOST_COLLAPSE_OCTETS: Final = 64


def app_object(push: Push) -> dict[str, Any]:
    """What a push says to the app, by which a tap opens the right screen (docs/api.md, "What reaches the app")."""
    content = push.content
    optional = {
        "solutionId": push.solution and str(push.solution),
        "jigId": content.jig,
        "imageUrl": push.options.image_url,
    }
    return {
        "notificationId": str(push.notification),
        "organizationId": str(push.organization),
        "screen": content.screen,
        **{key: value for key, value in optional.items() if value is not None},
        "inputs": content.inputs,
    }


def withdrawn(push: Push) -> list[Banner]:
    """The banners that a withdrawal takes away."""
    return [Banner(push.notification, push.options.collapse_key), *push.also]


def withdrawal_object(push: Push) -> dict[str, Any]:
    """What tells an app to take banners away."""
    return {"withdraw": [str(banner.notification) for banner in withdrawn(push)]}


def collapse_id(push: Push) -> str:
    """Under what a push stands on the screen."""
    return collapse_id_of(Banner(push.notification, push.options.collapse_key))


def collapse_id_of(banner: Banner) -> str:
    """At most 64 octets of ASCII: the sender's key where it fits, its digest where not, else the notification."""
    key = banner.collapse_key
    if key is None:
        return str(banner.notification)
    fits = len(key) <= MOST_COLLAPSE_OCTETS and re.fullmatch(r"[!-~]+", key)
    return key if fits else sha256(key.encode()).hexdigest()


def fit(push: Push, render: Callable[[dict[str, Any]], bytes], most_octets: int) -> bytes:
    """Render a push; what would make it larger than the limit is left for the app to fetch: inputs, then the image."""
    whole = app_object(push)
    without_inputs = whole | {"inputs": {}, "inputsOmitted": True}
    without_image = {key: value for key, value in without_inputs.items() if key != "imageUrl"}
    for told in (whole, without_inputs):
        octets = render(told)
        if len(octets) <= most_octets:
            return octets
    return render(without_image)


def to_json(value: object) -> bytes:
    """Compact JSON in UTF-8, whose octets are what the limits count."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

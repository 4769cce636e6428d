"""How a Web Push service says no: a status, and Mozilla's JSON, whose numbers name the fault.

Used by the rules (`webpush_rules.py`) and by the table of scripted outcomes.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from clarion.sandbox.push import Refused


def refusal(status: int, errno: int | None, message: str) -> Refused:
    """Return a refusal; faults for which Mozilla has no number go without."""
    phrase = HTTPStatus(status).phrase
    content = {"code": status, "errno": errno, "error": phrase, "message": message}
    body = json.dumps({name: value for name, value in content.items() if value is not None}).encode()
    return Refused(status, message, headers=(("content-type", "application/json"),), body=body)


def wns_refusal(status: int, description: str, state: str) -> Refused:
    """Return a refusal of Windows' service: an empty body, and the reason in headers."""
    headers = (("x-wns-status", state), ("x-wns-error-description", description))
    return Refused(status, description, headers=headers)

"""How Google says no: the error object of its APIs, with the details that FCM adds.

Used by the rules (`fcm_rules.py`, `fcm_auth.py`) and by the table of scripted outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from clarion.sandbox.push import Refused

JSON_HEADERS = (("content-type", "application/json; charset=UTF-8"),)
_TYPE = "type.googleapis.com/"


class Violation(NamedTuple):
    """A field of the request, and what is wrong with it."""

    field: str
    description: str


def error(
    status: int, rpc: str, message: str, *, code: str = "", violations: Iterable[Violation] = ()
) -> Refused:
    """Return a refusal: the canonical status of Google's RPCs, and FCM's own error code where it has one."""
    details: list[dict[str, Any]] = []
    if code:
        details.append({"@type": _TYPE + "google.firebase.fcm.v1.FcmError", "errorCode": code})
    if fields := [violation._asdict() for violation in violations]:
        details.append({"@type": _TYPE + "google.rpc.BadRequest", "fieldViolations": fields})
    content: dict[str, Any] = {"code": status, "message": message, "status": rpc}
    if details:
        content["details"] = details
    body = json.dumps({"error": content}, indent=2).encode()
    return Refused(status, code or rpc, headers=JSON_HEADERS, body=body)


def invalid(message: str, *violations: Violation) -> Refused:
    """Return what FCM says of a message that can be read and makes no sense."""
    return error(400, "INVALID_ARGUMENT", message, code="INVALID_ARGUMENT", violations=violations)


def grant_error(status: int, name: str, description: str) -> Refused:
    """Return what the token endpoint says (RFC 6749 §5.2)."""
    body = json.dumps({"error": name, "error_description": description}).encode()
    return Refused(status, name, headers=JSON_HEADERS, body=body)


def page(status: int, title: str) -> Refused:
    """Return an answer from a machine before the service: HTML, where a client expects JSON."""
    body = f"<!DOCTYPE html>\n<html><title>Error {status} ({title})</title><p>{title}.</html>\n".encode()
    return Refused(status, "HTML", headers=(("content-type", "text/html; charset=UTF-8"),), body=body)

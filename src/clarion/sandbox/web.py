"""The page with the phones, and its API for tests and tools.

Reads and touches `stage.py`; of the providers it knows Google's access tokens alone. Plain HTTP, meant for this
machine only: it has no log-in.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from litestar import Litestar, Request, Response, delete, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from clarion.sandbox import screens
from clarion.sandbox.faults import Fault, fault_of
from clarion.sandbox.fcm_auth import AccessTokens
from clarion.sandbox.received import PAGE
from clarion.sandbox.stage import Stage
from clarion.sandbox.watchers import Changes

FOLDER = Path(__file__).parent / "page"
FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "phone.css": "text/css",
    "page.js": "text/javascript",
    "phone.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}
KEEP_ALIVE_SECONDS = 15.0
JSON = dict[str, Any]


def make_app(stage: Stage, access_tokens: AccessTokens) -> Litestar:
    """Return the page and its API as an ASGI application."""
    reading = [*_files(stage), *_reading(stage), *_received(stage)]
    return Litestar(
        [*reading, *_phones(stage), _faults(stage), *_access_tokens(access_tokens)],
        openapi_config=None,
        logging_config=None,
    )


def _files(stage: Stage) -> list[Any]:
    def answer(name: str) -> Response[bytes]:
        return Response((FOLDER / name).read_bytes(), media_type=FILES[name], headers=HEADERS)

    @get("/")
    async def index() -> Response[bytes]:
        """Answer the page with what is on the phones, so that it is drawn at once."""
        page = (FOLDER / "index.html").read_bytes()
        state = json.dumps(stage.describe()).replace("<", "\\u003c").encode()
        return Response(page.replace(b"STATE", state, 1), media_type="text/html", headers=HEADERS)

    @get("/page/{name:str}")
    async def file(name: FromPath[str]) -> Response[bytes]:
        if name not in FILES:
            raise NotFoundException(f"no such file: {name}")
        return answer(name)

    return [index, file]


def _reading(stage: Stage) -> list[Any]:
    @get("/healthz")
    async def health() -> JSON:
        return {"status": "ok"}

    @get("/api/phones")
    async def phones() -> JSON:
        return stage.describe()

    @get("/api/stream")
    async def stream() -> Stream:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Stream(_events(stage), media_type="text/event-stream", headers=headers)

    return [health, phones, stream]


async def _events(stage: Stage) -> AsyncIterator[str]:
    with stage.watchers.one() as watcher:
        yield "retry: 1000\n\n"
        while not (changes := await watcher.next(KEEP_ALIVE_SECONDS)).closed:
            yield _lines(stage, changes) or ": still here\n\n"


def _lines(stage: Stage, changes: Changes) -> str:
    if changes.reread:
        return _event("reread", {})
    phones = [(stage.phone(token), reason) for token, reason in changes.phones.items()]
    lines = [_event("push", entry) for entry in changes.entries]
    lines += [_event("phone", {"reason": r, "phone": stage.describe_phone(p)}) for p, r in phones if p]
    return "".join(lines)


def _event(name: str, content: JSON) -> str:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n"


def _phones(stage: Stage) -> list[Any]:
    @post("/api/phones/{token:str}/tap", status_code=HTTPStatus.OK)
    async def tap(token: FromPath[str], request: Request[Any, Any, Any]) -> Response[JSON]:
        banner_id = (await _body(request)).get("id")
        done = stage.touch(token, lambda screen: screens.tap(screen, str(banner_id)), "tapped")
        return _phone_or_404(stage, done)

    @post("/api/phones/{token:str}/dismiss", status_code=HTTPStatus.OK)
    async def dismiss(token: FromPath[str], request: Request[Any, Any, Any]) -> Response[JSON]:
        banner_id = (await _body(request)).get("id")  # none: all
        done = stage.touch(token, lambda screen: screens.dismiss(screen, banner_id), "dismissed")
        return _phone_or_404(stage, done)

    @post("/api/phones/{token:str}/back", status_code=HTTPStatus.OK)
    async def back(token: FromPath[str]) -> Response[JSON]:
        return _phone_or_404(stage, stage.touch(token, screens.back, "back"))

    @post("/api/phones/{token:str}/offline", status_code=HTTPStatus.OK)
    async def leave(token: FromPath[str]) -> Response[JSON]:
        return _phone_or_404(stage, stage.touch(token, screens.leave, "offline"))

    @post("/api/phones/{token:str}/online", status_code=HTTPStatus.OK)
    async def come_back(token: FromPath[str]) -> Response[JSON]:
        return _phone_or_404(stage, stage.come_back(token))

    return [tap, dismiss, back, leave, come_back]


def _phone_or_404(stage: Stage, phone: Any) -> Response[JSON]:
    if phone is None:
        return _wrong(
            HTTPStatus.NOT_FOUND, "not_found", "no such phone, or no such notification on its screen"
        )
    return Response(stage.describe_phone(phone))


def _received(stage: Stage) -> list[Any]:
    @get("/api/received")
    async def received(
        after: Annotated[int, QueryParameter(ge=0)] = 0,
        limit: Annotated[int, QueryParameter(ge=1, le=PAGE)] = PAGE,
    ) -> JSON:
        return stage.received.after(after, limit)

    @delete("/api/received")
    async def forget() -> None:
        stage.received.clear()

    return [received, forget]


def _faults(stage: Stage) -> Any:
    @post("/api/faults", status_code=HTTPStatus.OK)
    async def set_fault(request: Request[Any, Any, Any]) -> Response[JSON]:
        fault = fault_of(await _body(request))
        if not isinstance(fault, Fault):
            return _wrong(HTTPStatus.BAD_REQUEST, "bad_fault", fault)
        stage.set_fault(fault)
        return Response({"mode": fault.mode, "value": fault.value})

    return set_fault


def _access_tokens(access_tokens: AccessTokens) -> list[Any]:
    @get("/api/access-tokens")
    async def count() -> JSON:
        return {"issued": access_tokens.issued}

    @delete("/api/access-tokens")
    async def revoke() -> None:
        access_tokens.revoke_all()

    return [count, revoke]


async def _body(request: Request[Any, Any, Any]) -> JSON:
    try:
        content = json.loads(await request.body() or b"{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _wrong(status: HTTPStatus, code: str, message: str) -> Response[JSON]:
    return Response({"code": code, "message": message}, status_code=status)

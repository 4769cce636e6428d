"""`/phone/…`: the reference app, and the library that it is built on. Files and nothing else; no token is needed.

The files are read once, when the application is made. What a browser may do with them is said in their headers:
no script from elsewhere, no frame around them, and a service worker for `/phone/` as a whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.params import FromPath

import clarion.phone
from clarion.model.errors import NotFound

PATH: Final = "/phone"
FOLDER: Final = Path(clarion.phone.__file__).parent

MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".ts": "text/plain",
    ".md": "text/plain",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}

SOURCES: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "font-src": "'self'",
    "img-src": "'self' https: data:",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "worker-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}

HEADERS: Final = {
    "Cache-Control": "no-cache",  # asked for at every load, answered by 304
    "Content-Security-Policy": "; ".join(f"{what} {whence}" for what, whence in SOURCES.items()),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Service-Worker-Allowed": f"{PATH}/",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class File:
    """What is answered for one path."""

    octets: bytes
    media_type: str
    etag: str


Files = Mapping[str, File]
"""By path below `/phone`; the app's own page has the empty one."""


def read_files(folder: Path = FOLDER) -> Files:
    """The app's files below the root, the library's below `client/`."""
    app = {_below(folder / "app", path): _read(path) for path in _served(folder / "app")}
    client = {f"client/{_below(folder / 'client', path)}": _read(path) for path in _served(folder / "client")}
    index = {"": app["index.html"]} if "index.html" in app else {}
    return app | client | index


def create_router(files: Files) -> Router:
    """The routes; mounted by `app.py`."""

    @get(["/", "/{path:path}"], include_in_schema=False)
    async def get_file(
        request: Request[None, None, State], path: FromPath[str] = ""
    ) -> Response[bytes | None]:
        """One file; 304 when the browser has it already."""
        if (
            request.scope["raw_path"].partition(b"?")[0] == PATH.encode()
        ):  # the app's relative addresses need the slash
            return Response(None, status_code=308, headers={"Location": f"{PATH}/{_query(request)}"})
        file = files.get(path.lstrip("/"))
        if file is None:
            raise NotFound(f"There is nothing at GET {request.scope['path']}.", code="unknown_path")
        headers = HEADERS | {"ETag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(None, status_code=304, headers=headers)
        return Response(file.octets, media_type=file.media_type, headers=headers)

    return Router(path=PATH, route_handlers=[get_file])


def _query(request: Request[None, None, State]) -> str:
    query = request.scope["query_string"].decode("latin-1")
    return f"?{query}" if query else ""


def _served(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in MEDIA_TYPES]


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _read(path: Path) -> File:
    octets = path.read_bytes()
    return File(octets, MEDIA_TYPES[path.suffix], f'"{sha256(octets).hexdigest()[:32]}"')

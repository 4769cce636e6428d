"""The peer of `sync`: Litestar on uvicorn, one handler with a constant answer of the same shape.

Run as `python bench/litestar_peer.py PORT`. It has uvicorn's fastest parts, as Clarion has: uvloop, httptools,
no access log. It neither authenticates nor looks anything up.
"""

import sys
from typing import Any
from uuid import UUID

import uvicorn
from litestar import Litestar, get

ANSWER: dict[str, Any] = {"count": 0, "items": [], "watermark": "A" * 71}


@get("/v2.0/tool/organizations/{organization_id:uuid}/members/{user_id:uuid}/notifications")
async def list_inbox(organization_id: UUID, user_id: UUID) -> dict[str, Any]:  # noqa: ARG001
    """Say that nothing is new."""
    return ANSWER


app = Litestar([list_inbox], openapi_config=None, logging_config=None)

if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )

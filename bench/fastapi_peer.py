"""The peer of `accept`: FastAPI on uvicorn, the same body with the same rules, the same answer, nothing stored.

Run as `python bench/fastapi_peer.py PORT`. It has uvicorn's fastest parts, as Clarion has: uvloop, httptools,
no access log; and FastAPI's fastest way to answer, a return annotation, which lets pydantic write the JSON.
It neither authenticates nor looks anybody up.
"""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI

from clarion.api.schemas import NotificationBody

app = FastAPI(openapi_url=None)
caller = uuid4()


@app.post("/v2.0/tool/organizations/{organization_id}/notifications", status_code=201)
async def create_notification(organization_id: UUID, body: NotificationBody) -> dict[str, Any]:
    """Validate, and answer as Clarion does."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = body.content
    return {
        "organizationId": organization_id,
        "region": "us-east-1",
        "notificationId": uuid4(),
        "scope": body.scope,
        "state": "SENT",
        "startAt": now,
        "content": {
            "text": content.text,
            "screen": content.screen,
            "inputs": content.inputs or {},
            "title": content.title,
        },
        "createdAt": now,
        "createdBy": caller,
        "updatedAt": now,
        "updatedBy": caller,
        "emails": body.emails,
    }


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

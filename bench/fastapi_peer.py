"""The peer of `accept`: FastAPI on uvicorn, the same body with the same rules, and nothing stored.

Run as `python bench/fastapi_peer.py PORT`. It has uvicorn's fastest parts, as Clarion has: uvloop, httptools,
no access log. It neither authenticates nor stores, so it is what the framework costs and no more.
"""

import sys
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI

from clarion.api.schemas import NotificationBody

app = FastAPI(openapi_url=None)


@app.post("/v2.0/tool/organizations/{organization_id}/notifications", status_code=201)
async def create_notification(organization_id: UUID, body: NotificationBody) -> dict[str, str]:
    """Validate, and answer a line."""
    return {"organizationId": str(organization_id), "notificationId": str(uuid4()), "scope": body.scope}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
                access_log=False, log_level="warning")  # fmt: skip

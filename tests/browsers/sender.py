"""A sender that is not Clarion: encryption and VAPID written from the RFCs, and a plain HTTP client."""

import json
import ssl
from time import time
from typing import Any

import httpx

from tests.browsers.chromium import ENDPOINTS
from tests.browsers.push_service import PushService
from tests.http2.peer import Certificate
from tests.sandbox.browser import Vapid, encrypt

Json = dict[str, Any]


class Sender:
    """One application server."""

    def __init__(self, certificate: Certificate) -> None:
        self.vapid = Vapid()
        self._tls = ssl.create_default_context(cafile=str(certificate.chain))

    async def send(
        self, service: PushService, subscription: Json, content: Json, **headers: str
    ) -> httpx.Response:
        """Post a message to a subscription."""
        body = encrypt(json.dumps(content).encode(), subscription["keys"])
        return await self.post(service, subscription["endpoint"], body, self.headers(service) | headers)

    async def post(
        self, service: PushService, endpoint: str, body: bytes, headers: dict[str, str]
    ) -> httpx.Response:
        """Post whatever it is."""
        url = endpoint.replace(ENDPOINTS, service.origin)
        async with httpx.AsyncClient(verify=self._tls) as http:
            return await http.post(url, content=body, headers=headers)

    def headers(self, service: PushService, **claims: Any) -> dict[str, str]:
        """What every message needs."""
        authorization = self.vapid.authorization(time(), aud=service.origin, **claims)
        return {"Authorization": authorization, "TTL": "60", "Content-Encoding": "aes128gcm"}

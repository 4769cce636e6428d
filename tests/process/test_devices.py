"""An app's whole life over the wire: it registers, is reached, tells what was seen, and its banner leaves."""

from secrets import token_hex
from typing import Any

from tests.process.installation import HELLO, Installation, Sandbox, add_crowd, eventually


def test_what_is_read_on_one_phone_leaves_the_other(installation: Installation, sandbox: Sandbox) -> None:
    crowd = add_crowd(installation, sandbox, 1)
    root = f"organizations/{crowd.organization}"
    with installation.serve() as process, installation.caller(crowd.token) as caller:
        process.worker()
        before = sandbox.mark()
        created = caller.post(crowd.path, json=HELLO).json()
        eventually(lambda: sandbox.mark() == before + 1, "the one phone has it")
        member = f"{root}/members/{created['createdBy']}"
        [channel] = caller.get(f"{member}/channels").json()["items"]
        assert channel["topic"]

        def register(installation_id: str) -> Any:
            address = {"token": token_hex(32)}
            body = {"channelId": channel["channelId"], "installationId": installation_id, "address": address}
            answer = caller.post(f"{member}/devices", json=body)
            assert answer.status_code == 201, answer.text
            return answer.json() | address

        phone, tablet = register("phone"), register("tablet")
        mark = sandbox.mark()
        told = caller.post(crowd.path, json=HELLO).json()["notificationId"]
        eventually(lambda: sandbox.mark() == mark + 3, "everybody has it")
        device = {"Authorization": f"Bearer {phone['deviceToken']}"}
        receipts = {"receipts": [{"notificationId": told, "event": "opened"}]}
        sent = caller.post(f"{root}/devices/{phone['deviceId']}/receipts", json=receipts, headers=device)
        assert sent.status_code == 204
        assert caller.patch(f"{member}/notifications/{told}", json={"state": "READ"}).status_code == 200
        eventually(lambda: sandbox.mark() == mark + 4, "the banner is withdrawn")
        [withdrawal] = sandbox.received(mark + 3)
        assert (withdrawal["pushType"], withdrawal["token"]) == ("background", tablet["token"])
        figures = caller.get(f"{crowd.path}/{told}/stats").json()
        assert (figures["accepted"], figures["opened"], figures["read"]) == (3, 1, 1)

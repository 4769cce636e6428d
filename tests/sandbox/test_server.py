"""Starting and stopping."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clarion.sandbox.server import SandboxConfig, SandboxError, run, serving

from .apple import TOKEN, Signer, connect
from .conftest import Clock


@pytest.mark.parametrize(
    "setting", ["apns_port", "fcm_port", "webpush_port", "webpush_http1_port", "page_port"]
)
async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = SandboxConfig(folder=tmp_path, **{setting: port})
        with pytest.raises(SandboxError, match=rf"port {port} is taken .* set {setting} ") as caught:
            await run(config)
    assert caught.value.code == "port_taken"


async def test_a_host_of_another_machine_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SandboxError) as caught:
        await run(SandboxConfig(folder=tmp_path, host="192.0.2.1"))
    assert caught.value.code == "cannot_listen"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    config = SandboxConfig(folder=tmp_path)
    stop: Callable[[], None] = lambda: os.kill(os.getpid(), number)  # noqa: E731
    async with asyncio.timeout(10):
        await run(config, ready=stop)


async def test_cancelling_ends_it_cleanly(tmp_path: Path) -> None:
    ready = asyncio.Event()
    config = SandboxConfig(folder=tmp_path)
    task = asyncio.create_task(run(config, ready=ready.set))
    await ready.wait()
    task.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_it_stops_while_pages_and_senders_are_connected_and_keeps_the_screens(
    folder: Path, clock: Clock, signer: Signer
) -> None:
    config = SandboxConfig(folder=folder)
    async with asyncio.timeout(10), httpx.AsyncClient() as http:
        async with serving(config, clock=clock) as sandbox:
            address = f"http://127.0.0.1:{sandbox.page_port}"
            stream = await http.send(http.build_request("GET", f"{address}/api/stream"), stream=True)
            await anext(stream.aiter_lines())
            async with connect(sandbox.apns_port, sandbox.certificates.ca) as client:
                await client.push(signer.token(int(clock())))
        await stream.aclose()
        assert len(json.loads((folder / "state.json").read_text())["screens"][TOKEN]["banners"]) == 1
        async with serving(config, clock=clock) as again:
            state = (await http.get(f"http://127.0.0.1:{again.page_port}/api/phones")).json()
    assert len(state["phones"][0]["banners"]) == 1


async def test_a_phone_that_is_registered_while_it_runs_appears(folder: Path, clock: Clock) -> None:
    async with serving(SandboxConfig(folder=folder), clock=clock) as sandbox:
        content = json.loads((folder / "registry.json").read_text())
        content["phones"].append({"token": "ffff", "topic": "com.example.field", "name": "New"})
        (folder / "registry.json").write_text(json.dumps(content))
        clock.now += 2
        assert [phone["name"] for phone in sandbox.stage.describe()["phones"]] == [
            "Sales lead's iPhone",
            "New",
        ]

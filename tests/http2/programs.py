"""Servers that others wrote, run as programs of their own. A missing one skips at home and fails in CI."""

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from clarion.http2 import ConnectFailed, Connection, Limits, NoHttp2

PATIENCE_SECONDS = 10


def find(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not installed, and must be where CI runs")
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(*command: str) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


async def opened(port: int, tls: ssl.SSLContext) -> Connection:
    """Connect to a server that is just starting."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await Connection.open("localhost", port, tls=tls, limits=Limits(close_seconds=0.5))
            except NoHttp2:
                raise
            except ConnectFailed:
                await asyncio.sleep(0.02)

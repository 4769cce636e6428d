"""A running sandbox on free ports, the credentials that it knows, and one registered phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from clarion.sandbox.registry import Phone, write_registry
from clarion.sandbox.server import Sandbox, SandboxConfig, serving

from .apple import TOKEN, TOPIC, Client, Signer, connect
from .browser import Vapid
from .google import ServiceAccount


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="session")
def signer() -> Signer:
    return Signer()


@pytest.fixture(scope="session")
def account() -> ServiceAccount:
    return ServiceAccount()


@pytest.fixture(scope="session")
def vapid() -> Vapid:
    return Vapid()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider_token(signer: Signer, clock: Clock) -> str:
    return signer.token(int(clock()))


@pytest.fixture
def phones() -> list[Phone]:
    return [Phone(TOKEN, TOPIC, "Sales lead's iPhone", "Sales lead", "lead@example.com", "iPhone 16")]


@pytest.fixture
def folder(tmp_path: Path, signer: Signer, account: ServiceAccount, phones: list[Phone]) -> Path:
    write_registry(tmp_path, [signer.public()], phones, [account.public()])
    return tmp_path


@pytest.fixture
async def sandbox(folder: Path, clock: Clock) -> AsyncIterator[Sandbox]:
    async with serving(SandboxConfig(folder=folder), clock=clock) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with connect(sandbox.apns_port, sandbox.certificates.ca) as connected:
        yield connected


@pytest.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{sandbox.page_port}") as http:
        yield http

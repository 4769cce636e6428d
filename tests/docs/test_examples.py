"""The examples in the pages work as they stand."""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clarion.api.body import parse_object
from clarion.api.schemas import read_draft
from clarion.sandbox.faults import Fault, fault_of
from clarion.sandbox.registry import read_registry
from clarion.settings import load_settings
from tests.cli.test_channel_add import service_account
from tests.docs.conftest import Shell, migrate_store
from tests.docs.markdown import Block, blocks, read

ACCEPTED = "HTTP/1.1 201 Created"


def _curls() -> list[tuple[Block, Block | None]]:
    """Every request of the page on the API, with the answer that follows it."""
    shown = blocks("bash", "http", of="api.md")
    following = [*shown[1:], None]
    return [
        (block, after if after is not None and after.language == "http" else None)
        for block, after in zip(shown, following, strict=True)
        if block.text.startswith("curl")
    ]


@pytest.mark.parametrize(("request_", "answer"), _curls(), ids=str)
def test_a_request_of_the_page_is_answered_as_the_page_says(
    demonstration: Shell, request_: Block, answer: Block | None
) -> None:
    older, watermark, newest = demonstration.notify(), demonstration.watermark(), demonstration.notify()
    assert older != newest
    variables = {
        "NOTIFICATION": newest,
        "WATERMARK": watermark,
        **demonstration.begin_session(),
        **demonstration.register_device(),
    }
    body, _, status = demonstration.run(request_.text, **variables).rpartition("\n")
    head, _, told = (answer.text if answer else ACCEPTED).partition("\n\n")
    assert head.split()[1] == status, body
    if told:
        _assert_alike(json.loads(told), json.loads(body))


def test_an_idempotency_key_as_shown_repeats_the_first_answer(demonstration: Shell) -> None:
    (example,) = (block for block, _ in _curls() if "Idempotency-Key" in block.text)
    first, again = demonstration.run(example.text), demonstration.run(example.text)
    assert first == again


def test_the_page_shows_the_five_requests_of_the_contract() -> None:
    page = read("api.md")
    for text in (
        "overtime for this month",
        "log your time",
        "sale target",
        "new version of the app",
        "Winter stock",
    ):
        assert text in page


@pytest.mark.parametrize("block", blocks("json", of="api.md"), ids=str)
def test_a_body_of_the_page_is_accepted(block: Block) -> None:
    _, ignored = read_draft(*parse_object(block.text.encode()))
    assert ignored == []


def test_the_three_spellings_of_names_mean_the_same() -> None:
    drafts = [_draft(block) for block in blocks("json", of="api.md") if "Hello" in block.text]
    assert len(drafts) == 3
    assert drafts[0] == drafts[1] == drafts[2]


def test_the_spellings_of_a_moment_name_the_same_one() -> None:
    moments = [_draft(block).start_at for block in blocks("json", of="api.md") if "startAt" in block.text]
    assert len(moments) == 4
    assert set(moments) == {1_893_456_000_000}


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_a_block_of_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_an_example_of_settings_can_be_used(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "clarion.toml"
    path.write_text(block.text)
    settings = load_settings({"CLARION_SETTINGS": str(path)})
    for section, values in tomllib.loads(block.text).items():
        assert settings.model_dump(mode="json")[section].items() >= values.items()


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_a_block_of_shell_can_be_parsed(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_a_block_of_python_can_be_parsed(block: Block) -> None:
    ast.parse(block.text)


def test_the_first_organization_gets_its_people_and_channels_as_the_page_says(
    make_shell: Callable[[], Shell],
) -> None:
    shell = make_shell()
    migrate_store(load_settings(shell.settings))
    people, channels, *_ = (
        block for block in blocks("bash", of="operating.md") if '--organization "$ORGANIZATION"' in block.text
    )
    (script,) = blocks("python", of="operating.md")
    told = shell.run(f'{people.text}\necho "$ORGANIZATION"').split()
    organization = told[-1]
    assert [word for word in told if word.startswith("clr_us-east-1_")]
    (shell.folder / "fill.py").write_text(script.text)
    shell.run("python fill.py", ORGANIZATION=organization)
    name = re.findall(r"AuthKey_\w+\.p8", channels.text)[0]
    key = ec.generate_private_key(ec.SECP256R1())
    (shell.folder / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (shell.folder / "service-account.json").write_bytes(service_account())
    listed = shell.run(channels.text, ORGANIZATION=organization).splitlines()[-3:]
    assert [line.split()[2] for line in listed] == ["apns", "fcm", "webpush"]


def test_the_key_of_the_environment_is_made_and_used_as_the_page_says(
    make_shell: Callable[[], Shell],
) -> None:
    shell = make_shell()
    migrate_store(load_settings(shell.settings))
    (example,) = (block for block in blocks("bash", of="operating.md") if "keys generate" in block.text)
    assert shell.run(example.text).endswith("  0 secrets, seals what is new\n")


def test_the_registry_of_the_sandbox_page_can_be_read(tmp_path: Path) -> None:
    (block,) = blocks("json", of="sandbox.md")
    path = tmp_path / "registry.json"
    path.write_text(block.text)
    registry = read_registry(path)
    assert len(registry.keys) == len(registry.projects) == 1
    assert [phone.provider for phone in registry.phones.values()] == ["apns", "fcm", "webpush"]


def test_the_fault_of_the_sandbox_page_can_be_set() -> None:
    (body,) = re.findall(r"api/faults -d '(.*)'", read("sandbox.md"))
    assert isinstance(fault_of(json.loads(body)), Fault)


def _draft(block: Block) -> Any:
    return read_draft(*parse_object(block.text.encode()))[0]


def _assert_alike(told: Any, actual: Any) -> None:
    """The same keys, all the way down; the values are of another installation."""
    assert type(told) is type(actual)
    if isinstance(told, dict):
        assert told.keys() == actual.keys()
        for name in told.keys() - {"inputs"}:
            _assert_alike(told[name], actual[name])
    elif isinstance(told, list):
        assert len(told) == len(actual)
        for one, other in zip(told, actual, strict=True):
            _assert_alike(one, other)

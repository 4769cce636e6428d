"""The library's pure parts, under Node's own test runner, and its files as a wheel and a package would ship them."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from docs.generate import DOCS

import clarion.phone
from clarion.api.phone import MEDIA_TYPES
from tests.browsers.programs import find

HERE = Path(__file__).parent
CLIENT = Path(clarion.phone.__file__).parent / "client"
SECONDS = 60


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name)
def test_its_own_tests_pass(file: Path) -> None:
    ran = subprocess.run(
        [find("node"), "--test", file], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("file", sorted(CLIENT.glob("*.js")), ids=lambda file: file.name)
def test_a_file_is_javascript(file: Path) -> None:
    ran = subprocess.run(
        [find("node"), "--check", file], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_nothing_is_put_into_markup_or_run() -> None:
    for file in CLIENT.glob("*.js"):
        text = file.read_text()
        assert not [word for word in ("innerHTML", "outerHTML", "document.write", "eval(") if word in text]


def test_it_depends_on_nothing() -> None:
    assert "dependencies" not in json.loads((CLIENT / "package.json").read_text())
    for file in CLIENT.glob("*.js"):
        sources = [line.split('"')[1] for line in file.read_text().splitlines() if line.startswith("import ")]
        assert all(source.startswith("./") and (CLIENT / source).is_file() for source in sources), file.name


def test_the_manual_names_everything_that_the_types_declare() -> None:
    types, manual = (CLIENT / "clarion.d.ts").read_text(), (DOCS / "clarion-js.md").read_text()
    methods = re.findall(r"^  (?:get )?(\w+)[(:]", _declared("class Clarion ", types), re.MULTILINE)
    options = re.findall(r"^  (\w+)\??:", _declared("interface ClarionOptions ", types), re.MULTILINE)
    events = re.findall(r"^  (\w+):", _declared("interface ClarionEvents ", types), re.MULTILINE)
    reasons = re.findall(
        r'"([\w-]+)"', types[types.index("type LiveState") : types.index("interface RegisterOptions")]
    )
    assert len(methods) > 20
    named = {*re.findall(r"[\w-]+", manual)}
    assert sorted({*methods, *options, *events, *reasons} - named - {"constructor", "addEventListener"}) == []


def _declared(what: str, types: str) -> str:
    start = types.index(f"export {what}")
    return types[start : types.index("\n}", start)]


def test_every_file_is_served() -> None:
    assert not [file.name for file in CLIENT.iterdir() if file.suffix not in MEDIA_TYPES]

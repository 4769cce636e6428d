"""Everything that people can set, call, send or see is documented."""

import ast
import re

import click
import pytest
from docs.generate import ROOT, commands, error_statuses, metric_samples, operations
from pydantic import BaseModel

from clarion.api.schemas import ContentBody, NotificationBody, OptionsBody
from clarion.model.notification import NotificationState
from clarion.providers import ANSWERS
from clarion.sandbox import faults, fcm_outcomes, outcomes, webpush_outcomes
from clarion.settings import all_keys, variable
from tests.docs.markdown import anchors, read


def test_every_setting_is_documented() -> None:
    page = read("settings.md")
    assert [name for section, key in all_keys() if (name := f"`{variable(section, key)}`") not in page] == []


def test_every_error_code_has_a_section_and_no_section_lacks_a_code() -> None:
    page = read("errors.md")
    sections = re.findall(r"^## (\S+)$", page, re.MULTILINE)
    assert sorted(sections) == sorted(error_statuses())


def test_the_codes_of_the_code_are_found() -> None:
    found = error_statuses()
    assert found["invalid_request"] == 400
    assert found["solution_not_found"] == 404
    assert found["idempotency_key_reused"] == 409
    assert found["internal_error"] == 500


def test_every_request_is_documented() -> None:
    page = read("api.md")
    assert [f"{method} {path}" for method, path, _ in operations() if f"`{method} {path}`" not in page] == []


def test_every_key_of_a_body_is_documented() -> None:
    page = read("api.md")
    expected = [*_names(NotificationBody), *_names(OptionsBody)]
    expected += [f"content.{name}" for name in _names(ContentBody)]
    assert [name for name in expected if f"| `{name}` |" not in page] == []


def test_every_state_of_a_notification_is_documented() -> None:
    page = read("api.md")
    assert [state for state in NotificationState if f"| `{state.upper()}` |" not in page] == []


def test_every_command_and_option_is_documented() -> None:
    page = read("cli.md")
    for name, command in commands().items():
        assert f"### {name}\n" in page
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert all(f"`{spelling}" in page for spelling in option.opts), f"{name} {option.opts}"


def test_every_metric_is_documented() -> None:
    page = read("operating.md")
    names = re.findall(r"^# TYPE (\S+)", metric_samples(), re.MULTILINE)
    shown = [name for name in names if not name.endswith("_created")]
    assert len(shown) >= 4
    assert [name for name in shown if f"`{name}`" not in page] == []


def test_every_event_of_the_log_is_documented() -> None:
    page = read("operating.md")
    assert [event for event in sorted(_events()) if f"`{event}`" not in page] == []


@pytest.mark.parametrize("provider", ANSWERS)
def test_every_answer_of_a_push_service_is_documented(provider: str) -> None:
    page = read(f"providers/{provider}.md")
    rows = [f"| {status} | {f'`{reason}`' if reason else 'any'} |" for status, reason in ANSWERS[provider]]
    assert [row for row in rows if row not in page] == []


def test_every_outcome_and_fault_of_the_sandbox_is_documented() -> None:
    page = read("sandbox.md")
    assert [number for number in outcomes.TABLE if f"`dead0{number}`" not in page] == []
    words = {*fcm_outcomes.TABLE, *webpush_outcomes.TABLE}
    assert [word for word in words if f"`-{word}`" not in page] == []
    assert [mode for mode in faults.MODES if f"| `{mode}` |" not in page] == []


def test_every_decision_has_the_same_form_and_is_listed() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    for number, path in enumerate(records, start=1):
        assert path.name.startswith(f"{number:04d}-")
        assert {"context", "decision", "consequences"} <= anchors(path)
        assert re.search(r"^Date: \d{4}-\d{2}-\d{2}$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert f"(adr/{path.name})" in read("index.md")


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _events() -> set[str]:
    """The first word of every line that the service and the worker log."""
    found = set()
    for path in (ROOT / "src" / "clarion").rglob("*.py"):
        if "sandbox" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="logger")),
                    args=[ast.Constant(value=str() as event), *_],
                ):
                    found.add(event)
    return found

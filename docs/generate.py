"""Writes the parts of the pages that the code knows better: `python -m docs.generate`.

A page marks such a part with a pair of comments, `generated: NAME` and `/generated`; between them stands what
the function of that name in `PARTS` returns. `scripts/docs` runs this, and a test fails when a committed page
differs from what the code says.
"""

import ast
import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from inspect import cleandoc, getdoc
from pathlib import Path
from sys import modules
from typing import Any, Final, cast

import click
import httpx
from bench.figures import FIGURES

from clarion.api import errors
from clarion.api.app import BASE_PATH, create_app
from clarion.api.context import Door
from clarion.cli import main as command_line
from clarion.model.outcome import Accepted, Gone, Misconfigured, Outcome, Refused, Unavailable
from clarion.providers import ANSWERS
from clarion.sandbox import faults, fcm_outcomes, outcomes, webpush_outcomes
from clarion.sandbox.outcomes import SPELT_MISHAPS, Mishap
from clarion.sandbox.push import Refused as Refusal
from clarion.settings import Settings, all_keys, variable
from clarion.telemetry import Metrics, StoreFigures, configure_logging

DOCS: Final = Path(__file__).parent
ROOT: Final = DOCS.parent

_PART: Final = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- /generated -->)", re.DOTALL)


def pages() -> list[Path]:
    """Every page, the decision records among them."""
    return sorted(DOCS.rglob("*.md"))


def render(page: str) -> str:
    """A page's text with its generated parts made anew."""
    return _PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]().strip()}\n\n{found[3]}", page)


def main() -> None:
    """Make the generated parts of all pages anew, in place."""
    configure_logging("text", "warning")
    for path in pages():
        before = path.read_text(encoding="utf-8")
        if (after := render(before)) != before:
            path.write_text(after, encoding="utf-8")
            click.echo(f"{path.relative_to(ROOT)} changed")


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    escaped = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def _code(text: object) -> str:
    return f"`{text}`"


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────


def settings() -> str:
    """Every setting, one table per section."""
    parts = []
    for section in dict.fromkeys(section for section, _ in all_keys()):
        model = cast("Any", Settings.model_fields[section].annotation)
        rows = [
            (
                _code(key),
                _code(variable(section, key)),
                _default(field.get_default(call_default_factory=True)),
                field.description or "",
            )
            for key, field in model.model_fields.items()
        ]
        table = _table(("Key", "Environment variable", "Default", "Meaning"), rows)
        parts.append(f"### \\[{section}\\]\n\n{getdoc(model)}\n\n{table}")
    return "\n\n".join(parts)


def _default(value: object) -> str:
    return "none" if value in (None, {}, ()) else _code(value)


# ── The API ──────────────────────────────────────────────────────────────────────────────────────────────


@cache
def error_statuses() -> dict[str, int]:
    """Every stable code with its status: those of the classes, those given where one is raised, and our faults."""
    classes = {refusal.__name__: status for refusal, status in errors.STATUS.items()}
    found = {refusal.code: status for refusal, status in errors.STATUS.items()}
    for node in _nodes(ROOT / "src" / "clarion"):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
            codes = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            found.update((code.value, classes[node.func.id]) for code in _strings(codes))
        if isinstance(node, ast.Dict):
            values = [v for k, v in zip(node.keys, node.values, strict=True) if _is_word(k, "code")]
            found.update((code.value, 500) for code in _strings(values))
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


def error_codes() -> str:
    """Every stable code, its status and a link to what it means."""
    return _table(
        ("Code", "Status"),
        [(f"[`{code}`](#{code})", str(status)) for code, status in error_statuses().items()],
    )


def _nodes(folder: Path) -> Iterator[ast.AST]:
    """The syntax of all modules; the sandbox has codes of its own."""
    for path in sorted(folder.rglob("*.py")):
        if "sandbox" not in path.parts:
            yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def _strings(nodes: Iterable[ast.AST]) -> Iterator[Any]:
    return (node for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_word(node: ast.AST | None, word: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == word


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI description, as the API answers it."""

    class _Nothing:
        metrics = Metrics()

    async def ask() -> dict[str, Any]:
        transport = httpx.ASGITransport(cast("Any", create_app(cast("Door", _Nothing()))))
        async with httpx.AsyncClient(transport=transport, base_url="http://clarion.example.com") as client:
            document: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
            return document

    return asyncio.run(ask())


def operations() -> list[tuple[str, str, str]]:
    """(method, path below the base URL, summary) of every documented operation."""
    found = []
    for path, methods in openapi()["paths"].items():
        short = re.sub(r"_(\w)", lambda letter: letter[1].upper(), path.removeprefix("/v2.0"))
        found += [(method.upper(), short, operation["summary"]) for method, operation in methods.items()]
    return found


def routes() -> str:
    """Every request."""
    assert BASE_PATH.startswith("/v2.0/")
    rows = [(_code(f"{method} {path}"), summary) for method, path, summary in operations()]
    return _table(("Request", "What it does"), rows)


# ── The command line ─────────────────────────────────────────────────────────────────────────────────────


def commands() -> dict[str, click.Command]:
    """Every command that people call, by its words."""
    return dict(_commands("clarion", command_line))


def _commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for word, inner in command.commands.items():
            yield from _commands(f"{name} {word}", inner)


def cli() -> str:
    """Every command with its options."""
    parts = []
    for name, command in commands().items():
        options = [o for o in command.params if isinstance(o, click.Option) and not o.hidden]
        rows = [(_code(_spelling(option)), _option_meaning(option)) for option in options]
        parts.append(f"### {name}\n\n{command.help or ''}")
        if rows:
            parts.append(_table(("Option", "Meaning"), rows))
    return "\n\n".join(parts)


def _spelling(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if option.is_flag:
        return names
    choice = option.type.choices if isinstance(option.type, click.Choice) else (option.type.name.upper(),)
    return f"{names} {'|'.join(map(str, choice))}"


def _option_meaning(option: click.Option) -> str:
    default = option.to_info_dict()["default"]
    notes = ["Required."] if option.required else []
    if not option.is_flag and not option.required and default is not None:
        notes.append(f"Default: `{default}`.")
    return " ".join([option.help or "", *notes]).strip()


# ── The push services' answers ───────────────────────────────────────────────────────────────────────────


def answers(provider: str) -> str:
    """Every answer of a provider that is known, what it means and what follows."""
    rows = []
    for (status, reason), meaning in ANSWERS[provider].items():
        outcome = meaning.read(reason)
        name = _code(reason) if reason else "any"
        rows.append((str(status), name, type(outcome).__name__, _consequence(outcome), meaning.words))
    return _table(("Status", "Reason", "Outcome", "What Clarion does", "In plain words"), rows)


def _consequence(outcome: Outcome) -> str:
    match outcome:
        case Accepted():
            return "Counts it."
        case Gone():
            return "Retires the device, unless it registered again since."
        case Refused(doubts_device=True):
            return "Fails this delivery and notes a strike against the device; the third one retires it."
        case Refused():
            return "Fails this delivery; the device stays."
        case Misconfigured():
            return "Holds the channel for five minutes and keeps its pushes."
        case Unavailable(retry_after_seconds=seconds, whole_service=whole_service):
            least = f", after {seconds:g} seconds at least" if seconds else ""
            if not whole_service:
                return f"Tries this device again later{least}."
            return f"Tries again later{least}; when half of the answers are like it, the channel rests."
    raise NotImplementedError(f"no words yet for {outcome}")


# ── The sandbox ──────────────────────────────────────────────────────────────────────────────────────────

_MISHAPS: Final = {
    Mishap.SILENT: ("no answer, ever", "no"),
    Mishap.SLOW: (f"success, after {outcomes.SLOW_SECONDS:g} seconds", "yes"),
    Mishap.REFUSED_STREAM: ("RST_STREAM with REFUSED_STREAM", "no"),
    Mishap.CANCELLED_STREAM: ("RST_STREAM with CANCEL", "yes"),
    Mishap.GOAWAY_UNPROCESSED: ("GOAWAY whose last stream id is below this request", "no"),
    Mishap.GOAWAY_UNANSWERED: ("GOAWAY that covers this request, then the connection closes", "yes"),
    Mishap.GOAWAY_ANSWERED: (
        "GOAWAY that covers this request, then its answer, then the connection closes",
        "yes",
    ),
    Mishap.DROPPED: ("the connection is lost", "no"),
    Mishap.DROPPED_AFTER_ACCEPTING: ("the connection is lost after the push was accepted", "yes"),
    Mishap.CUT: ("the stand-in's side of the connection ends without TLS's farewell", "yes"),
}


def sandbox_outcomes() -> str:
    """Every outcome that a token of Apple can ask for."""
    rows = [(_code(f"dead0{number}"), *_outcome(wish)) for number, wish in outcomes.TABLE.items()]
    return _table(("Token ends in", "What happens", "Accepted"), rows)


def sandbox_fcm_outcomes() -> str:
    """Every answer that an address at Google can ask for."""
    return _table(("Address ends in", "Answer"), _answers(fcm_outcomes.TABLE))


def sandbox_webpush_outcomes() -> str:
    """Every answer that a subscription can ask for."""
    return _table(("Endpoint ends in", "Answer"), _answers(webpush_outcomes.TABLE))


def sandbox_mishaps() -> str:
    """Everything on the wire that an address of free text can ask for."""
    rows = [(_code(f"-{word}"), *_outcome(mishap)) for word, mishap in SPELT_MISHAPS.items()]
    return _table(("Address ends in", "What happens", "Accepted"), rows)


def _answers(table: Mapping[str, outcomes.Outcome]) -> Iterator[tuple[str, str]]:
    return (
        (_code(f"-{word}"), _outcome(wish)[0]) for word, wish in table.items() if word not in SPELT_MISHAPS
    )


def _outcome(wish: object) -> tuple[str, str]:
    if isinstance(wish, Mishap):
        return _MISHAPS[wish]
    if isinstance(wish, outcomes.Gone):
        return f"410 `{wish.reason}`, since {'a year ago' if wish.age_ms else 'now'}", "no"
    if isinstance(wish, outcomes.Later):
        form = "a date" if wish.as_date else "seconds"
        return f"{_outcome(wish.refused)[0]}, `Retry-After` in {wish.seconds} seconds, given as {form}", "no"
    assert isinstance(wish, Refusal)
    return f"{wish.status} `{wish.reason}`", "no"


def sandbox_faults() -> str:
    """Every fault mode."""
    rows = [
        (_code(mode), value or "—", str(usual) if value else "—")
        for mode, (value, usual) in faults.MODES.items()
    ]
    return _table(("Mode", "Its value", "When none is given"), rows)


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────────────


def metric_samples() -> str:
    """What `/metrics` answers once everything has happened once."""
    figures = Metrics()
    figures.accepted("users")
    figures.request(201)
    figures.answered("apns", "accepted", 1)
    figures.handed_off(1)
    return figures.render(StoreFigures(days_left=((1, "apns", 365),))).decode()


def metrics() -> str:
    """Every metric with its type, labels and meaning."""
    text = metric_samples()
    labels = dict(re.findall(r"^(\w+?)(?:_bucket)?\{([^}]*)\}", text, re.MULTILINE))
    rows = []
    for name, meaning in re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE):
        kind = re.findall(rf"^# TYPE {name} (\S+)$", text, re.MULTILINE)[0]
        names = [label for label in re.findall(r"(\w+)=", labels.get(name, "")) if label != "le"]
        if not name.endswith("_created"):  # the moment a series began: not shown by `clarion serve`
            rows.append((_code(name), kind, ", ".join(map(_code, names)) or "—", meaning))
    return _table(("Metric", "Type", "Labels", "Meaning"), rows)


def benchmarks() -> str:
    """Every figure of `scripts/bench`, in the words of its module."""
    parts = []
    for name, measure in FIGURES.items():
        words = cleandoc(modules[measure.__module__].__doc__ or "").partition(": ")[2]
        parts.append(f"### {name}\n\n{words[:1].upper()}{words[1:]}")
    return "\n\n".join(parts)


PARTS: Final[dict[str, Callable[[], str]]] = {
    "settings": settings,
    "errors": error_codes,
    "routes": routes,
    "cli": cli,
    **{f"{provider}-answers": partial(answers, provider) for provider in ANSWERS},
    "sandbox-outcomes": sandbox_outcomes,
    "sandbox-fcm-outcomes": sandbox_fcm_outcomes,
    "sandbox-webpush-outcomes": sandbox_webpush_outcomes,
    "sandbox-mishaps": sandbox_mishaps,
    "sandbox-faults": sandbox_faults,
    "metrics": metrics,
    "benchmarks": benchmarks,
}
"""Every generated part by the name that pages call it."""

if __name__ == "__main__":
    main()

"""Settings: one TOML file and the environment, typed sections, every problem named at once.

A key `port` of the section `[server]` is CLARION_SERVER_PORT in the environment, which wins over the file; a
secret may also come from a file named by CLARION_…_FILE. An unknown key is an error with a suggestion.
The file is named by CLARION_SETTINGS, else `clarion.toml` in the working folder is read when it exists.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

DEFAULT_FILE = "clarion.toml"
PREFIX = "CLARION_"

Port = Annotated[int, Field(ge=1, le=65_535)]


def _read_pairs(value: object) -> object:
    """Take `name=value,name=value`, as the environment has to spell a table."""
    if not isinstance(value, str):
        return value
    pairs = (pair.partition("=") for pair in value.split(",") if pair)
    return {name: rest for name, _, rest in pairs}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(_Section):
    """The HTTP API."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8080, description="Port to listen on.")
    region: str = Field(
        "us-east-1", description="The region that this installation is.", pattern=r"^[a-z0-9-]{1,32}$"
    )
    requests_per_second: int = Field(
        1_000,
        description="What one access token may ask, on average over ten seconds; an organization ten times as much.",
        ge=1,
    )
    base_urls: Annotated[dict[str, str], BeforeValidator(_read_pairs)] = Field(
        default_factory=dict,
        description="Public base URL of every region, for callers who reach the wrong one; in the environment: "
        "us-east-1=https://…,eu-central-1=https://…",
    )


class Store(_Section):
    """Where everything is kept."""

    folder: Path = Field(
        Path("var"), description="Folder for the SQLite file and everything else that is kept."
    )
    url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL, such as postgresql+psycopg://user:password@host/name; else SQLite in the folder.",
    )


class Push(_Section):
    """How push services are reached."""

    ca_file: Path | None = Field(None, description="Certificates to trust besides the system's, as PEM.")


class Sandbox(_Section):
    """The stand-ins of `clarion sandbox`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    apns_port: Port = Field(8443, description="Port of the stand-in for Apple's push service.")
    page_port: Port = Field(8081, description="Port of the page with the phones.")


class Log(_Section):
    """What is logged, on standard error."""

    format: Literal["json", "text"] = Field(
        "text", description="json: one object per line; text: for people."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )


class Worker(_Section):
    """The worker's own door."""

    metrics_port: Port | None = Field(
        None,
        description="Port for /metrics of a worker that runs alone; `clarion serve` shows its worker's figures itself.",
    )


class Settings(_Section):
    """Everything that can be set."""

    server: Server = Server()
    store: Store = Store()
    push: Push = Push()
    sandbox: Sandbox = Sandbox()
    worker: Worker = Worker()
    log: Log = Log()

    @property
    def database_url(self) -> str:
        """The store's URL; SQLite in the data folder unless it was set."""
        if self.store.url is not None:
            return self.store.url.get_secret_value()
        return f"sqlite:///{self.store.folder / 'clarion.db'}"

    @property
    def sandbox_folder(self) -> Path:
        """Where the sandbox keeps its certificates and its screens."""
        return self.store.folder / "sandbox"


class SettingsError(Exception):
    """Settings cannot be used; the message names every problem, its place, and what to do."""


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the file and the environment; raises SettingsError with all problems at once."""
    values, problems = _from_file(environment)
    for section, key, value in _from_environment(environment, problems):
        values.setdefault(section, {})[key] = value
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_describe(fault) for fault in error.errors()]
        raise SettingsError("\n".join(problems)) from None
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _from_file(environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    name = environment.get(PREFIX + "SETTINGS")
    path = Path(name or DEFAULT_FILE)
    if name is None and not path.exists():
        return {}, []
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, [f"{path}: cannot be read: {error.strerror}"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, [f"{path}: is not TOML: {error}"]
    problems = [
        f"{path}: {section} must be a section, such as [server]"
        for section, value in values.items()
        if not isinstance(value, dict)
    ]
    return {section: value for section, value in values.items() if isinstance(value, dict)}, problems


def _from_environment(environment: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, str, str]]:
    """Yield (section, key, value) of every variable of ours; problems are added to the list."""
    known = {variable(section, key): (section, key) for section, key in all_keys()}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name == PREFIX + "SETTINGS":
            continue
        if name in known:
            yield *known[name], environment[name]
        elif (plain := name.removesuffix("_FILE")) in environment and plain in known:
            problems.append(f"{name}: {plain} is set as well; keep one of them")
        elif plain in known:
            try:
                text = Path(environment[name]).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                problems.append(f"{name}: {environment[name]} cannot be read: {error}")
            else:
                yield *known[plain], text
        else:
            problems.append(f"{name}: is not a setting{_suggestion(name, list(known))}")


def all_keys() -> list[tuple[str, str]]:
    """Every (section, key)."""
    return [
        (section, key)
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    ]


def variable(section: str, key: str) -> str:
    """The environment variable of a key."""
    return f"{PREFIX}{section}_{key}".upper()


def _describe(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        names = [f"{section}.{key}" for section, key in all_keys()] + list(Settings.model_fields)
        return f"{place}: is not a setting{_suggestion(place, names)}"
    return f"{place}: {fault['msg']} (given: {'***' if place == 'store.url' else fault['input']!r})"


def _suggestion(name: str, known: list[str]) -> str:
    whole = {one.removeprefix(PREFIX): one for one in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), whole, n=1)
    return f"; did you mean {whole[close[0]]}?" if close else ""

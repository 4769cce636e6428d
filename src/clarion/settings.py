"""Settings: one TOML file and the environment, typed sections, every problem named at once.

A key `port` of the section `[server]` is CLARION_SERVER_PORT in the environment, which wins over the file; a
secret may also come from a file named by CLARION_…_FILE. An unknown key is an error with a suggestion.
The file is named by CLARION_SETTINGS, else `clarion.toml` in the working folder is read when it exists.
"""

import difflib
import tomllib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from clarion.http2 import Proxy
from clarion.store.sealing import Keyring, read_master_keys

DEFAULT_FILE = "clarion.toml"
PREFIX = "CLARION_"

Port = Annotated[int, Field(ge=1, le=65_535)]


def _read_pairs(value: object) -> object:
    """Take `name=value,name=value`, as the environment has to spell a table."""
    if not isinstance(value, str):
        return value
    pairs = (pair.partition("=") for pair in value.split(",") if pair)
    return {name: rest for name, _, rest in pairs}


def _read_list(value: object) -> object:
    """Take `one,two`, as the environment has to spell a list."""
    return [piece.strip() for piece in value.split(",") if piece.strip()] if isinstance(value, str) else value


def read_proxy(url: str) -> Proxy:
    """Read `http://user:password@host:port`; raises ValueError, which does not tell the password."""
    wrong = ValueError("must be http://host:port or http://user:password@host:port")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # which may tell a part of the password
        raise wrong from None
    if parts.scheme != "http" or not host or port is None or parts.path not in {"", "/"}:
        raise wrong
    if parts.username is None:
        return Proxy(host, port)
    told = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return Proxy(host, port, f"Basic {b64encode(told.encode()).decode()}")


def _check_proxy(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        read_proxy(value.get_secret_value())
    return value


def _check_keys(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        read_master_keys(value.get_secret_value())
    return value


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
    live_streams: int = Field(
        12_000,
        description="How many live streams one process keeps open at most. Each takes about 16 KB of memory, and one "
        "of the process's open files, of which 1,000 are left for other things.",
        ge=0,
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
    proxy: Annotated[SecretStr | None, AfterValidator(_check_proxy)] = Field(
        None, description="An HTTP proxy for all push services and issuers: http://user:password@host:port."
    )
    trusted_hosts: Annotated[tuple[str, ...], BeforeValidator(_read_list)] = Field(
        (),
        description="Web Push services that may be anywhere, also on private networks: host or host:port; in the "
        "environment separated by commas.",
    )


class Keys(_Section):
    """The master keys, under which the secrets of channels are sealed."""

    master: Annotated[SecretStr | None, AfterValidator(_check_keys)] = Field(
        None,
        description="Master keys as `clarion keys generate` prints them, separated by commas: the first one seals, "
        "all of them open. Else those of the file.",
    )
    file: Path | None = Field(
        None,
        description="File of the master keys; else `master.key` in the data folder, which is made when needed.",
    )


class Inbox(_Section):
    """What members see in the app."""

    days: int = Field(
        90, description="How long an entry stays in the inboxes, in days from its release.", ge=1, le=3_650
    )


class Sandbox(_Section):
    """The stand-ins of `clarion sandbox`."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    apns_port: Port = Field(8443, description="Port of the stand-in for Apple's push service.")
    fcm_port: Port = Field(
        8444, description="Port of the stand-in for Google: FCM, and the endpoint that grants access tokens."
    )
    webpush_port: Port = Field(8445, description="Port of the stand-in for browsers' push services.")
    webpush_http1_port: Port = Field(
        8446, description="The same over HTTP/1.1 alone, as some push services speak it."
    )
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
    keys: Keys = Keys()
    inbox: Inbox = Inbox()
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
    def key_file(self) -> Path:
        """Where the master keys are, unless they are given."""
        return self.keys.file or self.store.folder / "master.key"

    @property
    def given_keys(self) -> Keyring | None:
        """The master keys that the settings give."""
        given = self.keys.master
        return None if given is None else read_master_keys(given.get_secret_value())

    @property
    def proxy(self) -> Proxy | None:
        """The way to the push services, where it is not the direct one."""
        return None if self.push.proxy is None else read_proxy(self.push.proxy.get_secret_value())

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
    problem = fault["msg"].removeprefix("Value error, ")
    return f"{place}: {problem} (given: {'***' if _is_secret(fault['loc']) else fault['input']!r})"


def _is_secret(place: tuple[str | int, ...]) -> bool:
    """Whether a fault lies in a secret, or in a section as a whole, which may hold one."""
    if len(place) < 2:
        return True
    section = Settings.model_fields.get(str(place[0]))
    fields: dict[str, Any] = getattr(section and section.annotation, "model_fields", {})
    field = fields.get(str(place[1]))
    return field is not None and SecretStr in get_args(field.annotation)


def _suggestion(name: str, known: list[str]) -> str:
    whole = {one.removeprefix(PREFIX): one for one in known}
    close = difflib.get_close_matches(name.removeprefix(PREFIX), whole, n=1)
    return f"; did you mean {whole[close[0]]}?" if close else ""

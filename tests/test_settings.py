"""Settings: one file and the environment, every problem at once, no secret shown."""

from pathlib import Path

import pytest

from clarion.http2 import Proxy
from clarion.settings import Settings, SettingsError, all_keys, load_settings, variable
from clarion.store.sealing import Keyring, new_master_key

SECRET_URL = "postgresql+psycopg://clarion:hunter2@db.example.com/clarion"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environment)
    return str(caught.value).splitlines()


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings({})
    assert settings == Settings()
    assert (settings.server.host, settings.server.port, settings.server.region) == (
        "127.0.0.1",
        8080,
        "us-east-1",
    )
    assert settings.database_url == "sqlite:///var/clarion.db"
    assert settings.sandbox_folder == Path("var/sandbox")
    assert settings.store.url is None, "no default password"


def test_a_key_may_come_from_the_environment() -> None:
    settings = load_settings(
        {
            "CLARION_SERVER_PORT": "9000",
            "CLARION_STORE_FOLDER": "/data",
            "CLARION_LOG_FORMAT": "json",
            "CLARION_SERVER_BASE_URLS": "eu-central-1=https://eu.example.com/v2.0?a=b,us-east-1=https://us.example.com/v2.0",
            "PATH": "/bin",
        }
    )
    assert settings.server.port == 9000
    assert settings.database_url == "sqlite:////data/clarion.db"
    assert settings.log.format == "json"
    assert settings.server.base_urls == {
        "eu-central-1": "https://eu.example.com/v2.0?a=b",
        "us-east-1": "https://us.example.com/v2.0",
    }


def test_a_file_in_the_working_folder_is_read() -> None:
    Path("clarion.toml").write_text('[server]\nport = 9001\n[server.base_urls]\neu = "https://x"\n')
    settings = load_settings({})
    assert settings.server.port == 9001
    assert settings.server.base_urls == {"eu": "https://x"}


def test_a_named_file_is_read_instead_and_the_environment_wins_over_it(tmp_path: Path) -> None:
    Path("clarion.toml").write_text("[server]\nport = 1\n")
    named = tmp_path / "other.toml"
    named.write_text('[server]\nport = 9002\nhost = "0.0.0.0"\n')
    settings = load_settings({"CLARION_SETTINGS": str(named), "CLARION_SERVER_PORT": "9003"})
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 9003)


def test_a_secret_may_come_from_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"{SECRET_URL}\n")
    settings = load_settings({"CLARION_STORE_URL_FILE": str(secret)})
    assert settings.database_url == SECRET_URL


def test_a_setting_whose_own_name_ends_in_file_is_not_mistaken_for_a_twin(tmp_path: Path) -> None:
    settings = load_settings({"CLARION_PUSH_CA_FILE": "/etc/ca.pem"})
    assert settings.push.ca_file == Path("/etc/ca.pem")
    named = tmp_path / "name"
    named.write_text("/etc/other.pem")
    assert load_settings({"CLARION_PUSH_CA_FILE_FILE": str(named)}).push.ca_file == Path("/etc/other.pem")


def test_a_setting_and_its_twin_contradict_each_other(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("sqlite://")
    (told,) = problems({"CLARION_STORE_URL": SECRET_URL, "CLARION_STORE_URL_FILE": str(secret)})
    assert told.startswith("CLARION_STORE_URL_FILE: ")
    assert "CLARION_STORE_URL " in told
    assert "hunter2" not in told


def test_a_twin_that_cannot_be_read_is_told() -> None:
    (told,) = problems({"CLARION_STORE_URL_FILE": "/no/such/file"})
    assert told.startswith("CLARION_STORE_URL_FILE: /no/such/file cannot be read")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CLARION_SERVER_PROT", "CLARION_SERVER_PORT"),
        ("CLARION_SERVER_PORT_", "CLARION_SERVER_PORT"),
        ("CLARION_STORE_URI", "CLARION_STORE_URL"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_suggestion(name: str, meant: str) -> None:
    assert problems({name: "1"}) == [f"{name}: is not a setting; did you mean {meant}?"]


def test_an_unknown_variable_like_nothing_has_no_suggestion() -> None:
    assert problems({"CLARION_X": "1"}) == ["CLARION_X: is not a setting"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server]\nprot = 1", "server.prot: is not a setting; did you mean server.port?"),
        ("[sever]\nport = 1", "sever: is not a setting; did you mean server?"),
        ("[server]\nport = 0", "server.port: "),
        ("[server]\nport = 65536", "server.port: "),
        ('[server]\nport = "http"', "server.port: "),
        ('[server]\nregion = "EU West"', "server.region: "),
        ('[log]\nlevel = "loud"', "log.level: "),
        ("[log.level]\na = 1", "log.level: "),
        ("port = 1", "clarion.toml: port must be a section"),
        ("[server", "clarion.toml: is not TOML: "),
        ("[server]\nport = 1\nport = 2", "clarion.toml: is not TOML: "),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(text: str, told: str) -> None:
    Path("clarion.toml").write_text(text)
    (found,) = problems({})
    assert found.startswith(told)


def test_a_file_that_is_named_must_exist() -> None:
    assert problems({"CLARION_SETTINGS": "/no/such.toml"}) == [
        "/no/such.toml: cannot be read: No such file or directory"
    ]


def test_a_file_that_is_no_text_is_told() -> None:
    Path("clarion.toml").write_bytes(b"\xff\xfe[\0")
    assert problems({})[0].startswith("clarion.toml: is not TOML: ")


def test_all_problems_are_told_at_once() -> None:
    Path("clarion.toml").write_text('[server]\nport = 0\nhots = "x"\n[sandbox]\napns_port = -1\n')
    told = problems(
        {"CLARION_LOG_FORMAT": "xml", "CLARION_X": "1", "CLARION_STORE_URL_FILE": "/no/such/file"}
    )
    assert len(told) == 6
    for name in (
        "server.port", "server.hots", "sandbox.apns_port", "log.format", "CLARION_X", "CLARION_STORE_URL_FILE"
    ):  # fmt: skip
        assert [one for one in told if one.startswith(f"{name}: ")]


def test_a_secret_is_never_shown() -> None:
    settings = load_settings({"CLARION_STORE_URL": SECRET_URL})
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert "hunter2" not in shown
        assert "***" in shown
    Path("clarion.toml").write_text('[store]\nurl = ["hunter2"]\nurll = "hunter2"\n')
    told = problems({})
    assert len(told) == 2
    assert "hunter2" not in "".join(told)
    assert "***" in "".join(told)


def test_every_key_has_a_variable_of_its_own_and_a_description() -> None:
    names = [variable(section, key) for section, key in all_keys()]
    assert len(set(names)) == len(names)
    assert "CLARION_SERVER_PORT" in names
    for field in Settings.model_fields.values():
        assert isinstance(field.annotation, type)
        for key in field.annotation.model_fields.values():
            assert key.description


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://example.com:3128", Proxy("example.com", 3128)),
        ("http://clarion:hunter2@example.com:3128/", Proxy("example.com", 3128, "Basic Y2xhcmlvbjpodW50ZXIy")),
        ("http://a%40b:p%3A%2F@[::1]:80", Proxy("::1", 80, "Basic YUBiOnA6Lw==")),
    ],
)  # fmt: skip
def test_a_proxy_is_a_url_with_or_without_a_password(url: str, proxy: Proxy) -> None:
    assert load_settings({"CLARION_PUSH_PROXY": url}).proxy == proxy
    assert load_settings({}).proxy is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "proxy:3128",
        "https://x:1",
        "http://hunter2",
        "http://hunter2:0x",
        "http://x:1/hunter2",
        "http://a:hunter2/x@b:1",
    ],
)
def test_what_is_no_proxy_is_told_without_its_password(url: str) -> None:
    (told,) = problems({"CLARION_PUSH_PROXY": url})
    assert told.startswith("push.proxy: must be http://host:port")
    assert told.endswith("(given: '***')")
    assert "hunter2" not in told


def test_trusted_hosts_are_a_list() -> None:
    assert load_settings({}).push.trusted_hosts == ()
    given = load_settings({"CLARION_PUSH_TRUSTED_HOSTS": "push.local, localhost:8445,"})
    assert given.push.trusted_hosts == ("push.local", "localhost:8445")
    Path("clarion.toml").write_text('[push]\ntrusted_hosts = ["push.local"]\n')
    assert load_settings({}).push.trusted_hosts == ("push.local",)


def test_master_keys_may_be_given_and_are_not_shown(tmp_path: Path) -> None:
    key = new_master_key(lambda count: b"k" * count)
    file = tmp_path / "key"
    file.write_text(f"{key.text}\n")
    settings = load_settings({"CLARION_KEYS_MASTER_FILE": str(file)})
    assert settings.given_keys == Keyring((key,))
    assert settings.key_file == Path("var/master.key")
    assert key.text not in repr(settings) + settings.model_dump_json()
    assert load_settings({"CLARION_KEYS_FILE": "/etc/key"}).key_file == Path("/etc/key")
    assert load_settings({}).given_keys is None
    Path("clarion.toml").write_text('[keys]\nmaster = "hunter2"\n')
    (told,) = problems({})
    assert told.startswith("keys.master: ")
    assert "hunter2" not in told

"""The command line: what each command does, twice without harm, and how it tells what is wrong."""

import json
import stat
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner

from clarion.cli import main
from tests.process.installation import Installation, facts


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_help_names_every_command() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0
    for command in ("serve", "worker", "sandbox", "migrate", "check", "seed-demo", "token"):
        assert f"\n  {command} " in told.stdout
    assert CliRunner().invoke(main, ["--version"]).stdout.startswith("main, version ")
    unknown = CliRunner().invoke(main, ["sned"])
    assert unknown.exit_code == 2
    assert "sned" in unknown.stderr


def test_a_fresh_folder_is_migrated_once_and_then_in_order(installation: Installation) -> None:
    before = installation.run("check")
    assert before.returncode == 1
    assert "clarion migrate" in before.stderr
    for _ in range(2):
        done = installation.run("migrate")
        assert (done.returncode, done.stderr) == (0, "")
        assert "this version's schema" in done.stdout
    after = installation.run("check")
    assert (after.returncode, after.stderr) == (0, "")


def test_seeding_twice_finds_the_same_ids(installation: Installation) -> None:
    seeded = [installation.run("seed-demo") for _ in range(2)]
    assert [done.returncode for done in seeded] == [0, 0], seeded[0].stderr
    first, again = (done.stdout.partition("/phone/#session=")[0] for done in seeded)  # each run's is its own
    assert first == again
    told, known = seeded[0].stdout, facts(installation)
    assert told.count("\ncurl ") == 5
    for value in (known["baseUrl"], known["organizationId"], known["token"], known["phonesUrl"]):
        assert value in told
    assert known["baseUrl"] == f"http://127.0.0.1:{installation.port}/v2.0"
    assert stat.S_IMODE((installation.folder / "demo.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((installation.folder / "sandbox" / "apns-key.p8").stat().st_mode) == 0o600


def test_seeding_on_other_ports_follows_them_and_keeps_the_ids(installation: Installation) -> None:
    # The certificates that this names do not exist before the first run.
    installation.settings["CLARION_PUSH_CA_FILE"] = str(installation.folder / "sandbox" / "ca.pem")
    first = installation.run("seed-demo")
    assert first.returncode == 0, first.stderr
    known = facts(installation)
    moved = Installation(installation.folder)
    moved.run("seed-demo")
    assert facts(moved)["baseUrl"] == f"http://127.0.0.1:{moved.port}/v2.0"
    addresses = {"baseUrl": "", "phonesUrl": ""}
    assert json.dumps(facts(moved) | addresses) == json.dumps(known | addresses)


def test_a_token_is_shown_once_and_only_for_a_member(installation: Installation) -> None:
    installation.run("seed-demo")
    organization = facts(installation)["organizationId"]
    made = installation.run(
        "token", "create", "--organization", organization, "--email", "username@example.com"
    )
    assert made.returncode == 0, made.stderr
    token = made.stdout.splitlines()[-1]
    assert token.startswith("clr_us-east-1_")
    assert token != facts(installation)["token"]
    for arguments in (
        ("--organization", organization, "--email", "nobody@example.com"),
        ("--organization", str(uuid4()), "--email", "username@example.com"),
    ):
        refused = installation.run("token", "create", *arguments)
        assert refused.returncode == 1
        assert refused.stderr.startswith("Error: No member ")
        assert "clr_" not in refused.stdout
    wrong = CliRunner().invoke(main, ["token", "create", "--organization", "demo", "--email", "x"])
    assert wrong.exit_code == 2
    assert "--organization" in wrong.stderr

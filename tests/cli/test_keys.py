from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everfresh.serving.access.ring import KeyRing
from everfresh.settings import Settings

ROOT = Path(__file__).parents[2]

Run = Callable[..., Any]

KEY = re.compile(r"ef_[0-9a-f]{8}\.[A-Za-z0-9_-]{43}")


def test_a_key_is_printed_once_and_the_server_knows_it(run: Run, place: Settings) -> None:
    ended = run("keys", "add", "ann", "--role", "predict", "--role", "read")
    presented = ended.out.strip()

    assert ended.code == 0
    assert KEY.fullmatch(presented)
    assert ended.err == "This is a key of ann for predict and read, until it is revoked. It is not shown again.\n"
    holder = KeyRing(place.home / "keys.json").holder(presented)
    assert holder is not None
    assert (holder.name, holder.roles) == ("ann", {"predict", "read"})
    assert presented.partition(".")[2] not in run("keys", "list").out + run("keys", "list", "--json").out


def test_the_same_for_programs(run: Run) -> None:
    made = json.loads(run("keys", "add", "ann", "--role", "admin", "--expires", "90d", "--json").out)
    (listed,) = json.loads(run("keys", "list", "--json").out)

    assert KEY.fullmatch(made.pop("key"))
    assert listed == {**made, "state": "valid"}
    assert made.keys() == {"kid", "name", "roles", "created", "expires", "revoked"}
    lasts = datetime.fromisoformat(made["expires"]) - datetime.fromisoformat(made["created"])
    assert (made["roles"], lasts) == (["admin"], timedelta(days=90))


def test_a_list_says_whose_keys_there_are_and_which_are_valid(run: Run) -> None:
    assert run("keys", "list").out.split() == ["kid", "name", "roles", "created", "expires", "state"]
    kid = run("keys", "add", "ann", "--role", "predict").out.partition(".")[0]
    run("keys", "add", "bob", "--role", "read", "--expires", "1s")
    revoked = run("keys", "revoke", kid)

    assert (revoked.code, revoked.out) == (0, f"{kid} of ann is revoked.\n")
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    first, second = run("keys", "list").out.splitlines()[1:]
    assert first.split() == [kid, "ann", "predict", today, "-", "revoked"]
    assert second.split()[1:3] == ["bob", "read"]


def test_a_whole_key_may_be_given_to_revoke_it_and_its_secret_is_not_repeated(run: Run, place: Settings) -> None:
    presented = run("keys", "add", "ann", "--role", "predict").out.strip()
    ended = run("keys", "revoke", presented, "--json")

    assert json.loads(ended.out)["revoked"] is not None
    assert presented.partition(".")[2] not in ended.out + ended.err
    assert KeyRing(place.home / "keys.json").holder(presented) is None


def test_keys_lie_where_the_setting_or_the_option_says(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("EVERFRESH_SERVING_KEYS", str(tmp_path / "set" / "keys.json"))
    run("keys", "add", "ann", "--role", "predict")
    monkeypatch.chdir(tmp_path)
    run("keys", "add", "bob", "--role", "predict", "--file", "given.json")

    assert "ann" in (tmp_path / "set" / "keys.json").read_text()
    assert "bob" in (tmp_path / "given.json").read_text()
    assert "ann" not in (tmp_path / "given.json").read_text()


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["add", "ann"], "--role"),
        (["add", "ann", "--role", "root"], "'root' is none of predict, read, admin"),
        (["add", "a b", "--role", "read"], "a name has letters"),
        (["add", "../x", "--role", "read"], "a name has letters"),
        (["add", "ann", "--role", "read", "--expires", "soon"], "a duration is a whole number and a unit"),
        (["add", "ann", "--role", "read", "--expires", "0d"], "above 0"),
        (["revoke"], "kid"),
    ],
)
def test_wrong_usage_is_said_and_makes_no_key(run: Run, place: Settings, words: list[str], hint: str) -> None:
    ended = run("keys", *words)

    assert ended.code == 2
    assert hint.lower() in ended.err.lower()
    assert not (place.home / "keys.json").exists()


def test_what_is_not_there_or_would_be_too_much_is_an_error(run: Run) -> None:
    unknown = run("keys", "revoke", "ef_00000000")
    for _ in range(2):
        run("keys", "add", "ann", "--role", "read")
    third = run("keys", "add", "ann", "--role", "read")

    assert (unknown.code, third.code) == (1, 1)
    assert unknown.err.startswith("There is no key 'ef_00000000' in ")
    assert "'ann' has ef_" in third.err


HELP = """
import sys
from everfresh.cli import main

for words in (["--help"], ["add", "--help"], ["list", "--help"], ["revoke", "--help"]):
    sys.argv = ["everfresh", "keys", *words]
    try:
        main()
    except SystemExit as ending:
        assert ending.code == 0, (words, ending.code)
heavy = {"pandas", "numpy", "granian", "jwt", "cryptography", "httpx"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""


def test_the_help_of_each_is_there_and_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELP], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: everfresh keys") == 4

"""Where a process runs, as the environment says it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from everfresh.errors import InvalidSetting
from everfresh.settings import Settings

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "settings.md"
SET_BY_US = {
    "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
    "MLFLOW_LOGGING_LEVEL",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
    "PREFECT_CLI_PROMPT",
    "PREFECT_HOME",
    "PREFECT_LOGGING_EXTRA_LOGGERS",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW",
    "PREFECT_SERVER_ANALYTICS_ENABLED",
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS",
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT",
    "PREFECT_WORKER_QUERY_SECONDS",
}


def settings_of(**variables: str) -> Settings:
    return Settings.from_environment(variables)


def test_without_any_variable_everything_lies_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = settings_of()
    assert (found.root, found.home, found.projects) == (tmp_path, tmp_path / ".everfresh", tmp_path / "projects")
    assert found.tracking_uri == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert found.artifacts == f"{tmp_path}/mlruns/artifacts"
    assert found.allowed_imports == ("sklearn.",)
    assert found.mode == "production"
    assert (found.prefect_url, found.mlflow_url) == ("http://127.0.0.1:4200/api", "http://127.0.0.1:5000")


def test_relative_folders_count_from_the_root_and_absolute_ones_stay(tmp_path):
    found = settings_of(EVERFRESH_ROOT=str(tmp_path), EVERFRESH_HOME="state", EVERFRESH_PROJECTS="/srv/specs")
    assert (found.home, found.projects) == (tmp_path / "state", Path("/srv/specs"))


def test_a_variable_that_is_set_to_nothing_counts_as_not_set():
    names = [name for name in variables_of(Settings) if name != "EVERFRESH_ALLOWED_IMPORTS"]
    assert settings_of(**dict.fromkeys(names, "")) == settings_of()


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "80.0", "4 200", "٤٢٠٠"])
@pytest.mark.parametrize("variable", ["EVERFRESH_PREFECT_PORT", "EVERFRESH_MLFLOW_PORT"])
def test_a_port_that_is_none_is_told_with_its_variable_and_what_was_read(variable, text):
    with pytest.raises(InvalidSetting, match=f"{variable} is '{re.escape(text)}' and must be a port, from 1 to 65535"):
        settings_of(**{variable: text})


def test_two_servers_cannot_have_one_port():
    with pytest.raises(InvalidSetting, match="EVERFRESH_MLFLOW_PORT is '4200'"):
        settings_of(EVERFRESH_MLFLOW_PORT="4200")


def test_a_mode_that_does_not_exist_is_refused_rather_than_taken_for_production():
    with pytest.raises(InvalidSetting, match="EVERFRESH_MODE is 'Replay' and must be production or replay"):
        settings_of(EVERFRESH_MODE="Replay")


def test_an_allowed_package_does_not_allow_another_that_begins_like_it():
    assert settings_of(EVERFRESH_ALLOWED_IMPORTS=" acme, tools.ml. ,,.").allowed_imports == (
        "sklearn.",
        "acme.",
        "tools.ml.",
    )


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("", True),
        ("http://127.0.0.1:4200/api", True),
        ("http://localhost:4200/api/", True),
        ("http://127.0.0.1:4201/api", False),
        ("https://prefect.internal/api", False),
    ],
)
def test_a_prefect_server_is_ours_to_start_unless_another_one_is_named(url, own):
    assert settings_of(PREFECT_API_URL=url).has_own_prefect is own


@pytest.mark.parametrize(
    ("uri", "own", "page"),
    [
        ("postgresql://db/mlflow", True, "http://127.0.0.1:5000"),
        ("https://mlflow.internal", False, "https://mlflow.internal"),
    ],
)
def test_an_mlflow_server_is_ours_to_start_unless_one_is_named(uri, own, page):
    found = settings_of(MLFLOW_TRACKING_URI=uri)
    assert (found.has_own_mlflow, found.mlflow_url) == (own, page)


def test_the_password_of_the_database_is_not_in_what_a_log_would_show():
    assert "secret" not in repr(settings_of(MLFLOW_TRACKING_URI="postgresql://me:secret@db/mlflow"))


text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
port = st.integers(1, 65535)
words = st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z]{1,5})?", fullmatch=True), max_size=3)


@budget(max_examples=50, deadline=None)
@given(text, text, text, st.tuples(port, port).filter(lambda ports: ports[0] != ports[1]), words, text)
def test_another_process_reads_the_same_settings_from_what_it_is_given(root, home, uri, ports, packages, api):
    first = settings_of(
        EVERFRESH_ROOT=root,
        EVERFRESH_HOME=home,
        MLFLOW_TRACKING_URI=uri,
        EVERFRESH_PREFECT_PORT=str(ports[0]),
        EVERFRESH_MLFLOW_PORT=str(ports[1]),
        EVERFRESH_ALLOWED_IMPORTS=",".join(packages),
        PREFECT_API_URL=api,
        EVERFRESH_MODE="replay",
    )
    assert settings_of(**first.to_environment()) == first


def test_the_document_names_every_variable_that_the_code_reads_and_no_other():
    names = re.compile(r"\b(?:EVERFRESH|MLFLOW|PREFECT)_[A-Z_]*[A-Z]\b")
    files = [file for folder in ("everfresh", "flows", "tasks") for file in (ROOT / folder).rglob("*.py")]
    read = {name for file in files for name in names.findall(file.read_text(encoding="utf-8"))}
    assert set(documented()) == read - SET_BY_US


def test_the_documents_defaults_are_those_of_the_code(tmp_path):
    found = settings_of(EVERFRESH_ROOT=str(tmp_path)).to_environment()
    for variable in sorted(found.keys() - {"EVERFRESH_ROOT"}):
        written = documented()[variable].strip("`")
        assert found[variable].replace(f"{tmp_path}/", "") == written, variable


def documented() -> dict[str, str]:
    """The variables of the table and their defaults."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|([^|]*)\|", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: default.strip() for name, default in rows}


def variables_of(kind: type[Settings]) -> list[str]:
    """The variables that are really looked at."""
    seen: list[str] = []

    class Recorded(dict[str, str]):
        def get(self, name, default=None):
            seen.append(name)
            return default

    kind.from_environment(Recorded())
    return seen

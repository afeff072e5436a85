from __future__ import annotations

import logging
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from everfresh import process
from everfresh.errors import BundleNotRegistered, NoChallenger, NoChampion, NoPrevious, VersionNotFound
from everfresh.process import Service
from everfresh.registry import store
from everfresh.registry.connection import experiment_id
from everfresh.registry.lineage import Lineage
from everfresh.registry.runs import log_files, log_texts
from everfresh.registry.store import LONGEST_TEXT, Registry
from everfresh.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, ModelVersion
from everfresh.settings import Settings

NAME = "flights"
MakeLineage = Callable[[str], Lineage]


@pytest.fixture
def register(registry: Registry, lineage: MakeLineage) -> Callable[..., ModelVersion]:
    """A new version, made from that table."""
    return lambda data="d1", **given: registered(registry, lineage(data), **given)


def registered(registry: Registry, made_from: Lineage, **given: object) -> ModelVersion:
    experiment = experiment_id(registry.client, NAME, registry.settings.artifacts)
    run_id = registry.client.create_run(experiment).info.run_id
    facts = {"bundle_digest": "b1", "description": "boosting", "tags": {}, **given}
    return registry.register(NAME, run_id, made_from, **facts)  # type: ignore[arg-type]


def aliases(registry: Registry) -> dict[str, int | None]:
    found = {CHALLENGER: registry.challenger, CHAMPION: registry.champion, PREVIOUS: registry.previous}
    versions = {alias: find(NAME) for alias, find in found.items()}
    return {alias: version.version if version else None for alias, version in versions.items()}


def test_an_empty_registry_answers_with_nothing(registry: Registry, lineage: MakeLineage) -> None:
    assert registry.versions(NAME) == ()
    assert aliases(registry) == {CHALLENGER: None, CHAMPION: None, PREVIOUS: None}
    assert registry.same_content(NAME, lineage("d1")) is None
    registry.forget(NAME)


@pytest.mark.parametrize("there_is_a_version", [False, True])
def test_what_is_not_there_is_said_with_the_next_step(
    registry: Registry, register: Callable[..., ModelVersion], there_is_a_version: bool
) -> None:
    if there_is_a_version:
        register()
    with pytest.raises(NoChampion, match="everfresh train flights"):
        registry.load_champion(NAME)
    with pytest.raises(NoChallenger):
        registry.to_deploy(NAME, None)
    with pytest.raises(NoPrevious, match="--to"):
        registry.to_roll_back_to(NAME, None)
    with pytest.raises(VersionNotFound, match="no version 7"):
        registry.version(NAME, 7)
    with pytest.raises(VersionNotFound):
        registry.to_deploy(NAME, 7)
    with pytest.raises(VersionNotFound):
        registry.to_roll_back_to(NAME, 7)


def test_a_registered_version_is_read_back_with_its_lineage(
    registry: Registry, register: Callable[..., ModelVersion], lineage: MakeLineage
) -> None:
    made = register(tags={"everfresh.mode": "replay"})
    read = registry.version(NAME, 1)
    assert made == read
    assert (read.version, read.aliases, read.bundle_digest, read.mode) == (1, (), "b1", "replay")
    assert (read.key, read.data_fingerprint) == (lineage("d1").key, "d1")
    assert read.trained_from == datetime(2013, 1, 1, tzinfo=UTC)
    assert read.trained_through == datetime(2013, 2, 28, tzinfo=UTC)
    assert read.parent_version is None
    assert datetime.now(UTC) - read.created_at < timedelta(minutes=5)


def test_a_run_is_registered_once(registry: Registry, register: Callable[..., ModelVersion]) -> None:
    first = register()
    again = registry.register(
        NAME, first.run_id, Lineage("s", "d", "c", None, 1, None, None), bundle_digest="", description="", tags={}
    )
    assert again == first
    assert [version.version for version in registry.versions(NAME)] == [1]


def test_a_model_that_somebody_else_registers_first_is_no_error(
    registry: Registry, register: Callable[..., ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    really_create = registry.client.create_registered_model

    def too_late(name: str) -> object:
        really_create(name)
        return really_create(name)

    monkeypatch.setattr(registry.client, "create_registered_model", too_late)
    assert register().version == 1


def test_versions_come_newest_first_with_their_aliases_over_all_pages(
    registry: Registry, register: Callable[..., ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [register(f"d{number}") for number in range(5)]
    registry.promote(made[1], "first")
    registry.mark_challenger(made[4])
    monkeypatch.setattr(store, "_PAGE", 2)
    found = registry.versions(NAME)
    assert [version.version for version in found] == [5, 4, 3, 2, 1]
    assert {version.version: version.aliases for version in found if version.aliases} == {
        5: ("challenger",),
        2: ("champion",),
    }
    assert found[3] == registry.version(NAME, 2)


def test_the_same_content_is_found_and_another_is_not(
    registry: Registry, register: Callable[..., ModelVersion], lineage: MakeLineage
) -> None:
    register("d1")
    register("d2")
    register("d1")
    found = registry.same_content(NAME, replace(lineage("d1"), parent_version=2, rows=5))
    assert found is not None
    assert found.version == 3
    for other in (lineage("d3"), replace(lineage("d1"), spec_hash="s2"), replace(lineage("d1"), code_revision="c2")):
        assert registry.same_content(NAME, other) is None


def test_a_challenger_waits_until_it_is_promoted(registry: Registry, register: Callable[..., ModelVersion]) -> None:
    challenger = registry.mark_challenger(register())
    assert challenger.aliases == ("challenger",)
    assert registry.to_deploy(NAME, None) == challenger
    champion = registry.promote(challenger, "it is the first")
    assert champion.aliases == ("champion",)
    assert champion.tags["everfresh.promoted"] == "it is the first"
    assert champion.promoted_at is not None
    assert champion.replaced is None
    assert registry.load_champion(NAME) == champion


def test_a_promotion_moves_the_former_champion_and_asking_twice_changes_nothing(
    registry: Registry, register: Callable[..., ModelVersion]
) -> None:
    first, second = register("d1"), register("d2")
    registry.promote(first, "first")
    registry.mark_challenger(second)
    promoted = registry.promote(second, "better")
    assert aliases(registry) == {CHALLENGER: None, CHAMPION: 2, PREVIOUS: 1}
    assert promoted.replaced == 1
    assert registry.promote(second, "asked again") == promoted


def test_a_rollback_goes_back_one_by_one_and_says_why(
    registry: Registry, register: Callable[..., ModelVersion]
) -> None:
    for data in ("d1", "d2", "d3"):
        registry.promote(register(data), data)
    to = registry.to_roll_back_to(NAME, None)
    assert registry.roll_back(to, "it answers nonsense").version == 2
    assert aliases(registry) == {CHALLENGER: None, CHAMPION: 2, PREVIOUS: 1}
    demoted = registry.version(NAME, 3)
    assert demoted.tags["everfresh.demoted"] == "it answers nonsense"
    assert datetime.now(UTC) - datetime.fromisoformat(demoted.tags["everfresh.demoted_at"]) < timedelta(minutes=1)
    registry.roll_back(registry.to_roll_back_to(NAME, None), "that, too")
    assert aliases(registry) == {CHALLENGER: None, CHAMPION: 1, PREVIOUS: None}
    with pytest.raises(NoPrevious):
        registry.to_roll_back_to(NAME, None)
    registry.roll_back(registry.version(NAME, 1), "asked twice")
    assert aliases(registry)[CHAMPION] == 1


def test_a_promotion_that_was_killed_between_two_writes_leaves_a_champion_and_is_completed(
    registry: Registry, register: Callable[..., ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(register("d1"), "first")
    challenger = registry.mark_challenger(register("d2"))
    really_set, writes = registry.client.set_registered_model_alias, []

    def killed_after_one(*arguments: object) -> None:
        if writes:
            raise KeyboardInterrupt
        writes.append(arguments)
        really_set(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(registry.client, "set_registered_model_alias", killed_after_one)
        with pytest.raises(KeyboardInterrupt):
            registry.promote(challenger, "better")
    assert aliases(registry)[CHAMPION] == 1
    registry.promote(challenger, "better")
    assert aliases(registry) == {CHALLENGER: None, CHAMPION: 2, PREVIOUS: 1}


@hypothesis_settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["mark", "dismiss", "promote", "roll back", "roll back one"]), st.integers(1, 3)),
        max_size=6,
    )
)
def test_after_any_sequence_there_is_exactly_one_champion(
    registry: Registry, register: Callable[..., ModelVersion], moves: list[tuple[str, int]]
) -> None:
    registry.forget(NAME)
    versions = [register(f"d{number}") for number in range(3)]
    registry.promote(versions[0], "the first")
    expected = 1
    for move, number in moves:
        version = registry.version(NAME, number)
        if move == "mark":
            registry.mark_challenger(version)
        elif move == "dismiss":
            registry.dismiss_challenger(version, "no")
        elif move == "promote":
            expected = registry.promote(version, "better").version
        elif move == "roll back":
            expected = registry.roll_back(version, "worse").version
        elif (previous := registry.previous(NAME)) is not None:
            expected = registry.roll_back(previous, "worse").version
        champions = [each.version for each in registry.versions(NAME) if CHAMPION in each.aliases]
        assert champions == [expected]
        now = aliases(registry)
        assert now[PREVIOUS] != now[CHAMPION]


def test_a_version_that_may_not_serve_waits_no_longer(
    registry: Registry, register: Callable[..., ModelVersion]
) -> None:
    first, second = registry.mark_challenger(register("d1")), register("d2")
    registry.dismiss_challenger(second, "too late")
    assert registry.challenger(NAME) == first
    for _ in range(2):
        registry.dismiss_challenger(first, "its gates said no")
    assert registry.challenger(NAME) is None
    assert registry.version(NAME, 1).tags["everfresh.dismissed"] == "its gates said no"


def test_a_verdict_is_kept_and_an_override_ends(registry: Registry, register: Callable[..., ModelVersion]) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    version = register()
    failed = registry.record_verdict(version, "FAIL", "roc_auc is 0.54, the gate asks 0.62.")
    assert (failed.verdict, failed.verdict_reason) == ("FAIL", "roc_auc is 0.54, the gate asks 0.62.")
    assert not failed.may_serve_at(now)
    overridden = registry.record_verdict(failed, "OVERRIDDEN", "By Ann.", override_until=now)
    assert overridden.override_until == now
    assert overridden.may_serve_at(now - timedelta(seconds=1))
    assert not overridden.may_serve_at(now)
    judged_again = registry.record_verdict(overridden, "FAIL", "Still.")
    assert judged_again.override_until is None
    assert not judged_again.may_serve_at(now - timedelta(days=1))
    assert registry.record_verdict(judged_again, "PASS", "All gates passed.").may_serve_at(now)


def test_a_verdict_that_was_recorded_half_way_lets_nothing_serve(
    registry: Registry, register: Callable[..., ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.record_verdict(register(), "FAIL", "no")
    really_set, until = registry.client.set_model_version_tag, datetime.now(UTC) + timedelta(days=1)
    for killed_at in range(3):
        left = [killed_at]

        def killed(*arguments: object, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            really_set(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(registry.client, "set_model_version_tag", killed)
            with pytest.raises(KeyboardInterrupt):
                registry.record_verdict(version, "OVERRIDDEN", "yes", override_until=until)
        assert not registry.version(NAME, 1).may_serve_at(datetime.now(UTC))


def test_long_texts_are_cut_to_what_every_database_holds(
    registry: Registry, register: Callable[..., ModelVersion]
) -> None:
    long = "x" * (LONGEST_TEXT + 1)
    version = register(description=long, tags={"everfresh.candidate": long})
    registry.record_verdict(version, "FAIL", long)
    registry.dismiss_challenger(version, long)
    registry.promote(register("d2"), long)
    registry.promote(version, long)
    registry.roll_back(registry.version(NAME, 2), long)
    for read in registry.versions(NAME):
        assert max(map(len, read.tags.values())) <= LONGEST_TEXT
    assert len(registry.client.get_model_version(NAME, "1").description) == LONGEST_TEXT


def test_forgetting_removes_all_versions_and_begins_anew(
    registry: Registry, register: Callable[..., ModelVersion]
) -> None:
    registry.promote(register("d1"), "first")
    registry.promote(register("d2"), "second")
    for _ in range(2):
        registry.forget(NAME)
    assert registry.versions(NAME) == ()
    assert registry.champion(NAME) is None
    assert register("d3").version == 1


def test_a_bundle_comes_back_as_it_was_logged(
    registry: Registry, register: Callable[..., ModelVersion], tmp_path: Path
) -> None:
    version = register()
    bundle = tmp_path / "made"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(b"\x00plan")
    log_files(registry.client, version.run_id, bundle, {"model_card.md": "# flights"})
    fetched = registry.download_bundle(version, tmp_path / "fetched")
    assert [(file.name, file.read_bytes()) for file in fetched.iterdir()] == [("model.onnx", b"\x00plan")]
    assert registry.download_bundle(version, tmp_path / "fetched") == fetched
    # What is taken away here stays in the registry.
    (fetched / "model.onnx").unlink()
    assert (registry.download_bundle(version, tmp_path / "again") / "model.onnx").exists()


def test_a_bundle_that_is_gone_is_said_in_a_sentence(
    registry: Registry, register: Callable[..., ModelVersion], tmp_path: Path
) -> None:
    with pytest.raises(BundleNotRegistered, match=r"The bundle of 'flights' version 1 cannot be read"):
        registry.download_bundle(register(), tmp_path)


def test_a_small_text_is_read_back_or_is_not_there(registry: Registry, register: Callable[..., ModelVersion]) -> None:
    version = register()
    log_texts(registry.client, version.run_id, {"verdict.json": '{"reason": "ä"}'})
    log_texts(registry.client, version.run_id, {"verdict.json": '{"reason": "ö"}'})
    assert registry.read_text(version, "verdict.json") == '{"reason": "ö"}'
    assert registry.read_text(version, "nothing.json") is None
    assert registry.read_text(replace(version, run_id="0" * 32), "verdict.json") is None


def test_two_registries_in_one_process_do_not_mix(
    registry: Registry, register: Callable[..., ModelVersion], migrated_database: Path, tmp_path: Path
) -> None:
    version = register()
    log_texts(registry.client, version.run_id, {"note.txt": "here"})
    shutil.copy(migrated_database, tmp_path / "other.db")
    other = Registry(replace(registry.settings, tracking_uri=f"sqlite:///{tmp_path / 'other.db'}"))
    assert other.versions(NAME) == ()
    assert registry.read_text(version, "note.txt") == "here"
    assert registry.versions(NAME) == (version,)


def test_what_happens_is_logged_in_a_line_each(
    registry: Registry, register: Callable[..., ModelVersion], caplog: pytest.LogCaptureFixture
) -> None:
    challenger = registry.mark_challenger(register())
    caplog.clear()
    with caplog.at_level(logging.INFO, "everfresh"):
        registry.promote(challenger, "first")
    assert [record.message for record in caplog.records if record.name.startswith("everfresh")] == [
        "flights v1 is champion",
        "Removed the alias challenger of flights",
    ]


@pytest.fixture
def served_registry(settings: Settings, tmp_path: Path) -> Iterator[Registry]:
    """The same behind MLflow's own server, which says many things in other words."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    service = Service(
        name="mlflow",
        command=[
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
            "--backend-store-uri", settings.tracking_uri, "--default-artifact-root", settings.artifacts,
            "--no-serve-artifacts",
        ],
        environment={"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        port=port,
        port_remedy="Try again.",
        is_ready=lambda: is_well(url),
        ready_seconds=200,
    )  # fmt: skip
    try:
        process.start(service, tmp_path)
        yield Registry(replace(settings, tracking_uri=url))
    finally:
        process.stop("mlflow", tmp_path)


def is_well(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1).is_success
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_a_registry_behind_a_server_behaves_the_same(
    served_registry: Registry, lineage: MakeLineage, tmp_path: Path
) -> None:
    registry = served_registry
    test_an_empty_registry_answers_with_nothing(registry, lineage)

    def register(data: str = "d1", **given: object) -> ModelVersion:
        return registered(registry, lineage(data), **given)

    test_what_is_not_there_is_said_with_the_next_step(registry, register, True)
    registry.forget(NAME)
    test_a_rollback_goes_back_one_by_one_and_says_why(registry, register)
    registry.forget(NAME)
    test_a_run_is_registered_once(registry, register)
    test_a_challenger_waits_until_it_is_promoted(registry, lambda: registry.version(NAME, 1))
    test_a_verdict_is_kept_and_an_override_ends(registry, register)
    registry.forget(NAME)
    test_a_bundle_that_is_gone_is_said_in_a_sentence(registry, register, tmp_path)
    registry.forget(NAME)
    test_a_bundle_comes_back_as_it_was_logged(registry, register, tmp_path)
    test_a_small_text_is_read_back_or_is_not_there(registry, register)

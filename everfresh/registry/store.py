"""Versions and aliases in MLflow's registry: registered once, promoted and rolled back with a reason."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from everfresh.errors import BundleNotRegistered, NoChallenger, NoChampion, NoPrevious, VersionNotFound
from everfresh.registry.aliases import Aliases, Move, promotion_moves, rollback_moves
from everfresh.registry.artifacts import artifacts_of, check_store, download
from everfresh.registry.connection import (
    MlflowClient,
    MlflowException,
    connect,
    is_missing,
    says_when_unreachable,
    without_password,
)
from everfresh.registry.lineage import Lineage
from everfresh.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, ModelVersion, tag_time
from everfresh.settings import Settings

logger = logging.getLogger(__name__)

BUNDLE = "bundle"

# What every database that MLflow runs on holds in a tag and in a description.
LONGEST_TEXT = 5000

_PAGE = 500


class Registry:
    """A project's versions. Every write is safe to repeat.

    Raises:
        RegistryUnreachable: MLflow does not answer; every method may raise it.
        MissingExtra: the package for the store of the artifacts is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        check_store(settings.artifacts)
        self.settings = settings
        self.client: MlflowClient = connect(settings)

    @property
    def address(self) -> str:
        """Where MLflow is, as it may be shown."""
        return without_password(self.settings.tracking_uri)

    @says_when_unreachable
    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions, the newest first; none where nothing was registered yet."""
        return self._search(f"name='{name}'", name)

    @says_when_unreachable
    def version(self, name: str, version: int) -> ModelVersion:
        """That version.

        Raises:
            VersionNotFound: the registry does not have it.
        """
        try:
            return _model_version(self.client.get_model_version(name, str(version)))
        except MlflowException as error:
            if is_missing(error):
                raise VersionNotFound(name, version) from error
            raise

    def champion(self, name: str) -> ModelVersion | None:
        """The version that serves, where one does."""
        return self._aliased(name, CHAMPION)

    def previous(self, name: str) -> ModelVersion | None:
        """The champion before this one, where there was one."""
        return self._aliased(name, PREVIOUS)

    def challenger(self, name: str) -> ModelVersion | None:
        """The version that waits for its rollout, where one does."""
        return self._aliased(name, CHALLENGER)

    def load_champion(self, name: str) -> ModelVersion:
        """The champion.

        Raises:
            NoChampion: nothing was promoted yet.
        """
        champion = self.champion(name)
        if champion is None:
            raise NoChampion(name)
        return champion

    def to_deploy(self, name: str, version: int | None) -> ModelVersion:
        """The version that a rollout is about: the one asked for, or else the challenger.

        Raises:
            VersionNotFound: the registry does not have the one asked for.
            NoChallenger: none was asked for and none waits.
        """
        if version is not None:
            return self.version(name, version)
        challenger = self.challenger(name)
        if challenger is None:
            raise NoChallenger(name)
        return challenger

    def to_roll_back_to(self, name: str, version: int | None) -> ModelVersion:
        """The version that a rollback goes to: the one asked for, or else the previous champion.

        Raises:
            VersionNotFound: the registry does not have the one asked for.
            NoPrevious: none was asked for and there is no previous champion.
        """
        if version is not None:
            return self.version(name, version)
        previous = self.previous(name)
        if previous is None:
            raise NoPrevious(name)
        return previous

    @says_when_unreachable
    def same_content(self, name: str, lineage: Lineage) -> ModelVersion | None:
        """The newest version that was made from the same spec, data and code, where there is one."""
        found = self._search(f"name='{name}' and tag.`everfresh.key`='{lineage.key}'", name)
        return found[0] if found else None

    @says_when_unreachable
    def register(
        self, name: str, run_id: str, lineage: Lineage, *, bundle_digest: str, description: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """A new version from the run's model and bundle; the same run is never registered twice. No alias is set."""
        self._create_model(name)
        existing = self._search(f"name='{name}' and run_id='{run_id}'", name)
        if existing:
            return existing[0]
        everything = {**_lineage_tags(lineage), "everfresh.bundle_digest": bundle_digest, **tags}
        model_id = self._model_id(run_id)
        item = self.client.create_model_version(
            name,
            # Through the run itself, MLflow's own loaders do not find a model that was logged by its id.
            source=f"models:/{model_id}" if model_id else f"runs:/{run_id}/model",
            run_id=run_id,
            # Its server wants it beside the source.
            model_id=model_id,
            tags={key: value[:LONGEST_TEXT] for key, value in everything.items()},
            description=description[:LONGEST_TEXT],
            await_creation_for=0,  # MLflow's own registry has it at once
        )
        return _model_version(item)

    @says_when_unreachable
    def mark_challenger(self, version: ModelVersion) -> ModelVersion:
        """Let the version wait for its rollout. The alias comes last: what it names is complete."""
        self._apply(version.name, [Move(CHALLENGER, version.version)])
        return self.version(version.name, version.version)

    @says_when_unreachable
    def dismiss_challenger(self, version: ModelVersion, reason: str) -> None:
        """The version was judged and may not serve: it waits no longer."""
        self._tag(version, {"everfresh.dismissed": reason})
        if self._aliases(version.name).challenger == version.version:
            self._apply(version.name, [Move(CHALLENGER, None)])

    @says_when_unreachable
    def record_verdict(
        self, version: ModelVersion, status: str, reason: str, *, override_until: datetime | None = None
    ) -> ModelVersion:
        """Keep the verdict with the version; only PASS and OVERRIDDEN may serve, the latter until the override ends."""
        until = tag_time(override_until) if override_until is not None else ""
        self._tag(
            version,
            {
                "everfresh.verdict_reason": reason,
                "everfresh.override_until": until,
                # The status last: a verdict that was recorded half-way lets nothing serve that could not before.
                "everfresh.verdict": status,
            },
        )
        return self.version(version.name, version.version)

    @says_when_unreachable
    def promote(self, version: ModelVersion, reason: str) -> ModelVersion:
        """Make the version the champion. Call it when the version serves: the alias follows reality."""
        now = self._aliases(version.name)
        moves = promotion_moves(now, version.version)
        if now.champion != version.version:
            replaced = {"everfresh.replaced": str(now.champion)} if now.champion is not None else {}
            self._tag(version, {"everfresh.promoted_at": tag_time(_now()), "everfresh.promoted": reason, **replaced})
        self._apply(version.name, moves)
        return self.version(version.name, version.version)

    @says_when_unreachable
    def roll_back(self, to: ModelVersion, reason: str) -> ModelVersion:
        """Make `to` the champion again, and note on the one it takes the place of why it was demoted."""
        now = self._aliases(to.name)
        if now.champion is not None and now.champion != to.version:
            demoted = self.version(to.name, now.champion)
            self._tag(demoted, {"everfresh.demoted_at": tag_time(_now()), "everfresh.demoted": reason})
        self._apply(to.name, rollback_moves(now, to.version, to.replaced))
        return self.version(to.name, to.version)

    @says_when_unreachable
    def download_bundle(self, version: ModelVersion, directory: Path) -> Path:
        """The version's bundle, copied below `directory`.

        Raises:
            BundleNotRegistered: the artifacts of its run hold no bundle, or cannot be read.
            ArtifactsUnreachable: their store does not answer, which says nothing about the bundle.
        """
        directory.mkdir(parents=True, exist_ok=True)
        try:
            found = download(self.client, version.run_id, BUNDLE, directory)
        except OSError as error:
            raise BundleNotRegistered(version.name, version.version, self.address, str(error)) from error
        except MlflowException as error:
            if is_missing(error):
                why = str(error).splitlines()[0]
                raise BundleNotRegistered(version.name, version.version, self.address, why) from error
            raise
        if found is None:
            where = artifacts_of(self.client, version.run_id)
            raise BundleNotRegistered(version.name, version.version, self.address, f"there is none at {where}")
        return found

    @says_when_unreachable
    def read_text(self, version: ModelVersion, file: str) -> str | None:
        """A small text file of the version's run, or None where it has no such file."""
        with tempfile.TemporaryDirectory(prefix="everfresh-") as directory:
            try:
                found = download(self.client, version.run_id, file, Path(directory))
            except MlflowException as error:
                if is_missing(error):
                    return None
                raise
            return None if found is None else found.read_text(encoding="utf-8")

    @says_when_unreachable
    def forget(self, name: str) -> None:
        """Remove every version of a model, and the model; its runs stay. Quiet where there is none."""
        try:
            self.client.delete_registered_model(name)
        except MlflowException as error:
            if not is_missing(error):
                raise

    def _model_id(self, run_id: str) -> str | None:
        """The MLflow model that the run has logged, where it has."""
        outputs = self.client.get_run(run_id).outputs
        models = outputs.model_outputs if outputs is not None else []
        return str(models[-1].model_id) if models else None

    def _create_model(self, name: str) -> None:
        try:
            self.client.get_registered_model(name)
        except MlflowException as error:
            if not is_missing(error):
                raise
            try:
                self.client.create_registered_model(name)
            except MlflowException as faster:
                if faster.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise

    @says_when_unreachable
    def _aliased(self, name: str, alias: str) -> ModelVersion | None:
        try:
            return _model_version(self.client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if is_missing(error):
                return None
            raise

    def _aliases(self, name: str) -> Aliases:
        by_alias = self._versions_by_alias(name)
        return Aliases(by_alias.get(CHALLENGER), by_alias.get(CHAMPION), by_alias.get(PREVIOUS))

    def _versions_by_alias(self, name: str) -> dict[str, int]:
        try:
            aliases: Mapping[str, str] = self.client.get_registered_model(name).aliases
        except MlflowException as error:
            if is_missing(error):
                return {}
            raise
        return {alias: int(version) for alias, version in aliases.items()}

    def _search(self, condition: str, name: str) -> tuple[ModelVersion, ...]:
        """The newest first. A search does not say the aliases, so they are asked for beside it."""
        found = list(self._pages(condition))
        by_alias = self._versions_by_alias(name) if found else {}
        return tuple(
            _model_version(item, [alias for alias, version in by_alias.items() if version == int(item.version)])
            for item in found
        )

    def _pages(self, condition: str) -> Iterator[Any]:
        token: str | None = None
        while True:
            page = self.client.search_model_versions(
                condition, max_results=_PAGE, order_by=["version_number DESC"], page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def _apply(self, name: str, moves: Sequence[Move]) -> None:
        for move in moves:
            if move.version is None:
                self.client.delete_registered_model_alias(name, move.alias)
                logger.info("Removed the alias %s of %s", move.alias, name)
            else:
                self.client.set_registered_model_alias(name, move.alias, str(move.version))
                logger.info("%s v%s is %s", name, move.version, move.alias)

    def _tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            # An empty tag says nothing: it is written only to take back what was there.
            if value or version.tags.get(key):
                self.client.set_model_version_tag(version.name, str(version.version), key, value[:LONGEST_TEXT])


def _now() -> datetime:
    return datetime.now(UTC)


def _lineage_tags(lineage: Lineage) -> dict[str, str]:
    optional = {
        "everfresh.parent_version": lineage.parent_version,
        "everfresh.trained_from": lineage.trained_from and tag_time(lineage.trained_from),
        "everfresh.trained_through": lineage.trained_through and tag_time(lineage.trained_through),
    }
    return {
        "everfresh.key": lineage.key,
        "everfresh.spec_hash": lineage.spec_hash,
        "everfresh.data_fingerprint": lineage.data_fingerprint,
        "everfresh.code_revision": lineage.code_revision,
        "everfresh.rows": str(lineage.rows),
        **{key: str(value) for key, value in optional.items() if value is not None},
    }


def _model_version(item: Any, aliases: Sequence[str] | None = None) -> ModelVersion:
    return ModelVersion(
        name=item.name,
        version=int(item.version),
        run_id=item.run_id,
        created_at=datetime.fromtimestamp(item.creation_timestamp / 1000, UTC),
        aliases=tuple(sorted(item.aliases if aliases is None else aliases)),
        tags=dict(item.tags),
    )

"""Versions and aliases in MLflow's registry: registered once, promoted and rolled back with a reason."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from everfresh.errors import NoChallenger, NoChampion, NoPrevious, VersionNotFound
from everfresh.registry.aliases import Aliases, Move, promotion_moves, rollback_moves
from everfresh.registry.connection import MlflowClient, MlflowException, connect, mlflow
from everfresh.registry.lineage import Lineage
from everfresh.registry.versions import CHALLENGER, CHAMPION, PREVIOUS, ModelVersion, tag_time
from everfresh.settings import Settings

logger = logging.getLogger(__name__)

BUNDLE = "bundle"


class Registry:
    """A project's versions. Every write is safe to repeat."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.client: MlflowClient = connect(settings)

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """All versions, the newest first; none where nothing was registered yet."""
        found = self.client.search_model_versions(f"name='{name}'", max_results=1000)
        aliases = self._aliases_by_version(name)
        versions = (_model_version(item, aliases.get(int(item.version), ())) for item in found)
        return tuple(sorted(versions, key=lambda version: -version.version))

    def version(self, name: str, version: int) -> ModelVersion:
        """That version.

        Raises:
            VersionNotFound: the registry does not have it.
        """
        try:
            item = self.client.get_model_version(name, str(version))
        except MlflowException as error:
            raise VersionNotFound(name, version) from error
        return _model_version(item, self._aliases_by_version(name).get(version, ()))

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

    def same_content(self, name: str, lineage: Lineage) -> ModelVersion | None:
        """A version that was made from the same spec, data and code, where there is one."""
        return next((version for version in self.versions(name) if version.key == lineage.key), None)

    def register(
        self, name: str, run_id: str, lineage: Lineage, *, bundle_digest: str, description: str, tags: Mapping[str, str]
    ) -> ModelVersion:
        """A new version from the run's model and bundle; the same run is never registered twice. No alias is set."""
        if not self._is_registered(name):
            self.client.create_registered_model(name)
        existing = next((version for version in self.versions(name) if version.run_id == run_id), None)
        if existing is not None:
            return existing
        item = self.client.create_model_version(
            name,
            source=f"runs:/{run_id}/model",
            run_id=run_id,
            tags={**_lineage_tags(lineage), "everfresh.bundle_digest": bundle_digest, **tags},
            description=description,
        )
        return self.version(name, int(item.version))

    def mark_challenger(self, version: ModelVersion) -> ModelVersion:
        """Let the version wait for its rollout. The alias comes last: what it names is complete."""
        self._apply(version.name, [Move(CHALLENGER, version.version)])
        return self.version(version.name, version.version)

    def dismiss_challenger(self, version: ModelVersion, reason: str) -> None:
        """The version was judged and may not serve: it waits no longer."""
        self._tag(version, {"everfresh.dismissed": reason})
        if self._aliases(version.name).challenger == version.version:
            self._apply(version.name, [Move(CHALLENGER, None)])

    def record_verdict(self, version: ModelVersion, status: str, reason: str) -> ModelVersion:
        """Keep the verdict with the version; only PASS and OVERRIDDEN may serve."""
        self._tag(version, {"everfresh.verdict": status, "everfresh.verdict_reason": reason[:5000]})
        return self.version(version.name, version.version)

    def promote(self, version: ModelVersion, reason: str) -> ModelVersion:
        """Make the version the champion. Call it when the version serves: the alias follows reality."""
        now = self._aliases(version.name)
        moves = promotion_moves(now, version.version)
        if now.champion != version.version:
            replaced = {"everfresh.replaced": str(now.champion)} if now.champion is not None else {}
            self._tag(version, {"everfresh.promoted_at": tag_time(_now()), "everfresh.promoted": reason, **replaced})
        self._apply(version.name, moves)
        return self.version(version.name, version.version)

    def roll_back(self, to: ModelVersion, reason: str) -> ModelVersion:
        """Make `to` the champion again, and note on the one it takes the place of why it was demoted."""
        now = self._aliases(to.name)
        if now.champion is not None and now.champion != to.version:
            demoted = self.version(to.name, now.champion)
            self._tag(demoted, {"everfresh.demoted_at": tag_time(_now()), "everfresh.demoted": reason})
        self._apply(to.name, rollback_moves(now, to.version, to.replaced))
        return self.version(to.name, to.version)

    def download_bundle(self, version: ModelVersion, directory: Path) -> Path:
        """The version's bundle, copied below `directory`."""
        directory.mkdir(parents=True, exist_ok=True)
        source = f"runs:/{version.run_id}/{BUNDLE}"
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=str(directory)))

    def _is_registered(self, name: str) -> bool:
        try:
            self.client.get_registered_model(name)
        except MlflowException:
            return False
        return True

    def _aliased(self, name: str, alias: str) -> ModelVersion | None:
        version = getattr(self._aliases(name), alias)
        return None if version is None else self.version(name, version)

    def _aliases(self, name: str) -> Aliases:
        by_alias = {alias: version for version, names in self._aliases_by_version(name).items() for alias in names}
        return Aliases(by_alias.get(CHALLENGER), by_alias.get(CHAMPION), by_alias.get(PREVIOUS))

    def _aliases_by_version(self, name: str) -> dict[int, tuple[str, ...]]:
        try:
            aliases: Mapping[str, str] = self.client.get_registered_model(name).aliases
        except MlflowException:
            return {}
        by_version: dict[int, tuple[str, ...]] = {}
        for alias, version in sorted(aliases.items()):
            by_version[int(version)] = (*by_version.get(int(version), ()), alias)
        return by_version

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
            self.client.set_model_version_tag(version.name, str(version.version), key, value)


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


def _model_version(item: Any, aliases: tuple[str, ...]) -> ModelVersion:
    return ModelVersion(
        name=item.name,
        version=int(item.version),
        run_id=item.run_id,
        created_at=datetime.fromtimestamp(item.creation_timestamp / 1000, UTC),
        aliases=aliases,
        tags=dict(item.tags),
    )

"""What a bundle says about itself: `bundle.json`.

The manifest names every file with its SHA-256, so whoever opens a bundle knows that the bytes are the
ones that were written. It is read by the inference server: nothing heavy is imported here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any, Literal, get_args

from everfresh.data.columns import Column
from everfresh.spec.metrics import Task

MANIFEST = "bundle.json"
FORMAT = 1

ScoringPath = Literal["onnx", "sklearn"]


@dataclass(frozen=True)
class ModelFacts:
    """What is known about a model before it is packed.

    Attributes:
        name: the project's name; it is the model's name in every request.
        task: classification or regression.
        classes: the labels in the order of the answer's columns; empty for regression.
        columns: the features in the order in which the fitted pipeline reads them.
        label: the y column.
        id_column: where requests carry the id of a row, if the project has such a column.
        time_column: where requests carry the time of a row, if the project has such a column.
        created_at: when the model was packed, in UTC.
        trained_through: the time of the newest training row, in UTC; None without a time column.
        metadata: whatever else ties the model to its origin, as text: spec hash, data fingerprint, code revision.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    columns: tuple[Column, ...]
    label: str
    created_at: datetime
    id_column: str | None = None
    time_column: str | None = None
    trained_through: datetime | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest(ModelFacts):
    """The facts of a model, how it is scored, and the hashes of its files.

    Attributes:
        version: the number that the registry gave it; None before it is registered.
        path: what answers requests: the compiled plan in ONNX Runtime, or the stored scikit-learn pipeline.
        path_reason: the sentence that says why it is that path, with the measured difference.
        files: file name to SHA-256 in hexadecimal digits; every file of the bundle but the manifest itself.
        libraries: the versions of what fitted and compiled the model, by the names of the packages.
    """

    version: int | None = None
    path: ScoringPath = "sklearn"
    path_reason: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The identity of the content: SHA-256 over the manifest (and so over all files) without its version.

        The version is left out because the registry gives it only after the bundle exists: the same bytes keep
        their digest when they are registered, copied or registered again.
        """
        return hashlib.sha256(_canonical(self._content())).hexdigest()

    def with_version(self, version: int) -> Manifest:
        """The same content under a version of the registry; the digest stays."""
        return dataclasses.replace(self, version=version)

    def to_json(self) -> dict[str, Any]:
        """What `bundle.json` holds; the digest is in it, so that a changed manifest is noticed too."""
        return {"format": FORMAT, "version": self.version, "digest": self.digest, **self._content()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Manifest:
        """The manifest that `to_json` wrote.

        Raises:
            ValueError: a key is missing or of the wrong kind, the format is a newer one, or the digest does not fit.
        """
        if not isinstance(content, Mapping):
            raise ValueError("holds no JSON object")
        if content.get("format") != FORMAT:
            raise ValueError(f"has the format {content.get('format')!r}, and this version of everfresh reads {FORMAT}")
        try:
            manifest = cls(
                name=content["name"],
                version=content["version"],
                task=content["task"],
                classes=tuple(content["classes"]),
                columns=tuple(Column.from_json(column) for column in content["columns"]),
                label=content["label"],
                id_column=content["id_column"],
                time_column=content["time_column"],
                created_at=datetime.fromisoformat(content["created_at"]),
                trained_through=_time(content["trained_through"]),
                path=content["path"],
                path_reason=content["path_reason"],
                files=dict(content["files"]),
                libraries=dict(content["libraries"]),
                metadata=dict(content["metadata"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"does not say what a manifest must ({type(error).__name__}: {error})") from error
        if manifest.digest != content.get("digest"):
            raise ValueError("does not fit the digest that it carries")
        _check_values(manifest)
        return manifest

    def _content(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "columns": [column.to_json() for column in self.columns],
            "label": self.label,
            "id_column": self.id_column,
            "time_column": self.time_column,
            "created_at": self.created_at.isoformat(),
            "trained_through": self.trained_through.isoformat() if self.trained_through else None,
            "path": self.path,
            "path_reason": self.path_reason,
            "files": dict(sorted(self.files.items())),
            "libraries": dict(sorted(self.libraries.items())),
            "metadata": dict(sorted(self.metadata.items())),
        }


def manifest_bytes(manifest: Manifest) -> bytes:
    """The text of `bundle.json`: indented, because people read it."""
    return json.dumps(manifest.to_json(), indent=2, ensure_ascii=False).encode() + b"\n"


def _check_values(manifest: Manifest) -> None:
    """What the digest cannot tell: the version is not part of it, and whoever changes a file can write a new digest."""
    version = manifest.version
    if version is not None and (type(version) is not int or version < 1):
        raise ValueError(f"has the version {version!r}, which is none")
    if manifest.task not in get_args(Task) or manifest.path not in get_args(ScoringPath):
        raise ValueError(f"names the task {manifest.task!r} and the path {manifest.path!r}, and one of them is unknown")
    for name in manifest.files:
        # A name with a folder in it would be read, and by a copy written, outside of the bundle.
        if PurePath(name).name != name or name in ("", "..", MANIFEST):
            raise ValueError(f"lists {name!r}, which is no name of a file in a bundle")


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None

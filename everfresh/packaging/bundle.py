"""Writing, opening and copying a bundle: the directory that every target starts from.

    bundle.json     what the model is, and the hash of every other file
    model.skops     the fitted pipeline; the truth, and what answers where no exact plan could be compiled
    model.onnx      the compiled scoring plan (only where it was proven to give the same answers)
    codes.json      which number stands for which category in the compiled plan
    profile.json    the reference profile that monitoring compares production with
    golden.json     up to 64 real rows and their answers

A bundle is written beside its place and renamed into it, so there is never half of one; it is verified
file by file before anything in it is loaded. The inference server imports this module.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfresh.errors import BundleDamaged, BundleExists, BundleMissing
from everfresh.packaging.manifest import MANIFEST, Manifest, ModelFacts, manifest_bytes

if TYPE_CHECKING:
    from pandas import DataFrame
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Bundle:
    """A bundle on disk whose files were verified when it was opened."""

    directory: Path
    manifest: Manifest

    def read(self, file: str) -> bytes:
        """The bytes of one file, verified again: what is loaded is what was hashed, not what lies there by now.

        Raises:
            BundleDamaged: the file is not listed, is gone, or holds other bytes.
        """
        if file not in self.manifest.files:
            raise BundleDamaged(self.directory, file, "is not listed in bundle.json")
        try:
            content = (self.directory / file).read_bytes()
        except OSError as error:
            raise BundleDamaged(self.directory, file, f"cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != self.manifest.files[file]:
            raise BundleDamaged(self.directory, file, "holds other bytes than bundle.json says")
        return content

    @property
    def profile(self) -> dict[str, Any]:
        """The reference profile, as monitoring wrote it."""
        content: dict[str, Any] = json.loads(self.read("profile.json"))
        return content


def write_bundle(
    directory: Path, pipeline: Pipeline, facts: ModelFacts, *, rows: DataFrame, profile: Mapping[str, Any]
) -> Manifest:
    """Pack a fitted pipeline into `directory`, all of it or nothing; whatever bundle was there before is replaced.

    Args:
        directory: where the bundle goes; its parent is made if need be.
        pipeline: the fitted pipeline, ColumnTransformer and estimator, as it reads the model frame.
        facts: what is known about the model.
        rows: real rows of the project's table or of the model frame, newest last; the compiled plan is measured on
            up to 1,000 of them, and up to 64 become the golden rows.
        profile: the reference profile, as JSON.

    Raises:
        NoGoldenRows: `rows` is empty.
        TypesRefused: the pipeline is made of types that may not be loaded again.
    """
    # The only heavy import, at the only function that the inference server never calls.
    from everfresh.packaging.build import build

    built = build(pipeline, facts, rows)
    files = {**built.files, "profile.json": json.dumps(profile).encode()}
    manifest = Manifest(
        **{name: getattr(facts, name) for name in ModelFacts.__dataclass_fields__},
        path=built.path,
        path_reason=built.path_reason,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )
    with _placed(directory) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / MANIFEST).write_bytes(manifest_bytes(manifest))
    return manifest


def open_bundle(directory: Path) -> Bundle:
    """The bundle in `directory`, after every hash in it was checked.

    Raises:
        BundleMissing: there is no bundle.
        BundleDamaged: a file is missing, is one too many, or holds other bytes than were written.
    """
    file = directory / MANIFEST
    if not file.is_file():
        raise BundleMissing(directory)
    try:
        manifest = Manifest.from_json(json.loads(file.read_bytes()))
    except ValueError as error:
        raise BundleDamaged(directory, MANIFEST, str(error)) from error
    bundle = Bundle(directory, manifest)
    for name in manifest.files:
        bundle.read(name)
    for path in directory.iterdir():
        if path.name != MANIFEST and path.name not in manifest.files:
            raise BundleDamaged(directory, path.name, "is not listed in bundle.json")
    return bundle


def copy_bundle(bundle: Bundle, directory: Path, *, version: int) -> Bundle:
    """The same content in `directory` under a version of the registry; doing it twice changes nothing.

    Raises:
        BundleExists: a bundle with other content is already there.
        BundleDamaged: a file of `bundle` changed after it was opened.
    """
    manifest = bundle.manifest.with_version(version)
    if (directory / MANIFEST).exists():
        there = _intact(directory)
        if there is not None and there.manifest == manifest:
            return there
        if there is not None:
            raise BundleExists(directory, there=there.manifest.digest, new=manifest.digest)
    with _placed(directory) as temporary:
        for name in manifest.files:
            (temporary / name).write_bytes(bundle.read(name))
        (temporary / MANIFEST).write_bytes(manifest_bytes(manifest))
    return Bundle(directory, manifest)


def _intact(directory: Path) -> Bundle | None:
    """A damaged bundle counts as none: copying the version again is how it is repaired."""
    try:
        return open_bundle(directory)
    except BundleDamaged:
        return None


@contextmanager
def _placed(directory: Path) -> Iterator[Path]:
    """A temporary directory that takes the place of `directory` when the block ends well, and goes away otherwise."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    mark = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    temporary = directory.with_name(f".{directory.name}.{mark}.new")
    old = directory.with_name(f".{directory.name}.{mark}.old")
    temporary.mkdir()
    try:
        yield temporary
        # A directory cannot be renamed onto a filled one: the old one steps aside first.
        if directory.exists():
            directory.rename(old)
        temporary.rename(directory)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

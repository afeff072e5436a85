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

import errno
import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfresh.errors import BundleDamaged, BundleExists, BundleMissing
from everfresh.packaging.manifest import MANIFEST, Manifest, ModelFacts, manifest_bytes

if TYPE_CHECKING:
    from pandas import DataFrame
    from sklearn.pipeline import Pipeline


_LEFT_BEHIND_AFTER_SECONDS = 3600


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
        NoGoldenRows: there is no row that a server would accept.
        NoAnswer: the pipeline answers a real row with NaN or an infinity.
        ClassesDiffer: the pipeline answers for other classes, or in another order, than `facts` says.
        TypesRefused: the pipeline is made of types that may not be loaded again.
        AnswerDiffers: the stored pipeline does not answer as the fitted one.
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
        libraries=built.libraries,
    )
    with _beside(directory) as temporary:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        (temporary / MANIFEST).write_bytes(manifest_bytes(manifest))
        while not _took_place(temporary, directory):
            _set_aside(directory)
    return manifest


def open_bundle(directory: Path) -> Bundle:
    """The bundle in `directory`, after every hash in it was checked.

    Raises:
        BundleMissing: there is no bundle.
        BundleDamaged: a file is missing, is one too many, or holds other bytes than were written.
    """
    try:
        content = (directory / MANIFEST).read_bytes()
        there = {path.name for path in directory.iterdir()}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleMissing(directory) from error
    try:
        manifest = Manifest.from_json(json.loads(content))
    except ValueError as error:
        raise BundleDamaged(directory, MANIFEST, str(error)) from error
    for name in sorted(there - {MANIFEST, *manifest.files}):
        raise BundleDamaged(directory, name, "is not listed in bundle.json")
    bundle = Bundle(directory, manifest)
    for name in manifest.files:
        bundle.read(name)
    return bundle


def copy_bundle(bundle: Bundle, directory: Path, *, version: int) -> Bundle:
    """The same content in `directory` under a version of the registry; doing it twice changes nothing.

    Raises:
        BundleExists: a bundle with other content is already there.
        BundleDamaged: a file of `bundle` changed after it was opened.
    """
    manifest = bundle.manifest.with_version(version)
    if (there := _same_bundle(directory, manifest)) is not None:
        return there
    with _beside(directory) as temporary:
        for name in manifest.files:
            (temporary / name).write_bytes(bundle.read(name))
        (temporary / MANIFEST).write_bytes(manifest_bytes(manifest))
        while not _took_place(temporary, directory):
            # Something is there: the copy of another process that was faster, or what this one repairs.
            if (there := _same_bundle(directory, manifest)) is not None:
                return there
            _set_aside(directory)
    return Bundle(directory, manifest)


def _same_bundle(directory: Path, manifest: Manifest) -> Bundle | None:
    """The bundle in `directory` if it is this one. A damaged bundle counts as none: copying it again repairs it.

    Raises:
        BundleExists: it is intact and another one.
    """
    try:
        there = open_bundle(directory)
    except (BundleMissing, BundleDamaged):
        return None
    if there.manifest != manifest:
        raise BundleExists(directory, there=there.manifest.digest, new=manifest.digest)
    return there


@contextmanager
def _beside(directory: Path) -> Iterator[Path]:
    """A new directory beside `directory`, on the same disk; it is gone when the block ends, unless it was renamed."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    _sweep(directory)
    temporary = _name_beside(directory)
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _took_place(temporary: Path, directory: Path) -> bool:
    """Rename `temporary` to `directory`, unless something is already there."""
    try:
        temporary.rename(directory)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _set_aside(directory: Path) -> None:
    """A directory cannot be renamed onto a filled one: the old one steps aside first, and is deleted."""
    old = _name_beside(directory)
    with suppress(FileNotFoundError):  # another process was faster
        directory.rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _sweep(directory: Path) -> None:
    """Delete what a process that was killed while it wrote `directory` left beside it."""
    for path in directory.parent.iterdir():
        with suppress(FileNotFoundError):  # another process was faster
            if (
                path.name.startswith(_mark(directory))
                and time.time() - path.stat().st_mtime > _LEFT_BEHIND_AFTER_SECONDS
            ):
                shutil.rmtree(path, ignore_errors=True)


def _name_beside(directory: Path) -> Path:
    return directory.with_name(f"{_mark(directory)}{uuid.uuid4().hex}")


def _mark(directory: Path) -> str:
    return f".{directory.name}.unfinished-"

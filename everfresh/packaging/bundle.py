"""Opening and copying a bundle: the directory that every target starts from.

    bundle.json     what the model is, and the hash of every other file
    model.skops     the fitted pipeline; the truth, and what answers where no exact plan could be compiled
    model.onnx      the compiled scoring plan (only where it was proven to give the same answers)
    codes.json      which number stands for which category in the compiled plan
    arrays.json     what was measured when the fitted pipeline answered without frames (only where it is served so)
    profile.json    the reference profile that monitoring compares production with
    golden.json     up to 64 real rows and their answers

A bundle is written beside its place and renamed into it, so there is never half of one; it is verified
file by file before anything in it is loaded. The inference server imports this module.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from everfresh.errors import BundleDamaged, BundleExists, BundleMissing
from everfresh.packaging.manifest import MANIFEST, Manifest, manifest_bytes
from everfresh.packaging.placing import beside, set_aside, took_place


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
    with beside(directory) as temporary:
        for name in manifest.files:
            (temporary / name).write_bytes(bundle.read(name))
        (temporary / MANIFEST).write_bytes(manifest_bytes(manifest))
        while not took_place(temporary, directory):
            # Something is there: the copy of another process that was faster, or what this one repairs.
            if (there := _same_bundle(directory, manifest)) is not None:
                return there
            set_aside(directory)
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

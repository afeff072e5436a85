from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from everfresh.errors import BundleDamaged, BundleExists, BundleMissing
from everfresh.packaging.bundle import Bundle, copy_bundle, open_bundle
from everfresh.packaging.manifest import Manifest, manifest_bytes
from everfresh.packaging.writing import write_bundle

FILES = {"bundle.json", "codes.json", "golden.json", "model.onnx", "model.skops", "profile.json"}


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def another(bundle: Bundle, directory: Path) -> Bundle:
    """An intact bundle with other content."""
    shutil.copytree(bundle.directory, directory)
    manifest = replace(bundle.manifest, metadata={"spec_hash": "another"})
    (directory / "bundle.json").write_bytes(manifest_bytes(manifest))
    return open_bundle(directory)


def test_a_bundle_is_its_files_and_nothing_is_left_beside_it(bundle):
    assert names(bundle.directory) == FILES
    assert bundle.manifest.files.keys() == FILES - {"bundle.json"}
    assert names(bundle.directory.parent) == {"bundle"}


def test_what_was_written_is_what_is_opened(linear, facts_of, table, tmp_path):
    manifest = write_bundle(tmp_path / "new" / "bundle", linear, facts_of(linear), rows=table, profile={"rows": 300})
    opened = open_bundle(tmp_path / "new" / "bundle")
    assert opened.manifest == manifest
    assert opened.manifest.columns == facts_of(linear).columns
    assert opened.profile == {"rows": 300}


def test_writing_again_replaces_the_bundle(bundle, linear, facts_of, table):
    facts = replace(facts_of(linear), metadata={"spec_hash": "second"})
    write_bundle(bundle.directory, linear, facts, rows=table, profile={})
    assert open_bundle(bundle.directory).manifest.metadata == {"spec_hash": "second"}
    assert names(bundle.directory.parent) == {"bundle"}


def test_a_write_that_fails_leaves_the_old_bundle_and_no_litter(bundle, linear, facts_of, table, monkeypatch):
    def full_disk(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_bundle(bundle.directory, linear, facts_of(linear), rows=table, profile={})
    assert open_bundle(bundle.directory).manifest == bundle.manifest
    assert names(bundle.directory.parent) == {"bundle"}


def test_what_a_killed_copy_left_behind_goes_with_a_later_one(bundle, tmp_path):
    target = tmp_path / "models" / "1"
    script = """
import os, sys
from pathlib import Path
from everfresh.packaging.bundle import copy_bundle, open_bundle
bundle = open_bundle(Path(sys.argv[1]))
real = Path.write_bytes
Path.write_bytes = lambda path, content: os.kill(os.getpid(), 9) if path.name == "model.skops" else real(path, content)
copy_bundle(bundle, Path(sys.argv[2]), version=1)
"""
    killed = subprocess.run([sys.executable, "-c", script, bundle.directory, target], timeout=60, check=False)
    assert killed.returncode == -9
    assert not target.exists()
    (litter,) = target.parent.iterdir()

    copy_bundle(bundle, target, version=1)
    assert names(target.parent) == {"1", litter.name}, "it may belong to a process that is still at work"

    long_ago = time.time() - 4000
    os.utime(litter, (long_ago, long_ago))
    shutil.rmtree(target)
    copy_bundle(bundle, target, version=1)
    assert names(target.parent) == {"1"}


@pytest.mark.parametrize("file", sorted(FILES - {"bundle.json"}))
def test_a_damaged_file_is_named(bundle, file):
    flip_a_bit(bundle.directory / file)
    with pytest.raises(BundleDamaged, match=f"{file} holds other bytes than bundle.json says") as error:
        open_bundle(bundle.directory)
    assert error.value.file == file


def test_a_file_that_is_gone_is_named(bundle):
    (bundle.directory / "codes.json").unlink()
    with pytest.raises(BundleDamaged, match=r"codes\.json cannot be read \(No such file or directory\)"):
        open_bundle(bundle.directory)


@pytest.mark.parametrize("extra", ["notes.txt", ".hidden", "model.skops.bak"])
def test_a_file_that_is_one_too_many_is_named(bundle, extra):
    (bundle.directory / extra).touch()
    with pytest.raises(BundleDamaged, match=f"{extra} is not listed in bundle.json"):
        open_bundle(bundle.directory)


def test_a_folder_that_is_one_too_many_is_named(bundle):
    (bundle.directory / "__pycache__").mkdir()
    with pytest.raises(BundleDamaged, match="__pycache__ is not listed"):
        open_bundle(bundle.directory)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"label": "delayed"', '"label": "cancelled"', "does not fit the digest"),
        ('"path": "onnx"', '"path": "sklearn"', "does not fit the digest"),
        ('"format": 1', '"format": 2', "has the format 2"),
        ("{", "", "Extra data"),
    ],
)
def test_a_changed_manifest_is_noticed(bundle, old, new, why):
    file = bundle.directory / "bundle.json"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(BundleDamaged, match=f"bundle.json .*{why}"):
        open_bundle(bundle.directory)


def test_a_manifest_that_is_no_text_is_noticed(bundle):
    (bundle.directory / "bundle.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BundleDamaged, match=r"bundle\.json"):
        open_bundle(bundle.directory)


def test_a_manifest_cannot_list_a_file_elsewhere(bundle, tmp_path):
    (tmp_path / "secret").write_bytes(b"")
    document = json.loads((bundle.directory / "bundle.json").read_text())
    document["files"]["../secret"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    forged = replace(bundle.manifest, files=document["files"])
    (bundle.directory / "bundle.json").write_bytes(manifest_bytes(forged))
    with pytest.raises(BundleDamaged, match=r"lists '\.\./secret'"):
        open_bundle(bundle.directory)


def test_there_is_no_bundle_where_there_is_no_manifest(tmp_path):
    (tmp_path / "file").touch()
    for directory in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(BundleMissing, match=r"holds no bundle\.json"):
            open_bundle(directory)


def test_a_file_that_changes_after_the_bundle_was_opened_is_not_read(bundle):
    flip_a_bit(bundle.directory / "model.onnx")
    with pytest.raises(BundleDamaged, match=r"model\.onnx holds other bytes"):
        bundle.read("model.onnx")


def test_a_file_that_the_manifest_does_not_list_is_not_read(bundle):
    with pytest.raises(BundleDamaged, match=r"bundle\.json is not listed"):
        bundle.read("bundle.json")


def test_a_copy_has_the_version_and_the_same_digest(bundle, tmp_path):
    copy = copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    assert open_bundle(copy.directory).manifest == copy.manifest
    assert (copy.manifest.version, copy.manifest.digest) == (3, bundle.manifest.digest)
    assert names(copy.directory) == FILES


def test_copying_twice_changes_nothing(bundle, tmp_path):
    first = copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    before = (first.directory.stat().st_ino, (first.directory / "bundle.json").stat().st_mtime_ns)
    second = copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    assert second == first
    assert (second.directory.stat().st_ino, (second.directory / "bundle.json").stat().st_mtime_ns) == before
    assert names(tmp_path / "models") == {"3"}


def test_copying_over_a_damaged_copy_repairs_it(bundle, tmp_path):
    copy = copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    flip_a_bit(copy.directory / "model.skops")
    repaired = copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    assert open_bundle(repaired.directory).manifest == copy.manifest
    assert names(tmp_path / "models") == {"3"}


def test_a_version_is_never_overwritten_with_other_content(bundle, tmp_path):
    copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    with pytest.raises(BundleExists, match="A version never changes"):
        copy_bundle(another(bundle, tmp_path / "other"), tmp_path / "models" / "3", version=3)
    assert open_bundle(tmp_path / "models" / "3").manifest == bundle.manifest.with_version(3)


def test_a_bundle_that_was_damaged_meanwhile_is_not_copied(bundle, tmp_path):
    flip_a_bit(bundle.directory / "profile.json")
    with pytest.raises(BundleDamaged, match=r"profile\.json"):
        copy_bundle(bundle, tmp_path / "models" / "3", version=3)
    assert names(tmp_path / "models") == set()


COPY_MANY = """
import sys, time
from pathlib import Path
from everfresh.errors import BundleExists
from everfresh.packaging.bundle import copy_bundle, open_bundle
source, root, me, other = open_bundle(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
me.touch()
deadline = time.monotonic() + 30
while not other.exists():
    assert time.monotonic() < deadline
exists = 0
for version in range(1, 101):
    try:
        copy_bundle(source, root / str(version), version=version)
    except BundleExists:
        exists += 1
print(exists)
"""


def copy_at_once(first: Path, second: Path, root: Path, marks: Path) -> tuple[int, int]:
    """Two processes copy a bundle each to the same hundred versions; how often each found another one there."""
    marks.mkdir()
    a, b = marks / "a", marks / "b"
    root.mkdir(exist_ok=True)
    processes = [
        subprocess.Popen([sys.executable, "-c", COPY_MANY, source, root, me, other], stdout=subprocess.PIPE)
        for source, me, other in ((first, a, b), (second, b, a))
    ]
    try:
        found = [int(process.communicate(timeout=60)[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0]
    return found[0], found[1]


def test_two_processes_that_copy_at_once_end_with_one_intact_bundle(bundle, tmp_path):
    root = tmp_path / "models"
    for version in range(1, 51):  # the first half is there already, and damaged
        flip_a_bit(copy_bundle(bundle, root / str(version), version=version).directory / "model.skops")
    assert copy_at_once(bundle.directory, bundle.directory, root, tmp_path / "marks") == (0, 0)
    assert names(root) == {str(version) for version in range(1, 101)}
    for version in range(1, 101):
        assert open_bundle(root / str(version)).manifest == bundle.manifest.with_version(version)


def test_of_two_contents_copied_at_once_one_wins_and_the_other_is_told(bundle, tmp_path):
    other = another(bundle, tmp_path / "other")
    root = tmp_path / "models"
    lost = copy_at_once(bundle.directory, other.directory, root, tmp_path / "marks")
    digests = [open_bundle(root / str(version)).manifest.digest for version in range(1, 101)]
    assert lost == (digests.count(other.manifest.digest), digests.count(bundle.manifest.digest))
    assert sum(lost) == 100
    assert names(root) == {str(version) for version in range(1, 101)}


def test_two_that_write_at_once_end_with_one_intact_bundle(linear, facts_of, table, tmp_path):
    written: list[Manifest] = []

    def write(who: str) -> None:
        for _ in range(5):
            facts = replace(facts_of(linear), metadata={"who": who})
            written.append(write_bundle(tmp_path / "bundle", linear, facts, rows=table.head(20), profile={}))

    threads = [threading.Thread(target=write, args=(who,)) for who in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(written) == 10
    assert open_bundle(tmp_path / "bundle").manifest in written
    assert names(tmp_path) == {"bundle"}


def test_the_inference_server_imports_neither_pandas_nor_scikit_learn_to_serve_a_compiled_bundle(bundle):
    script = """
import sys
from pathlib import Path
from everfresh.packaging.bundle import open_bundle
from everfresh.packaging.golden import read_golden
from everfresh.packaging.scorer import open_scorer
bundle = open_bundle(Path(sys.argv[1]))
golden = read_golden(bundle)
assert golden.difference(open_scorer(bundle).score(golden.batch)) < 1e-9
print(*sorted({"pandas", "sklearn", "skops", "scipy", "onnx", "mlflow"} & sys.modules.keys()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, bundle.directory], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == ""

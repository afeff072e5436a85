"""Importing what a spec names. An import runs code, so only allowed paths and the spec's own folder are taken."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from everfresh.errors import EverfreshError, ImportFailed, ImportRefused


def import_object(path: str, *, directory: Path | None, allowed: Sequence[str]) -> Any:
    """What `package.module.name`, `module:name` or a module `name` beside the spec stands for.

    Args:
        path: the import path.
        directory: a folder whose modules may be imported; None for no folder.
        allowed: prefixes of import paths, each ending at a dot, as in `sklearn.`.

    Raises:
        ImportRefused: it is neither in the folder nor on the list.
        ImportFailed: it leads nowhere, or its module fails when it is imported.
    """
    module_path, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    file = _file_beside(directory, module_path)
    if file is None and not any(f"{module_path}.".startswith(prefix) for prefix in allowed):
        raise ImportRefused(path, [*allowed, *([f"{directory}/"] if directory else [])])
    try:
        module = importlib.import_module(module_path) if file is None else _load(file, module_path)
    except EverfreshError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        raise ImportFailed(path, f"{type(error).__name__}: {error}") from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise ImportFailed(path, f"{module_path} has no {name!r}") from error


def _file_beside(directory: Path | None, module_path: str) -> Path | None:
    if directory is None or not module_path:
        return None
    stem = directory.joinpath(*module_path.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def _load(file: Path, module_path: str) -> ModuleType:
    """The module in `file`, loaded once; under a name of its own, so that two projects may each have a `table.py`."""
    mark = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    name = f"_project_{mark}_{module_path.replace('.', '_')}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _importable(file.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let a module import its neighbours while it is loaded."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))

"""Importing what a spec names. An import runs code, so only allowed paths and the spec's own folder are taken."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from everfresh.errors import EverfreshError, ImportFailed, ImportRefused

_PREFIX = "_project_"

# A module is in sys.modules before all of it has run: another thread would find half of it there.
_loading = threading.RLock()
_neighbours: dict[Path, dict[str, ModuleType]] = {}


def import_object(path: str, *, directory: Path | None, allowed: Sequence[str]) -> Any:
    """What `package.module.name` or `module:name` stands for, in an installed package or in the spec's folder.

    Args:
        path: the import path.
        directory: a folder whose modules may be imported; None for no folder.
        allowed: prefixes of import paths, each ending at a dot, as in `sklearn.`.

    Raises:
        ImportRefused: it is neither in the folder nor on the list.
        ImportFailed: it leads nowhere, or its module fails when it is imported.
    """
    module_path, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    if not module_path or not name:
        raise ImportFailed(path, "it names no object in a module; write module:name")
    file = _file_beside(directory, module_path)
    if file is None and not any(f"{module_path}.".startswith(prefix) for prefix in allowed):
        raise ImportRefused(path, [*allowed, *([f"{directory}/"] if directory else [])])
    try:
        module = importlib.import_module(module_path) if file is None else _load(file, module_path, directory)
    except EverfreshError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        raise ImportFailed(path, f"{type(error).__name__}: {error}") from error
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise ImportFailed(path, f"{module_path} has no {name!r}") from error


@contextmanager
def importable(folder: Path) -> Iterator[None]:
    """Let modules of `folder` import each other, at their top or inside a function that is called meanwhile.

    Modules of the same name from another project's folder are out of sight for as long. One thread at a time.
    """
    folder = folder.resolve()
    with _loading:
        ours = _neighbours.setdefault(folder, {})
        hidden = {
            name: sys.modules.pop(name)
            for modules in _neighbours.values()
            for name, module in modules.items()
            if sys.modules.get(name) is module
        }
        sys.modules.update(ours)
        before = set(sys.modules)
        sys.path.insert(0, str(folder))
        try:
            yield
        finally:
            sys.path.remove(str(folder))
            new = [name for name in sys.modules if name not in before and _is_neighbour(folder, name)]
            # A package that was there before belongs to everybody, and so does what it has imported since.
            ours.update({name: sys.modules[name] for name in new if _top(name) in ours or _top(name) not in before})
            sys.modules.update(hidden)


def _is_neighbour(folder: Path, name: str) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    lies_in_it = file is not None and Path(file).resolve().is_relative_to(folder)
    # An environment may lie in the folder, too: what it holds is not found by its name there.
    return lies_in_it and _file_beside(folder, _top(name)) is not None


def _top(name: str) -> str:
    return name.partition(".")[0]


def _file_beside(directory: Path | None, module_path: str) -> Path | None:
    if directory is None:
        return None
    stem = directory.joinpath(*module_path.split("."))
    return next((file for file in (stem.with_suffix(".py"), stem / "__init__.py") if file.is_file()), None)


def _load(file: Path, module_path: str, directory: Path | None) -> ModuleType:
    """The module in `file`, loaded once; under a name of its own, so that two projects may each have a `table.py`."""
    mark = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:8]
    name = f"{_PREFIX}{mark}_{module_path.replace('.', '_')}"
    with importable(directory or file.parent):
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError(f"{file} is not a Python module")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module

"""Which files a path or pattern means, on this machine or in S3 and Azure, and how their bytes are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from gzip import BadGzipFile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfresh.data.remote import file_system, is_remote
from everfresh.errors import EverfreshError, SourceNotFound, SourceUnreachable, SourceUnreadable

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_BUFFER_BYTES = 8 << 20


@dataclass(frozen=True)
class Files:
    """Files of one file system, in the order of their paths; `fixed` is the folder that their pattern begins with."""

    system: FileSystem
    paths: tuple[str, ...]
    fixed: str


def find_files(path: str, *, folders: Sequence[Path], environment: Mapping[str, str]) -> Files:
    """The files that `path` means; in a pattern, `*` stays within a folder and `**` does not.

    Args:
        path: a path, a pattern, or an address in S3 or Azure.
        folders: where a relative path is looked for; the first folder that has such a file counts.
        environment: how S3 and Azure are reached.

    Raises:
        SourceNotFound: there is no such file.
        SourceUnreadable: it is a folder.
        SourceUnreachable: the place does not answer.
    """
    return _find_remote(path, environment) if is_remote(path) else _find_local(path, folders)


@contextmanager
def opened(files: Files, path: str) -> Iterator[Any]:
    """The bytes of a file, in large pieces: each piece of a remote file is a request. A zip file is read at random."""
    if path.endswith(".zip"):
        with files.system.open_input_file(path) as content:
            yield content
    else:
        with files.system.open_input_stream(path, compression=None, buffer_size=_BUFFER_BYTES) as content:
            yield content


@contextmanager
def unreadable(what: str) -> Iterator[None]:
    """Readers raise errors of many kinds; each of them means that `what` is not what it should be, or out of reach.

    Raises:
        SourceUnreachable: the system could not get at it.
        SourceUnreadable: anything else was raised inside.
    """
    try:
        yield
    except EverfreshError:
        raise
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise SourceUnreadable(
            what, f"it is not UTF-8, for it holds the byte 0x{byte:02x}; save it as UTF-8"
        ) from error
    except OSError as error:
        kind = SourceUnreadable if isinstance(error, BadGzipFile) else SourceUnreachable
        raise kind(what, f"{type(error).__name__}: {error}".rstrip(". \n")) from error
    except Exception as error:
        raise SourceUnreadable(what, f"{type(error).__name__}: {error}".rstrip(". \n")) from error


def fits(path: str, pattern: str) -> bool:
    """Whether a pattern means this path.

    >>> fits("lake/2013/07/a.csv", "lake/*/*.csv"), fits("lake/2013/07/a.csv", "lake/**/*.csv")
    (False, True)
    """
    return _parts_fit(path.split("/"), pattern.split("/"))


def _parts_fit(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _parts_fit(parts, pattern[1:]) or (bool(parts) and _parts_fit(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _parts_fit(parts[1:], pattern[1:])


def _find_local(path: str, folders: Sequence[Path]) -> Files:
    from pyarrow.fs import LocalFileSystem

    wanted = Path(path).expanduser()
    places = [Path(wanted.anchor)] if wanted.is_absolute() else list(dict.fromkeys(f.resolve() for f in folders))
    pattern = str(wanted.relative_to(wanted.anchor))
    for place in places:
        if (place / pattern).is_dir():
            raise _is_a_folder(path)
        if found := [place / pattern] if (place / pattern).is_file() else _listed(place, pattern):
            return Files(LocalFileSystem(), tuple(map(str, found)), str(place / _fixed(pattern)))
    raise SourceNotFound(path, [str(wanted.parent)] if wanted.is_absolute() else [str(place) for place in places])


def _listed(place: Path, pattern: str) -> list[Path]:
    return sorted(file for file in place.glob(pattern) if file.is_file() and not _is_hidden(file.name))


def _find_remote(url: str, environment: Mapping[str, str]) -> Files:
    with unreadable(url):
        system, pattern = file_system(url, environment)
        fixed = _fixed(pattern)
        paths = _one(system, url, pattern) if fixed == pattern else _matching(system, fixed, pattern)
    if not paths:
        raise SourceNotFound(url, [f"{url.partition('://')[0]}://{fixed}"])
    return Files(system, tuple(paths), fixed)


def _one(system: FileSystem, url: str, path: str) -> list[str]:
    from pyarrow.fs import FileType

    kind = system.get_file_info(path).type
    if kind == FileType.Directory:
        raise _is_a_folder(url)
    return [path] if kind == FileType.File else []


def _matching(system: FileSystem, fixed: str, pattern: str) -> list[str]:
    from pyarrow.fs import FileSelector, FileType

    deep = "/" in pattern.removeprefix(f"{fixed}/")
    listed = system.get_file_info(FileSelector(fixed, recursive=deep, allow_not_found=True))
    files = [info for info in listed if info.type == FileType.File and not _is_hidden(info.base_name)]
    return sorted(info.path for info in files if fits(info.path, pattern))


def _fixed(pattern: str) -> str:
    """The folders before the first wildcard, or all of it where there is none."""
    parts = pattern.split("/")
    wild = next((index for index, part in enumerate(parts) if any(mark in part for mark in "*?[")), len(parts))
    return "/".join(parts[:wild])


def _is_hidden(name: str) -> bool:
    """Files that lie beside a table and are none: `_SUCCESS`, `.part-0.crc`, `._flights.csv`."""
    return name.startswith((".", "_"))


def _is_a_folder(path: str) -> SourceUnreadable:
    return SourceUnreadable(path, f"it is a folder; name its files with a pattern, as in {path.rstrip('/')}/*")

"""The part of the log that lies in S3 or Azure: files that a server has shipped from its own disk.

    <EVERFRESH_INFERENCE_LOG>/<model>/log/date=2013-01-05/hour=07/<file>.parquet, and so for shadow/ and labels/

A file lies there under the name that it had here. An upload that broke off may leave a part of it: only a file that has
as many bytes as its name says is one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfresh.data.inference_log.names import FileFacts, facts_in
from everfresh.data.remote import file_system, is_remote
from everfresh.errors import InvalidSetting

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

VARIABLE = "EVERFRESH_INFERENCE_LOG"


@dataclass(frozen=True)
class RemoteFile:
    """A whole file of a remote log, and what its name says."""

    log: RemoteLog
    path: str
    facts: FileFacts

    @property
    def name(self) -> str:
        """Its name, which is the one it had on the machine that wrote it."""
        return self.path.rpartition("/")[2]

    def content(self) -> Any:
        """Its bytes, in one request.

        Raises:
            FileNotFoundError: it is not there any more.
            OSError: the place does not answer.
        """
        with self.log.system.open_input_stream(self.path, compression=None, buffer_size=None) as content:
            return content.read_buffer()


@dataclass(frozen=True)
class RemoteLog:
    """Where shipped files lie.

    Attributes:
        url: the address, for messages.
        system: the file system behind it.
        prefix: the path in it, below which each model has a folder.
    """

    url: str
    system: FileSystem
    prefix: str

    def files(self, name: str, kind: str, hour: str = "") -> list[RemoteFile]:
        """The whole files of a log, or of one of its folders.

        Raises:
            OSError: the place does not answer.
        """
        from pyarrow.fs import FileSelector, FileType

        folder = "/".join(filter(None, (self.prefix, name, kind, hour)))
        listed = self.system.get_file_info(FileSelector(folder, recursive=True, allow_not_found=True))
        found = []
        for info in listed:
            facts = facts_in(info.base_name) if info.type == FileType.File else None
            if facts is not None and facts.size == info.size:
                found.append(RemoteFile(self, info.path, facts))
        return sorted(found, key=lambda file: file.name)

    def ship(self, file: Path, name: str, kind: str, hour: str) -> None:
        """Copy a file there, unless it is there already; when this returns, it is there as a whole.

        Raises:
            OSError: it is not; try again.
        """
        target = "/".join(filter(None, (self.prefix, name, kind, hour, file.name)))
        size = file.stat().st_size
        if self._size(target) == size:
            return
        content = file.read_bytes()
        # Not as a context manager: that would make a whole file of what was written when something failed.
        stream = self.system.open_output_stream(target, compression=None)
        stream.write(content)
        stream.close()
        if (there := self._size(target)) != size:
            raise OSError(f"{there} of {size} bytes of {file.name} arrived")

    def remove_before(self, name: str, kind: str, day: date) -> int:
        """Delete the files of every day before `day`; how many days that were.

        Raises:
            OSError: the place does not answer, or does not allow it.
        """
        from pyarrow.fs import FileSelector, FileType

        folder = "/".join((self.prefix, name, kind))
        listed = self.system.get_file_info(FileSelector(folder, recursive=False, allow_not_found=True))
        old = [
            info.path
            for info in listed
            if info.type == FileType.Directory and (of := _day(info.base_name)) is not None and of < day
        ]
        for path in old:
            self.system.delete_dir(path)
        return len(old)

    def _size(self, path: str) -> int | None:
        info = self.system.get_file_info(path)
        return info.size if info.is_file else None


def remote_log(environment: Mapping[str, str] = os.environ) -> RemoteLog | None:
    """Where this process's environment has the log shipped; None where it stays on this machine.

    Raises:
        InvalidSetting: the variable is no address of S3 or Azure.
        SourceUnreadable: the environment lacks what such an address needs.
    """
    url = (environment.get(VARIABLE) or "").rstrip("/")
    if not url:
        return None
    if not is_remote(url):
        raise InvalidSetting(VARIABLE, url, "an address, as in s3://bucket/prefix or abfss://container@account/prefix")
    system, prefix = file_system(url, environment)
    return RemoteLog(url, system, prefix.rstrip("/"))


def _day(folder: str) -> date | None:
    try:
        return datetime.strptime(folder, "date=%Y-%m-%d").date()
    except ValueError:
        return None

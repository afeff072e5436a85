"""The rows of a query, from a database that is only read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import pandas as pd

from everfresh.data.plain_types import plain_types
from everfresh.errors import EverfreshError, MissingExtra, SourceNotConfigured, SourceUnreachable, SourceUnreadable
from everfresh.spec.data import SqlSource

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection

_READ_ONLY = {"mysql": "SET SESSION TRANSACTION READ ONLY", "mariadb": "SET SESSION TRANSACTION READ ONLY"}
_PASSWORD = re.compile(r"://[^:/@]*:(.+)@")
_SECRET_PARAMETER = re.compile(r"[?&;][^=&;]*(?:pass|pwd|secret|token|key|odbc_connect)[^=&;]*=([^&]+)", re.IGNORECASE)


def read_query(source: SqlSource, environment: Mapping[str, str]) -> pd.DataFrame:
    """What the query returns.

    SQLite, PostgreSQL, MySQL and MariaDB are told to refuse what writes; on other databases it is rolled back. The
    URL's password is in no error, and neither is the driver's own error, which might show it.

    Raises:
        SourceNotConfigured: the environment does not hold the URL.
        SourceUnreachable: the database does not answer, or breaks off.
        SourceUnreadable: there is no such database, or it refuses the query, or the query returns nothing.
        MissingExtra: the driver for PostgreSQL is not installed.
    """
    text = environment.get(source.url_from)
    if not text:
        raise SourceNotConfigured(source.url_from)
    try:
        return plain_types(_rows(text, source.query))
    except Exception as error:
        refusal = _refusal(error, source.url_from, text)
    raise refusal


def _rows(url: str, query: str) -> pd.DataFrame:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    engine = create_engine(_never_created(make_url(url)), poolclass=NullPool)
    with engine.connect() as connection:
        # Without parameters, or some drivers take a % in the query for the place of one.
        plain = _read_only(connection).execution_options(no_parameters=True)
        return pd.read_sql_query(query, plain, dtype_backend="numpy_nullable")


def _never_created(url: URL) -> URL:
    """SQLite would make an empty database of a path that is mistyped, and writes into any that it may write to."""
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    if not is_file or str(url.database).startswith("file:"):
        return url
    return url.set(database=f"file:{quote(str(url.database))}", query={**url.query, "mode": "ro", "uri": "true"})


def _read_only(connection: Connection) -> Connection:
    backend = connection.dialect.name
    if backend == "postgresql":
        return connection.execution_options(postgresql_readonly=True)
    if backend in _READ_ONLY:
        connection.exec_driver_sql(_READ_ONLY[backend])
    return connection


def _refusal(error: Exception, variable: str, url: str) -> EverfreshError:
    if isinstance(error, ModuleNotFoundError) and url.startswith("postgres"):
        return MissingExtra("A PostgreSQL source", extra="postgres")
    why = f"{type(_root(error)).__name__}: {_root(error)}".split("\n(Background on this error")[0]
    for secret in sorted(_secrets(url), key=len, reverse=True):
        why = why.replace(secret, "***")
    kind = SourceUnreachable if _is_out_of_reach(error) else SourceUnreadable
    return kind(f"the query over {variable}", " ".join(why.split()).rstrip("."))


def _is_out_of_reach(error: Exception) -> bool:
    """Whether it was not the query that failed: no connection came about, or one was lost."""
    from sqlalchemy.exc import DBAPIError

    found = error if isinstance(error, DBAPIError) else error.__cause__
    return isinstance(found, DBAPIError) and (found.connection_invalidated or found.statement is None)


def _root(error: BaseException) -> BaseException:
    """The database's own words, without those of pandas and SQLAlchemy around them."""
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, DBAPIError):
        return error.orig or error
    return _root(error.__cause__) if isinstance(error.__cause__, DBAPIError) else error


def _secrets(url: str) -> Iterator[str]:
    yield url
    for found in (*_PASSWORD.findall(url), *_SECRET_PARAMETER.findall(url)):
        yield from (found, unquote(found), quote(unquote(found), safe=""))

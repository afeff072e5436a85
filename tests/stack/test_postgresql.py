"""With two variables, all state moves to PostgreSQL."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import httpx
import pytest
import sqlalchemy

from everfresh import process
from everfresh.stack.embedded import start_stack, stop_stack
from everfresh.stack.services import MLFLOW, PREFECT

pytestmark = pytest.mark.slow

PASSWORD = "s3cret-of-the-database"
FOLDERS = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")


def programs():
    """The folder of PostgreSQL's programs, or None."""
    if found := shutil.which("initdb"):
        return Path(found).parent
    there = [each for folder in FOLDERS for each in Path("/").glob(f"{folder[1:]}/initdb")]
    return max(there).parent if there else None


def owner():
    """Whom PostgreSQL runs as: it refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")


@pytest.fixture
def postgresql(free_port):
    """The address of a PostgreSQL server with two empty databases."""
    folder, user, port = programs(), owner(), free_port()
    if folder is None:
        pytest.skip("there is no initdb: PostgreSQL is not installed")
    # Not pytest's folder, which only its owner may enter.
    home = Path(tempfile.mkdtemp(prefix="everfresh-postgresql-"))
    if user is not None:
        os.chown(home, user.pw_uid, user.pw_gid)
    (home / "password").write_text(PASSWORD)
    (home / "password").chmod(0o644)

    def run(program, *arguments):
        ids = {"user": user.pw_uid, "group": user.pw_gid} if user is not None else {}
        subprocess.run(
            [folder / program, *arguments], check=True, cwd=home, stdout=subprocess.DEVNULL, timeout=120, **ids
        )

    data, log = str(home / "data"), str(home / "log")
    listening = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
    try:
        password = ("-A", "scram-sha-256", "--pwfile", str(home / "password"))
        run("initdb", "-D", data, "-U", "everfresh", *password, "--no-sync")
        run("pg_ctl", "-D", data, "-l", log, "-w", "-o", listening, "start")
        address = f"everfresh:{PASSWORD}@127.0.0.1:{port}"
        engine = sqlalchemy.create_engine(f"postgresql://{address}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("create database prefect"))
            connection.execute(sqlalchemy.text("create database mlflow"))
        engine.dispose()
        yield address
    finally:
        if (home / "data" / "postmaster.pid").exists():
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(home)


def test_both_servers_keep_everything_in_postgresql_and_nobody_can_read_the_password(
    postgresql, tmp_path, monkeypatch, settings_for
):
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"postgresql+asyncpg://{postgresql}/prefect")
    mlflow = f"postgresql://{postgresql}/mlflow"
    settings = settings_for(tmp_path, MLFLOW_TRACKING_URI=mlflow)
    try:
        start_stack(settings, None)
        flow = httpx.post(f"{settings.prefect_url}/flows/", json={"name": "kept"}, timeout=60)
        experiment = httpx.post(
            f"{settings.mlflow_url}/api/2.0/mlflow/experiments/create", json={"name": "kept"}, timeout=60
        )
        commands = [" ".join(process.find(name, settings.home).cmdline()) for name in (PREFECT, MLFLOW)]
    finally:
        stop_stack(settings)

    assert (experiment.status_code, flow.status_code) == (200, 201)
    assert rows(mlflow, "select name from experiments order by 1") == ["Default", "kept"]
    assert rows(f"postgresql://{postgresql}/prefect", "select name from flow") == ["kept"]
    assert sorted(file.name for file in tmp_path.rglob("*.db")) == []
    written = [
        file for file in settings.home.rglob("*") if file.is_file() and PASSWORD in file.read_text(errors="replace")
    ]
    assert written == []
    assert not [command for command in commands if PASSWORD in command]


def rows(address, query):
    engine = sqlalchemy.create_engine(address)
    with engine.connect() as connection:
        found = [row[0] for row in connection.execute(sqlalchemy.text(query))]
    engine.dispose()
    return found

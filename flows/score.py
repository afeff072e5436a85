"""Score: a table in, a file of answers out."""

from __future__ import annotations

from prefect import flow

from everfresh.loop.scoring import Scored
from everfresh.loop.workspace import open_workspace
from tasks import scoring


@flow(flow_run_name="score-{project}")
def score(project: str, table: str | None = None, output: str | None = None) -> Scored:
    """Score a table with the champion.

    Args:
        project: the name of a spec in projects/, or its path.
        table: a CSV or Parquet file, or a glob of them; the project's own source if left out.
        output: the Parquet file to write; reports/<project>/scores-v<version>.parquet if left out.
    """
    workspace = open_workspace(project)
    return scoring.score_table(workspace, table, output)

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from everfresh.errors import EmptyTable, MissingColumn, NotNumbers, SourceNotFound
from everfresh.loop import scoring
from everfresh.loop.scoring import Scored, score_table
from everfresh.loop.workspace import Workspace
from everfresh.packaging.golden import largest_difference
from everfresh.testing.projects import day, open_in_memory, train, write_project

Make = Callable[..., Workspace]


def scored(workspace: Workspace, table: str | None = None, output: Path | None = None) -> Scored:
    return score_table(workspace, workspace.registry.load_champion("rides"), table, output)


def test_every_row_of_the_projects_table_gets_an_answer(workspace: Workspace, table: pd.DataFrame) -> None:
    result = scored(workspace)
    answers = pd.read_parquet(result.file)

    assert result == Scored(workspace.settings.root / "reports" / "rides" / "scores-v1.parquet", len(table), 1)
    assert list(answers.columns) == ["ride", "p.no", "p.yes", "label", "version"]
    assert answers["ride"].tolist() == table["ride"].tolist()
    assert np.allclose(answers["p.no"] + answers["p.yes"], 1)
    assert ((answers["p.yes"] > 0.5) == (answers["label"] == "yes")).all()
    assert (answers["label"] == table["late"]).mean() > 0.8
    assert set(answers["version"]) == {1}


def test_the_answers_are_those_that_the_target_gives(workspace: Workspace, table: pd.DataFrame) -> None:
    features = table[["distance", "stops", "weekend", "carrier"]].head(50).astype(object)
    columns = features.where(features.notna(), None).to_dict(orient="list")
    asked = workspace.targets[0].predict("rides", columns).answer
    answers = pd.read_parquet(scored(workspace).file)[["p.no", "p.yes"]].to_numpy()[:50]

    assert largest_difference(asked, answers) <= 1e-9


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_table_of_any_length_is_scored_piece_by_piece(
    workspace: Workspace, tmp_path: Path, table: pd.DataFrame, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.head(20).to_parquet(tmp_path / "new.parquet")
    whole = pd.read_parquet(scored(workspace, str(tmp_path / "new.parquet"), tmp_path / "whole.parquet").file)
    monkeypatch.setattr(scoring, "CHUNK_ROWS", chunk)
    pieces = pd.read_parquet(scored(workspace, str(tmp_path / "new.parquet"), tmp_path / "pieces.parquet").file)

    pd.testing.assert_frame_equal(pieces, whole, rtol=1e-9)


def test_a_regression_gives_values_and_more_classes_a_column_each(make: Make) -> None:
    for label, columns in (("minutes", ["value"]), ("how", ["p.early", "p.late", "p.on time", "label"])):
        workspace = make(label=label)
        version, _ = train(workspace, day(30))
        answers = pd.read_parquet(score_table(workspace, version).file)
        assert list(answers.columns) == ["ride", *columns, "version"]


def test_a_code_stays_a_code_where_a_file_makes_it_look_like_a_number(
    make: Make, table: pd.DataFrame, tmp_path: Path
) -> None:
    codes = table.assign(carrier=table["carrier"].map({"AA": "007", "B6": "7", "UA": "x"}))
    workspace = make(codes)
    version, _ = train(workspace, day(30))
    for code in ("007", "7"):
        codes[codes["carrier"] == code].head(5).to_csv(tmp_path / f"{code}.csv", index=False)
    whole = pd.read_parquet(score_table(workspace, version).file).set_index("ride")

    for code in ("007", "7"):
        part = pd.read_parquet(score_table(workspace, version, str(tmp_path / f"{code}.csv")).file).set_index("ride")
        assert np.allclose(part["p.yes"], whole.loc[part.index, "p.yes"])


def test_a_label_is_not_needed(workspace: Workspace, table: pd.DataFrame, tmp_path: Path) -> None:
    table[["distance", "stops", "weekend", "carrier"]].head(3).to_csv(tmp_path / "new.csv", index=False)
    answers = pd.read_parquet(scored(workspace, str(tmp_path / "new.csv")).file)

    assert list(answers.columns) == ["p.no", "p.yes", "label", "version"]
    assert len(answers) == 3


def test_a_relative_path_counts_from_the_checkout(workspace: Workspace, table: pd.DataFrame) -> None:
    (workspace.settings.root / "new").mkdir()
    table.head(3).to_csv(workspace.settings.root / "new" / "today.csv", index=False)

    assert scored(workspace, "new/*.csv").rows == 3


def test_a_table_that_is_not_there_is_said_and_nothing_is_written(workspace: Workspace) -> None:
    with pytest.raises(SourceNotFound, match=r"No table at 'nowhere\.csv'"):
        scored(workspace, "nowhere.csv")
    assert not (workspace.settings.root / "reports").exists()


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ("distance,stops,weekend\n1,2,True\n", MissingColumn, "no column 'carrier', which is a feature of the model"),
        ("distance,stops,weekend,carrier\nfar,2,True,AA\n", NotNumbers, "'distance' must hold numbers"),
        ("distance,stops,weekend,carrier\n", EmptyTable, "has no rows"),
        ("", EmptyTable, "has no rows"),
    ],
)
def test_a_table_that_cannot_be_scored_leaves_the_answers_of_before(
    workspace: Workspace, tmp_path: Path, text: str, error: type[Exception], sentence: str
) -> None:
    before = scored(workspace).file
    content = before.read_bytes()
    (tmp_path / "bad.csv").write_text(text)

    with pytest.raises(error, match=sentence):
        scored(workspace, str(tmp_path / "bad.csv"))
    assert before.read_bytes() == content
    assert [path.name for path in before.parent.iterdir()] == ["scores-v1.parquet"]


ODD_IDS = """
import pandas as pd
def load():
    rides = {"distance": [1.0, 2.0], "stops": [0, 1], "weekend": [0, 1], "carrier": ["AA", "B6"]}
    return pd.DataFrame({"ride": [1, "two"], "at": "2013-01-01T00:00:00Z", "late": "yes", **rides})
"""


def test_ids_of_mixed_kinds_are_written_as_text(workspace: Workspace, table: pd.DataFrame) -> None:
    directory = workspace.project.directory
    (directory / "odd_rides.py").write_text(ODD_IDS)
    file = write_project(directory, table, data={"source": {"kind": "python", "path": "odd_rides:load"}})
    odd = open_in_memory(file, workspace.settings, *workspace.targets)

    assert pd.read_parquet(scored(odd).file)["ride"].tolist() == ["1", "two"]

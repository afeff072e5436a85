import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from everfresh.data.imports import import_object, importable
from everfresh.errors import ImportFailed, ImportRefused, NoLabels

ALLOWED = ("sklearn.", "json.")


def from_folder(folder: Path, path: str) -> Any:
    return import_object(path, directory=folder, allowed=ALLOWED)


def module(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize("path", ["json.dumps", "json:dumps", "json.decoder:JSONDecoder", "json.decoder.JSONDecoder"])
def test_an_allowed_path_is_imported_with_a_dot_or_a_colon(path: str) -> None:
    assert import_object(path, directory=None, allowed=ALLOWED).__name__ == path.replace(":", ".").rpartition(".")[2]


@pytest.mark.parametrize("path", ["os.system", "os:system", "jsonevil.dumps", "sklearnish.linear_model.Ridge"])
def test_any_other_path_is_refused_and_the_error_says_how_to_allow_it(path: str) -> None:
    with pytest.raises(ImportRefused, match="EVERFRESH_ALLOWED_IMPORTS"):
        import_object(path, directory=None, allowed=ALLOWED)


def test_a_refused_module_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module(tmp_path, "planted.py", f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ImportRefused):
        import_object("planted:anything", directory=None, allowed=ALLOWED)

    assert not (tmp_path / "ran").exists()


def test_a_module_beside_the_spec_needs_no_permission(tmp_path: Path) -> None:
    module(tmp_path, "flights.py", "def load(): return 'flights'")

    assert from_folder(tmp_path, "flights:load")() == "flights"
    assert from_folder(tmp_path, "flights.load")() == "flights"


def test_a_path_cannot_leave_the_folder(tmp_path: Path) -> None:
    module(tmp_path, "outside.py", "def load(): return 'outside'")
    (tmp_path / "projects").mkdir()

    for path in ("..outside:load", "../outside:load"):
        with pytest.raises((ImportRefused, ImportFailed)):
            from_folder(tmp_path / "projects", path)


def test_a_package_beside_the_spec_is_a_module_too(tmp_path: Path) -> None:
    module(tmp_path, "tables/__init__.py", "def load(): return 'package'")
    module(tmp_path, "tables/flights.py", "def load(): return 'module'")

    assert from_folder(tmp_path, "tables:load")() == "package"
    assert from_folder(tmp_path, "tables.flights:load")() == "module"


def test_a_module_is_run_once(tmp_path: Path) -> None:
    module(tmp_path, "counted.py", "import sys\nsys.everfresh_runs = getattr(sys, 'everfresh_runs', 0) + 1\nx = 1")

    from_folder(tmp_path, "counted:x")
    from_folder(tmp_path, "counted:x")

    assert vars(sys).pop("everfresh_runs") == 1


def test_a_module_may_import_its_neighbours(tmp_path: Path) -> None:
    module(tmp_path, "neighbour.py", "NAME = 'next door'")
    module(tmp_path, "home.py", "from neighbour import NAME\ndef load(): return NAME")

    assert from_folder(tmp_path, "home:load")() == "next door"
    assert str(tmp_path) not in sys.path


def test_two_projects_may_have_modules_of_the_same_names(tmp_path: Path) -> None:
    for project in ("a", "b"):
        module(tmp_path / project, "common_parts.py", f"NAME = {project!r}")
        module(tmp_path / project, "table.py", "import common_parts\ndef load(): return common_parts.NAME")

    loads = [from_folder(tmp_path / project, "table:load") for project in ("a", "b")]

    assert [load() for load in loads] == ["a", "b"]


def test_a_function_finds_its_own_neighbours_when_it_is_called(tmp_path: Path) -> None:
    for project in ("a", "b"):
        module(tmp_path / project, "late_parts.py", f"NAME = {project!r}")
        module(tmp_path / project, "late.py", "def load():\n    import late_parts\n    return late_parts.NAME")
    loads = {project: from_folder(tmp_path / project, "late:load") for project in ("a", "b")}

    def called(project: str) -> object:
        with importable(tmp_path / project):
            return loads[project]()

    assert [called(project) for project in ("a", "b", "a", "b")] == ["a", "b", "a", "b"]


def test_a_module_that_another_thread_is_loading_is_waited_for(tmp_path: Path) -> None:
    module(tmp_path, "slow.py", "import time\ntime.sleep(0.3)\ndef load(): return 'whole'")
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(from_folder(tmp_path, "slow:load")())) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert found == ["whole"] * 3


def test_a_module_that_fails_says_why_and_is_tried_again(tmp_path: Path) -> None:
    module(tmp_path, "broken.py", "raise RuntimeError('the lake is dry')")
    with pytest.raises(ImportFailed, match="RuntimeError: the lake is dry"):
        from_folder(tmp_path, "broken:load")

    module(tmp_path, "broken.py", "def load(): return 'mended after all'")

    assert from_folder(tmp_path, "broken:load")() == "mended after all"


def test_a_syntax_error_says_where(tmp_path: Path) -> None:
    module(tmp_path, "typo.py", "def load(:")

    with pytest.raises(ImportFailed, match=r"SyntaxError.*typo\.py, line 1"):
        from_folder(tmp_path, "typo:load")


def test_an_error_of_our_own_comes_through_as_it_is(tmp_path: Path) -> None:
    module(tmp_path, "ours.py", "from everfresh.errors import NoLabels\nraise NoLabels('delayed', 3)")

    with pytest.raises(NoLabels):
        from_folder(tmp_path, "ours:load")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("json.nothing_there", "json has no 'nothing_there'"),
        ("json.nowhere:x", "No module named 'json.nowhere'"),
        ("json", "write module:name"),
        ("json:", "write module:name"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(path: str, why: str) -> None:
    with pytest.raises(ImportFailed, match=why):
        import_object(path, directory=None, allowed=ALLOWED)

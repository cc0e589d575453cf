"""Where recipes are found: by name, in modules and in files; how two places are kept apart; what cannot be loaded."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from harness import recipes
from harness.errors import SpecError, StudyError
from harness.recipes import address as places
from harness.recipes.address import Address


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """What a test imports is forgotten after it."""
    path, modules, folders = list(sys.path), set(sys.modules), set(places._FOLDERS)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith("/tmp"):
            del sys.modules[name]
    places._FOLDERS.clear()
    places._FOLDERS.update(folders)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


ONE = """
from harness import recipe

@recipe(objective="loss")
def fit(run, lr=0.1):
    return {"loss": lr}
"""


def test_a_recipe_is_found_in_a_file_with_and_without_its_name(tmp_path: Path) -> None:
    write(tmp_path / "train.py", ONE)
    assert Address.of("./train.py:fit", tmp_path).load().name == "fit"
    assert Address.of("train.py", tmp_path).load().name == "fit"
    assert Address.of(str(tmp_path / "train.py") + ":fit", "/").load().name == "fit"


def test_a_recipe_is_found_in_a_module_from_the_specs_folder_and_from_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "here" / "alpha_recipe.py", ONE)
    write(tmp_path / "specs" / "beta_package" / "inner.py", ONE)
    monkeypatch.chdir(tmp_path / "here")
    assert Address.of("alpha_recipe:fit", tmp_path / "specs").load().name == "fit"
    assert Address.of("beta_package.inner:fit", tmp_path / "specs").load().name == "fit"


def test_files_of_one_name_in_two_folders_are_two_recipes_with_neighbours_of_their_own(tmp_path: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        write(tmp_path / folder / "neighbour.py", f"VALUE = {value}")
        write(tmp_path / folder / "train.py", "from neighbour import VALUE\n" + ONE.replace("0.1", "VALUE"))
    found = [Address.of("./train.py", tmp_path / folder).load() for folder in ("a", "b", "a")]
    assert [each.settings().model_dump() for each in found] == [{"lr": 1}, {"lr": 2}, {"lr": 1}]


@pytest.mark.slow
def test_files_that_are_equal_in_two_folders_do_not_share_a_module(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(tmp_path / folder / "train.py", "STATE = []\n" + ONE)
    first, second = (Address.of("./train.py", tmp_path / folder)._module("./train.py") for folder in ("a", "b"))
    assert first.__name__ != second.__name__
    assert first.STATE is not second.STATE


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path / "train.py", ONE)
    address = Address.of("./train.py", tmp_path)
    before = address.digest()
    assert address.load().settings().model_dump() == {"lr": 0.1}
    write(tmp_path / "train.py", ONE.replace("0.1", "0.2"))
    assert address.load().settings().model_dump() == {"lr": 0.2}
    assert address.digest() != before


def test_a_changed_neighbour_changes_the_digest_and_what_is_not_imported_does_not(tmp_path: Path) -> None:
    write(tmp_path / "train.py", "import nets.small\n" + ONE)
    write(tmp_path / "nets" / "__init__.py", "import deep")
    write(tmp_path / "nets" / "small.py", "")
    write(tmp_path / "deep.py", "")
    write(tmp_path / "other.py", "")
    address = Address.of("./train.py", tmp_path)
    digests = [address.digest()]
    for name in ("deep.py", "nets/__init__.py", "other.py"):
        write(tmp_path / name, (tmp_path / name).read_text() + "\nX = 1\n")
        digests.append(address.digest())
    assert digests[0] != digests[1] != digests[2]
    assert digests[2] == digests[3]


def test_whatever_is_imported_from_a_package_is_part_of_its_recipes_source(tmp_path: Path) -> None:
    package = tmp_path / "gamma_package"
    write(package / "__init__.py", "")
    write(package / "train.py", "from . import nets\nfrom gamma_package.data.rows import ROWS\n" + ONE)
    for name in ("nets.py", "data/__init__.py", "data/rows.py", "unused.py"):
        write(package / name, "from ..nets import A\nROWS = 1\n" if name == "data/rows.py" else "A = 1\n")
    for address in (
        Address.of("gamma_package.train:fit", tmp_path),
        Address.of({"command": ["python", "-m", "gamma_package.train"]}, tmp_path),
        Address.of({"command": ["python", "-m", "gamma_package.train"], "cwd": ".."}, tmp_path / "deep"),
    ):
        (tmp_path / "deep").mkdir(exist_ok=True)
        found = [file.resolve().relative_to(package).as_posix() for file in address.sources()]
        assert sorted(found) == ["__init__.py", "data/__init__.py", "data/rows.py", "nets.py", "train.py"]
        before = address.digest()
        write(package / "data" / "rows.py", (package / "data" / "rows.py").read_text() + "# more\n")
        assert address.digest() != before != ""


def test_a_package_that_is_run_as_a_command_is_its_main_module_too(tmp_path: Path) -> None:
    write(tmp_path / "tool" / "__init__.py", "")
    write(tmp_path / "tool" / "__main__.py", "from tool import inner")
    write(tmp_path / "tool" / "inner.py", "")
    sources = Address.of({"command": ["python", "-m", "tool", "--lr"]}, tmp_path).sources()
    assert [file.name for file in sources] == ["__init__.py", "__main__.py", "inner.py"]


@pytest.mark.parametrize("command", [["python", "-c", "print(1)"], ["python", "-m", "json.tool"], ["true"]])
def test_a_command_that_names_no_file_of_its_own_has_no_digest(tmp_path: Path, command: list[str]) -> None:
    assert Address.of({"command": command}, tmp_path).digest() == ""


@pytest.mark.parametrize("place", ["./delta_train.py:fit", "delta_train:fit"])
def test_what_runs_after_a_neighbour_changed_is_the_new_one_with_its_own_digest(tmp_path: Path, place: str) -> None:
    write(tmp_path / "delta_inner.py", "VALUE = 1")
    write(tmp_path / "delta_nets" / "__init__.py", "")
    write(tmp_path / "delta_nets" / "small.py", "from delta_inner import VALUE as SMALL")
    text = "import delta_nets.small\n" + ONE.replace("0.1", "delta_nets.small.SMALL")
    write(tmp_path / "delta_train.py", text)
    address = Address.of(place, tmp_path)
    digests = []
    for value in (1, 2, 1):
        write(tmp_path / "delta_inner.py", f"VALUE = {value}")  # of the same second and length
        assert address.load().settings().model_dump() == {"lr": value}
        assert address.load().settings is address.load().settings
        assert address.loaded_digest() == address.digest()
        digests.append(address.digest())
    assert digests[0] == digests[2] != digests[1]
    write(tmp_path / "delta_inner.py", "VALUE = 3")
    assert address.loaded_digest() == digests[0] != address.digest()


def test_two_recipes_that_share_a_neighbour_both_get_the_new_one(tmp_path: Path) -> None:
    write(tmp_path / "epsilon_inner.py", "VALUE = 1")
    for name in ("one.py", "two.py"):
        write(tmp_path / name, "from epsilon_inner import VALUE\n" + ONE.replace("0.1", "VALUE"))
    assert Address.of("./one.py", tmp_path).load().settings().model_dump() == {"lr": 1}
    write(tmp_path / "epsilon_inner.py", "VALUE = 20")
    for name in ("./two.py", "./one.py"):
        assert Address.of(name, tmp_path).load().settings().model_dump() == {"lr": 20}


def test_an_installed_recipe_has_no_digest() -> None:
    assert Address.of("dcgan").digest() == ""
    assert Address.of("dcgan").sources() == []


def test_two_recipes_in_a_file_are_asked_for_by_name(tmp_path: Path) -> None:
    write(tmp_path / "train.py", ONE + ONE.replace("fit", "walk").partition("recipe\n")[2])
    assert Address.of("./train.py:walk", tmp_path).load().name == "walk"
    with pytest.raises(SpecError) as caught:
        Address.of("./train.py", tmp_path).load()
    assert "say which of its recipes, like ./file.py:name; allowed: fit, walk" in str(caught.value)


CLASS = """
from harness import Measure
from harness.settings import Settings

class Line(Settings):
    slope: float = 1.0

class Fit:
    name = "line"
    objective = Measure(name="loss", title="loss")
    settings = Line

    def __init__(self{arguments}):
        self.made = True

    def train(self, settings, run):
        return {{"loss": settings.slope}}
{after}
"""


@pytest.mark.parametrize(
    ("place", "arguments", "after"),
    [("Fit", "", ""), ("made", "", "made = Fit()"), ("made", ", needed", "made = Fit(3)")],
    ids=["a class", "an instance", "an instance whose class needs arguments"],
)
def test_a_class_or_an_instance_without_the_optional_members_is_a_whole_recipe(
    tmp_path: Path, place: str, arguments: str, after: str
) -> None:
    write(tmp_path / "train.py", CLASS.format(arguments=arguments, after=after))
    found = Address.of(f"./train.py:{place}", tmp_path).load()
    assert isinstance(found, recipes.Recipe)
    assert (found.unit, found.version, found.measures(None), found.notes(None, None)) == ("steps", 1, (), [])  # type: ignore[arg-type]
    assert found.made  # type: ignore[attr-defined]
    assert found.train(found.settings(), None) == {"loss": 1.0}  # type: ignore[arg-type]
    assert found.check([], None) is None  # type: ignore[func-returns-value]
    with pytest.raises(StudyError, match="recipe 'line' draws no images"):
        found.sample(tmp_path, count=1, seed=0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CLASS.format(arguments="", after="").replace('name = "line"', "name = 'l'\n    settings = 3").replace(
            "    settings = Line\n", ""), "recipe Fit: settings is 3; must be a class of harness.settings"),
        (CLASS.format(arguments="", after="").replace('Measure(name="loss", title="loss")', '"loss"'),
         "recipe Fit: objective is 'loss'; must be a harness.Measure"),
        (CLASS.format(arguments="", after="").replace("    settings = Line\n", ""), "recipe Fit lacks settings; see"),
        (CLASS.format(arguments=", x", after=""), "recipe Fit cannot be made without arguments"),
        ("def fit(run): return {}", "fit is no recipe; put @recipe(objective=...) above the function"),
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all' (train.py, line 1)"),
        ("\n\n1 / 0", "ZeroDivisionError: division by zero (train.py, line 3)"),
        ("def fit(:\n", "cannot be imported: SyntaxError: invalid syntax (train.py, line 1); mend that"),
        ("import sys; sys.exit('usage: train.py')", "SystemExit: usage: train.py (train.py, line 1)"),
        ("x = 1", "there is no 'Fit'; it has no recipe at all"),
        (ONE.replace("fit", "Fitt"), "there is no 'Fit'; allowed: Fitt; did you mean 'Fitt'?"),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_file_that_holds_no_sound_recipe_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path / "train.py", text)
    with pytest.raises(SpecError) as caught:
        Address.of(f"./train.py:{'fit' if 'def fit' in text else 'Fit'}", tmp_path).load()
    assert said in str(caught.value)


def test_a_file_that_is_not_there_names_those_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "train.py", ONE)
    with pytest.raises(SpecError) as caught:
        Address.of("./tran.py:fit", tmp_path).load()
    assert f"there is no file {tmp_path / 'tran.py'}; beside it are ./train.py" in str(caught.value)
    with pytest.raises(SpecError, match="recipe 'trian' is not installed"):
        Address.of("trian", tmp_path).load()
    with pytest.raises(SpecError, match="No module named 'nowhere'; mend that, or give"):
        Address.of("nowhere:fit", tmp_path).load()


@pytest.mark.parametrize("fault", [ImportError("no such thing"), SystemExit(2)])
def test_an_installed_recipe_that_cannot_be_imported_says_where_it_is(
    monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    class Entry:
        name, value = "theirs", "package.module:name"

        def load(self) -> Any:
            raise fault

    monkeypatch.setattr(recipes, "entry_points", lambda group: [Entry()])
    with pytest.raises(SpecError) as caught:
        Address.of("theirs").load()
    assert f"recipe 'theirs' (package.module:name) cannot be imported: {type(fault).__name__}" in str(caught.value)


def test_an_entry_point_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "gamma_recipe.py", CLASS.format(arguments="", after=""))
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint("theirs", "gamma_recipe:Fit", "harness.recipes")
    monkeypatch.setattr(recipes, "entry_points", lambda group: [entry])
    assert Address.of("theirs").load().objective.name == "loss"
    assert recipes.names() == ["dcgan", "theirs"]


def test_what_a_module_prints_when_it_is_imported_is_no_part_of_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loud.py").write_text(
        "from harness import Run, recipe\n\nprint('hello')\n\n"
        "@recipe(objective='error')\ndef f(run: Run):\n    return {'error': 1.0}\n"
    )
    Address("./loud.py:f", str(tmp_path)).load()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hello\n")


@pytest.mark.parametrize("text", ["{{", "{", "{a: 1}", "{lr}", '{"a":' * 100_000])
def test_text_that_begins_like_a_command_and_is_none_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"is no recipe; give a name, a place like \./train\.py:name, or a command"):
        Address.of(text).load()

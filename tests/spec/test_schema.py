"""The JSON schema of a spec: the shipped file is the code's, and it judges documents as the loader does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from harness.errors import SpecError
from harness.recipes.dcgan.recipe import Dcgan
from harness.spec import documents, from_document, load
from harness.spec.load import KEYS
from harness.spec.schema import SCHEMA, place, texts

ROOT = Path(__file__).resolve().parents[2]
ABLATIONS = sorted((ROOT / "ablations").glob("*.yaml"))
SHIPPED = json.loads(SCHEMA.read_text(encoding="utf-8"))


def _beside(uri: str) -> Resource[Any]:
    """The file that the shipped schema names, seen from it, as an editor finds it."""
    return Resource.from_contents(json.loads((SCHEMA.parent / uri).read_text(encoding="utf-8")))


JUDGE: Any = Draft7Validator(SHIPPED, registry=Registry(retrieve=_beside))
DCGAN = json.loads(place(Dcgan()).read_text(encoding="utf-8"))
DEFINITIONS = {**SHIPPED["$defs"], **DCGAN["$defs"]}

GOOD: dict[str, Any] = {
    "study": "small",
    "recipe": "dcgan",
    "data": {"size": 32},
    "train": {"batch": 16, "averaging": "ema"},
    "factors": {"crop": {"baseline": "resize", "levels": ["square"]}, "depth": {"baseline": False, "levels": [True]}},
    "design": {"kind": "one-at-a-time"},
    "seeds": 2,
    "budget": {"images": 640},
}

TOY = """
from harness import Run, recipe

@recipe(objective="loss")
def toy(run: Run, lr: float = 0.1, averaging: str = "none") -> dict[str, float]:
    return {"loss": lr}
"""


def mended(**sections: Any) -> dict[str, Any]:
    """A good document with other sections; `None` in a section's place takes it away."""
    return {key: value for key, value in {**GOOD, **sections}.items() if value is not None}


def refused_by_schema(document: Any) -> list[str]:
    return [f"{list(error.path)}: {error.message}" for error in JUDGE.iter_errors(document)]


def refused_by_loader(document: dict[str, Any], folder: Path) -> str:
    (folder / "toy.py").write_text(TOY)
    try:
        from_document(document, origin=str(folder / "spec.yaml"))
    except SpecError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("path", "content"), texts().items(), ids=lambda value: getattr(value, "parent", Path()).name)
def test_the_shipped_files_are_what_the_code_makes(path: Path, content: str) -> None:
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(content), "write: python -m harness.spec.schema"


def test_they_are_schemas_and_know_every_key_of_a_spec() -> None:
    assert set(SHIPPED["properties"]) == {*KEYS, "extends"}
    for each in (SHIPPED, DCGAN):
        Draft7Validator.check_schema(each)
        references = re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(each))
        assert set(references) == set(each["$defs"])


def test_the_schema_of_the_core_knows_no_recipes_words() -> None:
    assert not re.search(r"mifid|dogs?\b", SCHEMA.read_text(encoding="utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("path", [*ABLATIONS, *(ROOT / "examples").rglob("*.yaml")], ids=lambda path: path.name)
def test_every_spec_of_ours_is_good(path: Path) -> None:
    raw = documents.plain(documents._parse(path.read_bytes(), str(path), numbered=True))
    assert not refused_by_schema(raw)


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.name)
def test_every_study_of_ours_names_the_schema_in_its_first_line(path: Path) -> None:
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text().splitlines()[0])
    assert found is not None
    assert (path.parent / found[1]).resolve() == SCHEMA


def test_every_setting_has_its_meaning_its_default_and_what_is_allowed() -> None:
    width = DEFINITIONS["DcganSettings"]["properties"]["width"]
    assert width["description"].startswith("Base channels")
    assert (width["default"], width["minimum"], width["maximum"]) == (48, 1, 512)
    assert "separate" in DEFINITIONS["DcganSettings"]["properties"]["split_bn"]["enum"]


ACCEPTED = {
    "as it is": GOOD,
    "sections whose lines are all commented out": mended() | {"evaluate": None, "objective": None, "design": None},
    "seeds by name": mended(seeds=[3, 4, 7]),
    "a name in letters of another tongue": mended(study="größe.1"),
    "seconds": mended(budget={"seconds": 2.5}),
    "the other unit set to null": mended(budget={"seconds": 60, "images": None}),
    "keys of one's own": mended() | {"x-wide": {"width": 64}},
    "an objective": mended(objective={"metric": "kid"}),
    "a new objective": mended(objective={"metric": "mine", "direction": "maximize"}),
    "levels named by sets": mended(
        factors={
            "width": {
                "baseline": "base",
                "levels": ["wide"],
                "sets": {"base": None, "wide": {"width": 64, "generator_width": 32}},
            }
        }
    ),
    "several settings at one level": mended(
        factors={"width": {"baseline": 8, "levels": [16], "sets": ["width", "generator_width"]}}
    ),
    "a worth as a share": mended(worth="2.5 %"),
    "a worth as an amount": mended(worth={"mifid": 10}),
    "a nested factor": mended(
        train={},
        factors={
            "averaging": {"baseline": "none", "levels": ["ema"]},
            "ema_beta": {"baseline": 0.999, "levels": [0.9], "when": {"averaging": ["ema"]}},
        },
    ),
    "factors that require and exclude": mended(
        factors={
            "crop": {"baseline": "resize", "levels": ["square"], "requires": {"depth": [True]}},
            "depth": {"baseline": False, "levels": [True], "exclude": {"crop": ["left", "square"][1:]}},
        }
    ),
    "a union": mended(
        design={"kind": "union", "of": ["one-at-a-time", {"kind": "ladder", "order": ["crop", "depth"]}]}
    ),
    "a search": mended(design={"kind": "search", "trials": 4, "sampler": None, "prune": True}),
    "reference sets of both kinds": mended(
        evaluate={"references": ["square", {"name": "held-out", "crop": "square", "split": "held-out"}]}
    ),
    "a recipe by its place": mended(
        recipe="./toy.py:toy",
        data=None,
        budget=None,
        train={"averaging": "mine"},
        factors={"lr": {"baseline": 0.1, "levels": [1]}},
    ),
}


@pytest.mark.parametrize("document", ACCEPTED.values(), ids=ACCEPTED)
def test_what_the_loader_takes_the_schema_takes(document: dict[str, Any], tmp_path: Path) -> None:
    assert refused_by_loader(document, tmp_path) == ""
    assert refused_by_schema(document) == []


REFUSED = {
    "a worth without a unit": mended(worth=5),
    "a worth that is a word": mended(worth="much"),
    "a worth below 0": mended(worth={"mifid": -1}),
    "an unknown key": mended() | {"trian": {}},
    "an unknown setting": mended(train={"widht": 8}),
    "a number that is too small": mended(train={"batch": -3}),
    "text for a number": mended(train={"batch": "many"}),
    "true for a number": mended(train={"batch": True}),
    "a name that no registry has": mended(train={"averaging": "mean"}),
    "a size that is not made": mended(data={"size": 48}),
    "an unknown setting of the evaluation": mended(evaluate={"extractor": "inception"}),
    "no extractor": mended(evaluate={"extractors": []}),
    "a reference set without a name": mended(evaluate={"references": [{"crop": "square"}]}),
    "no study": mended(study=None),
    "no recipe": mended(recipe=None),
    "no factors": mended(factors=None),
    "no seeds": mended(seeds=None),
    "no budget": mended(budget=None),
    "two budgets": mended(budget={"images": 640, "seconds": 60}),
    "a budget in no unit": mended(budget={}),
    "a budget in another unit": mended(budget={"epochs": 3}),
    "a study with spaces": mended(study="my study"),
    "a study with a long name": mended(study="a" * 101),
    "no seed": mended(seeds=0),
    "an empty list of seeds": mended(seeds=[]),
    "a seed twice": mended(seeds=[1, 1]),
    "a seed below 0": mended(seeds=[-1]),
    "seeds in words": mended(seeds="three"),
    "a factor without a baseline": mended(factors={"crop": {"levels": ["square"]}}),
    "a factor without levels": mended(factors={"crop": {"baseline": "resize"}}),
    "a factor with an unknown key": mended(factors={"crop": {"baseline": "resize", "levels": ["square"], "on": "all"}}),
    "a level that is a mapping": mended(factors={"crop": {"baseline": "resize", "levels": [{"crop": "square"}]}}),
    "a factor that is a list": mended(factors={"crop": ["resize", "square"]}),
    "factors that are a list": mended(factors=["crop"]),
    "an unknown design": mended(design={"kind": "latin"}),
    "an unknown design in a union": mended(design={"kind": "union", "of": ["latin"]}),
    "an unknown key of a design": mended(design={"kinds": "ladder"}),
    "a resolution that no fraction has": mended(design={"kind": "fractional-factorial", "resolution": 7}),
    "an objective without a name": mended(objective={"direction": "minimize"}),
    "an objective in no direction": mended(objective={"metric": "kid", "direction": "up"}),
    "a command without its objective": mended(
        recipe={"command": ["true"]}, data=None, train=None, budget=None, factors={"a": {"baseline": 1, "levels": [2]}}
    ),
    "a command of no words": mended(recipe={"command": []}, objective={"metric": "loss", "direction": "minimize"}),
    "a recipe that is a number": mended(recipe=7),
    "an extended file that is a list": mended() | {"extends": ["a.yaml"]},
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_what_the_schema_refuses_the_loader_refuses(document: dict[str, Any], tmp_path: Path) -> None:
    assert refused_by_schema(document) != []
    assert refused_by_loader(document, tmp_path) != ""


def test_a_file_that_extends_another_says_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(GOOD))
    over = {
        "extends": "base.yaml",
        "study": "other",
        "data": None,
        "factors": {"crop": {"levels": ["left"]}, "depth": None},
        "budget": {"images": None, "seconds": 5},
    }
    (tmp_path / "over.yaml").write_text(yaml.safe_dump(over))
    assert set(load(tmp_path / "over.yaml").factors) == {"crop"}
    assert refused_by_schema(over) == []
    for wrong in (
        {"trian": 1},
        {"seeds": 0},
        {"factors": {"crop": {"level": []}}},
        {"recipe": "dcgan", "train": {"x": 1}},
    ):
        (tmp_path / "over.yaml").write_text(yaml.safe_dump({**over, **wrong}))
        assert refused_by_schema({**over, **wrong}) != []
        with pytest.raises(SpecError):
            load(tmp_path / "over.yaml")


# pydantic reads "16", "yes", 0 and 1 as what they look like; an editor may well object to them.
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 2, 3, 16, 32, 64, 100, 10**9]),
    st.sampled_from([-0.5, 0.25, 0.5, 2.5]),
    st.sampled_from(["crop", "square", "ema", "train", "words of a sort", "folder", "one-at-a-time", "kid", "a/b"]),
)
_VALUES = st.one_of(_SCALARS, st.lists(_SCALARS, max_size=2), st.dictionaries(st.sampled_from(["crop", "a"]), _SCALARS))
_MODELS = {
    "train": "DcganSettings",
    "data": "DataSettings",
    "evaluate": "EvaluateSettings",
    "budget": "DcganBudget",
    "design": "DesignSettings",
    "objective": "Objective",
}
_PLACES: list[tuple[str, ...]] = [
    *((section, name) for section, model in _MODELS.items() for name in DEFINITIONS[model]["properties"]),
    *(("factors", "crop", name) for name in DEFINITIONS["Factor"]["properties"]),
    *((key,) for key in (*KEYS, "x-mine", "nonsense")),
]


def _holds_truth(value: Any) -> bool:
    """True within a list, which pydantic reads as the number 1."""
    return isinstance(value, list) and any(isinstance(each, bool) for each in value)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(_PLACES), value=_VALUES)
@pytest.mark.slow
def test_whatever_is_written_in_any_place_the_schema_refuses_nothing_that_the_loader_takes(
    place: tuple[str, ...], value: Any, tmp_path: Path
) -> None:
    assume(place != ("recipe",) or not isinstance(value, dict))  # of commands the list above has some
    document = json.loads(json.dumps(GOOD))
    inner = document
    for key in place[:-1]:
        inner = inner.setdefault(key, {})
    inner[place[-1]] = value
    if refused_by_schema(document) and not _holds_truth(value):
        assert refused_by_loader(document, tmp_path) != "", document

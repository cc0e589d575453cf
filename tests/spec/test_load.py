"""Specs: what is read, what is refused, and that every refusal is one line that helps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, model_validator

from harness import recipes
from harness.design import DESIGNS, plan
from harness.errors import SpecError
from harness.recipes.dcgan.recipe import Dcgan
from harness.settings import Settings
from harness.spec import DesignSettings, Spec, label, load
from harness.spec.designs import KINDS
from harness.spec.factors import Level, same

ABLATIONS = Path(__file__).resolve().parents[2] / "ablations"


class FakeSettings(Settings):
    """Settings like those of a recipe, in every kind that a spec can hold."""

    width: int = Field(default=8, ge=1)
    generator_width: int | None = Field(default=None, ge=1)
    split_bn: Literal["separate", "joint", "split"] = "separate"
    margin: float | None = Field(default=None, ge=0, le=1)
    averaging: Literal["none", "swa", "ema", "schedule"] = "none"
    swa_start: float = Field(default=0.5, ge=0, le=1)
    ema_beta: float = Field(default=0.999, ge=0, lt=1)
    depth: bool = True
    learning_rate: float = Field(default=5e-4, gt=0)
    beta1: float = Field(default=0.3, ge=0, lt=1)
    batch: int = Field(default=32, ge=2)
    flip: bool = True
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    @model_validator(mode="after")
    def _wide_enough(self) -> FakeSettings:
        if self.margin is not None and self.width > 100:
            raise ValueError("margin needs a width of at most 100")
        return self


class FakeRecipe(Dcgan):
    name = "dcgan"
    settings = FakeSettings


SPEC = """\
study: small
recipe: dcgan
data: {size: 32}
train:
  batch: 16
factors:
  crop:
    baseline: resize
    levels: [square]
  margin:
    baseline: null
    levels: [0.8]
design: {kind: one-at-a-time}
seeds: 2
budget: {images: 640}
"""


@pytest.fixture(autouse=True)
def fake_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    get = recipes.get
    monkeypatch.setattr(recipes, "get", lambda name: FakeRecipe() if name == "dcgan" else get(name))


@pytest.fixture
def spec_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(SPEC)
    return Path("spec.yaml")


def refused(path: str | Path, *overrides: str) -> list[str]:
    """The lines of the refusal of `path`."""
    with pytest.raises(SpecError) as caught:
        plan(load(path, overrides))
    lines = str(caught.value).splitlines()
    assert lines
    assert all(line.strip() for line in lines)
    return lines


def line_of(*parts: str, lines: list[str]) -> str:
    found = [line for line in lines if all(part in line for part in parts)]
    assert found, f"{parts} not in {lines}"
    return found[0]


def text_of(text: str, *overrides: str) -> list[str]:
    Path("changed.yaml").write_text(text)
    return refused("changed.yaml", *overrides)


def test_a_good_spec_is_read_whole(spec_file: Path) -> None:
    spec = load(spec_file)
    assert (spec.study, spec.recipe.name, spec.data.size, spec.seeds, spec.budget.images) == (
        "small",
        "dcgan",
        32,
        (0, 1),
        640,
    )
    assert isinstance(spec.train, FakeSettings)
    assert spec.train.batch == 16
    assert spec.factors["margin"].levels == (0.8,)
    assert spec.factors["margin"].baseline is None
    assert spec.path == Path("spec.yaml")


def test_importing_the_spec_loads_nothing_heavy() -> None:
    code = "import sys, harness.spec, harness.design; print({'torch','optuna','mlflow','pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_design_that_a_spec_can_name_exists() -> None:
    assert set(KINDS) == {*DESIGNS, "search"}
    for kind in KINDS:
        assert DesignSettings(kind=kind).kind == kind


def test_a_refusal_names_file_line_key_value_and_what_is_allowed(spec_file: Path) -> None:
    (line,) = text_of(SPEC.replace("batch: 16", "batch: -3"))
    assert line == (
        "changed.yaml:5: train.batch: -3 is not allowed: must be a whole number of at least 2; the default is 32"
    )


def test_a_refused_override_is_named_by_its_flag(spec_file: Path) -> None:
    (line,) = refused(spec_file, "train.batch=many")
    assert line.startswith("--set train.batch=many: train.batch: 'many' is not allowed: must be a whole number")


def test_all_mistakes_are_reported_at_once(spec_file: Path) -> None:
    lines = refused(spec_file, "train.batch=-3", "data.source=cats", "seeds=0", "design.kind=latin", "trian=1")
    assert len(lines) == 5
    line_of("data.source: 'cats'", "folder, stanford-dogs, synthetic-dogs", lines=lines)
    line_of("design.kind: 'latin'", "one-at-a-time", lines=lines)
    line_of("seeds: 0", "count from 1", lines=lines)
    line_of("trian: unknown key", "did you mean 'train'?", lines=lines)


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("factors.margn.baseline=0.8", ("factors.margn:", "did you mean 'margin'?")),
        ("factors.margin.levels=[1.7]", ("factors.margin.levels: 1.7 is not allowed", "from 0 to 1")),
        ("factors.margin.levels=[high]", ("factors.margin.levels: 'high' is not allowed", "or null")),
        ("factors.margin.levels=[true]", ("factors.margin.levels: true is not allowed", "a number")),
        ("factors.margin.levels=0.8", ("factors.margin.levels: 0.8 is not allowed", "list")),
        (
            "factors.margin.levels=[[1]]",
            ("factors.margin.levels: [1] is not allowed", "under sets", 'levels: [a] with sets: {a: {"margin": [1]}}'),
        ),
        ("factors.margin.levels=[{width: 9}]", ('{"width": 9} is not allowed', 'with sets: {a: {"width": 9}}')),
        ("factors.margin.baseline=[1]", ("factors.margin.baseline: [1] is not allowed", "baseline: a with sets")),
        ("factors.margin.levels=[high, [1]]", ("factors.margin.levels: [1] is not allowed",)),
        ("factors.margin.levels=[]", ("factors.margin.levels", "no level")),
        ("factors.margin.levels=[null]", ("null is the baseline already",)),
        ("factors.margin.levels=[0.8,0.80]", ("0.8 is a level before it already",)),
        ("factors.margin.baseline=-1", ("factors.margin.baseline: -1 is not allowed", "from 0 to 1")),
        ("factors.margin.lvels=[1]", ("factors.margin.lvels: unknown key", "did you mean 'levels'?")),
        ("factors.crop.levels=[sqare]", ("factors.crop.levels: 'sqare'", "did you mean 'square'?")),
        ("factors.margin=3", ("factors.margin: 3 is not allowed", "mapping")),
        ("factors.zoom=null", ("factors.zoom: null removes a factor", "crop, margin")),
        ("factors=null", ()),
        ("factors.other={baseline: 1, levels: [2], sets: margin}", ("factors.other", "factor 'margin' sets too")),
        ("factors.margin.requires={crp: [square]}", ("factors.margin.requires.crp", "did you mean 'crop'?")),
        ("factors.margin.requires={crop: [sqare]}", ("requires.crop: 'sqare'", "did you mean 'square'?")),
        ("factors.margin.exclude={margin: [0.8]}", ("there is no other factor 'margin'",)),
        ("factors.tau={baseline: 0.1, levels: [0.2]}", ("factors.tau", "never moves with the treatment")),
        ("factors.n={baseline: 1, levels: [2], sets: evaluate.size}", ("never moves with the treatment",)),
        ("factors.n={baseline: 1, levels: [2], sets: samples}", ("factors.n.sets", "belongs to the evaluation")),
        ("factors.seed={baseline: 0, levels: [1]}", ("factors.seed: 'seed' is no setting", "`seeds`", "data.seed")),
        ("factors.s={baseline: 0, levels: [1], sets: seed}", ("factors.s.sets: 'seed' is no setting", "seeds: 5")),
        ("factors.s={baseline: 0, levels: [1], sets: {1: {seed: 1}}}", ("factors.s.sets.1.seed: 'seed' is no",)),
        ("train.seed=1", ("train.seed: unknown key",)),
        (
            "factors.crop*margin={baseline: 0, levels: [1]}",
            ("factors.crop*margin: is no factor", "kind: full-factorial"),
        ),
        ("factors.crop:margin={baseline: 0, levels: [1]}", ("is no factor", "design: {kind: full-factorial}")),
        ("factors.crop x margin={baseline: 0, levels: [1]}", ("is no factor", "design: {kind: full-factorial}")),
        ("interactions=[[crop, margin]]", ("interactions: is no key", "design: {kind: full-factorial}")),
        ("factors.a b={baseline: 0, levels: [1], sets: margin}", ("factors.a b: is no name: letters",)),
        (f"study={'s' * 101}", ("has 101 characters, at most 100 are allowed",)),
        (f"study={'名' * 67}", ("has 201 bytes in UTF-8, at most 200 are allowed",)),
        ('study="a\\0b"', ("is no text: it has a zero byte",)),
        ("seeds=!!timestamp x", ("what is tagged so is no timestamp; leave the tag out",)),
        ("factors.a={baseline: [1], levels: [2], sets: [[batch]]}", ("[1] is not allowed: a level is one value",)),
        ("seeds=!!bool x", ("what is tagged so is no bool; leave the tag out",)),
        ('seeds=!!int ""', ("what is tagged so is no int; leave the tag out",)),
        ('factors.a.baseline="\\ud800"', ("is no text: it has a zero byte or a lone surrogate",)),
        ('factors={"a\\0": {}}', ("is no text: it has a zero byte",)),
        (
            f"factors.{'f' * 101}={{baseline: 0, levels: [0.5], sets: beta1}}",
            ("the name has 101 characters, at most 100 are allowed",),
        ),
        ("x_own=1", ("x_own: unknown key",)),
        ("factors.batch={baseline: 16, levels: [16.0]}", ("16.0 is the baseline already",)),
        ("factors.x={baseline: 16, levels: ['16'], sets: batch}", ("would both be called '16'", "under sets")),
        ("factors.x={baseline: 0.25, levels: [0.25000001], sets: margin}", ("would both be called '0.25'",)),
        ("factors.x={baseline: null, levels: [false], sets: margin}", ("false and null would both be called 'off'",)),
        ("factors.x={baseline: null, levels: ['off'], sets: margin}", ("'off' and null would both be called 'off'",)),
        ("factors.crop.requires={margin: [false]}", ("false is no level of factor 'margin'", "0.8, null")),
        ("factors.crop.exclude={margin: ['0.8']}", ("'0.8' is no level of factor 'margin'",)),
        ("design={kind: ladder, on: {crop: resize}}", ("'resize' is no level of factor 'crop'; allowed: square",)),
        ("train.margin=0.5", ("train.margin: 0.5 has no effect", "factors.margin.baseline")),
        ("train.batch=true", ("train.batch: true is not allowed", "whole number")),
        ("train.batch=2.5", ("train.batch: 2.5 is not allowed",)),
        ("train.bach=2", ("train.bach: unknown key", "did you mean 'batch'?")),
        ("train.learning_rate=.inf", ("train.learning_rate",)),
        ("train=5", ("train: 5 is not allowed", "mapping")),
        ("train.batch.x=5", ("train.batch",)),
        ("data.size=48", ("data.size: 48", "32, 64")),
        ("evaluate.extractors=[]", ("evaluate.extractors",)),
        ("evaluate.extractors=[efficientnet-lite0, inception@64]", ("'inception@64' is not allowed", "299 px alone")),
        ("evaluate.extractors=[efficientnet-lite0@7]", ("'efficientnet-lite0@7' is not allowed", "from 32 to 1024")),
        ("evaluate.extractors=[efficient-lite0]", ("no extractor 'efficient-lite0'", "mean 'efficientnet-lite0'")),
        ("evaluate.references=[square,dog]", ("evaluate.references: 'dog'", "square")),
        ("evaluate.references=[square,square]", ("named twice",)),
        ("evaluate.references=[sqare]", ("evaluate.references: 'sqare' is not allowed", "mean 'square'?")),
        ("evaluate.references=[square,{name: square}]", ("two reference sets are called 'square'",)),
        ("evaluate.references=[{crop: square}]", ("name: is missing",)),
        ("evaluate.references=[{name: other, split: half}]", ("split: 'half'", "held-out")),
        ("evaluate.references=[{name: a/b}]", ("name: 'a/b' is not allowed",)),
        ("seeds=[]", ("without a seed nothing runs",)),
        ("seeds=[1,1]", ("1 is named twice",)),
        ("seeds=[-1]", ("-1 is not allowed",)),
        ("seeds=true", ("true is not allowed",)),
        ("seeds=1.5", ("1.5 is not allowed",)),
        ("budget.seconds=5", ("one of images and seconds",)),
        ("budget.images=null", ("one of images and seconds",)),
        ("budget.images=-5", ("budget.images: -5", "above 0")),
        ("budget=null", ()),
        ("budget=5", ("budget: 5 is not allowed", "mapping")),
        ("recipe=nope", ("recipe: 'nope' is not installed", "dcgan")),
        ("study=", ("study: null",)),
        ("study=a/b", ("study: 'a/b'",)),
        ("design.on={crop: square}", ("design.on", "leave-one-out")),
        ("design={kind: leave-one-out, on: {crp: square}}", ("design.on.crp", "did you mean 'crop'?")),
        ("design={kind: leave-one-out, on: {crop: left}}", ("design.on.crop: 'left'", "square")),
        ("train.batch", ("not an override", "key=value")),
        ("train..batch=3", ("not an override",)),
        ("train.batch=[3", ("--set train.batch=[3", "not readable")),
        ("extends=a.yaml", ("files only",)),
    ],
)
def test_a_bad_override_is_refused_with_the_way_out(spec_file: Path, override: str, parts: tuple[str, ...]) -> None:
    if not parts:  # an emptied section leaves what the file has
        assert load(spec_file, [override]) == load(spec_file)
        return
    line_of(
        f"--set {override}: ",
        *parts,
        lines=refused(spec_file, override),
    )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("study: [x\n", ("changed.yaml:", "not readable as YAML")),
        ("", ("changed.yaml:1:", "must be a mapping")),
        ("- a\n", ("changed.yaml:1:", "must be a mapping")),
        ("study: a\nstudy: b\n", ("changed.yaml:2:", "'study' is given twice", "line 1")),
        ("a: !!python/object:os.system {}\n", ("changed.yaml:1:",)),
        ("? [a]\n: 1\n", ("changed.yaml:1:", "plain name")),
        ("a: &a [*a]\n", ("changed.yaml",)),
        ("[" * 3000, ("changed.yaml",)),
        ("a: 1\n---\nb: 2\n", ("changed.yaml:", "single document")),
        ("a: \x00\n", ("changed.yaml:",)),
    ],
)
def test_a_file_that_is_no_spec_is_refused_in_one_line(spec_file: Path, text: str, parts: tuple[str, ...]) -> None:
    (line,) = text_of(text)
    assert all(part in line for part in parts), line


def test_a_seed_of_the_data_spelt_out_is_a_setting_like_any_other(spec_file: Path) -> None:
    made = plan(load(spec_file, ["factors.photos={baseline: 0, levels: [1], sets: data.seed}", "data.size=64"]))
    assert made.cell("photos=1").settings["data.seed"] == 1
    assert load(spec_file, ["data.seed=4"]).data.seed == 4


def test_names_of_a_hundred_characters_are_names(spec_file: Path) -> None:
    spec = load(spec_file, [f"study={'s' * 100}", f"factors.{'f' * 100}={{baseline: 1, levels: [2], sets: width}}"])
    assert (len(spec.study), [len(name) for name in spec.factors]) == (100, [4, 6, 100])


def test_keys_of_the_users_own_hold_anchors(spec_file: Path) -> None:
    text = SPEC.replace("study:", "x-level: &level 0.8\nx-wide: &wide {batch: 16}\nstudy:").replace("[0.8]", "[*level]")
    Path("own.yaml").write_text(text.replace("train:\n  batch: 16\n", "train:\n  <<: *wide\n"))
    spec = load("own.yaml")
    assert (spec.factors, spec.train) == (load(spec_file).factors, load(spec_file).train)


def test_an_alias_that_multiplies_is_refused(spec_file: Path) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    (line,) = text_of(bomb)
    assert "more than" in line


def test_a_missing_file_is_refused_with_the_nearest_one(spec_file: Path) -> None:
    (line,) = refused("spce.yaml")
    assert line.startswith("spce.yaml: there is no such file")
    assert "did you mean 'spec.yaml'?" in line
    (line,) = refused(".")
    assert "cannot be read" in line


def test_a_missing_section_is_named(spec_file: Path) -> None:
    lines = text_of("recipe: dcgan\n")
    for key in ("study", "factors", "seeds", "budget"):
        line_of(f": {key}: ", lines=lines)


def test_numbers_of_yaml_1_2_are_numbers(spec_file: Path) -> None:
    spec = load(spec_file, ["train.learning_rate=5e-4", "factors.ema_beta={baseline: 9e-1, levels: [99e-2]}"])
    assert isinstance(spec.train, FakeSettings)
    assert spec.train.learning_rate == 0.0005
    assert spec.factors["ema_beta"].levels == (0.99,)


def test_extends_merges_deep_and_replaces_lists_and_scalars(spec_file: Path) -> None:
    Path("deep").mkdir()
    Path("deep/more.yaml").write_text(
        "extends: ../spec.yaml\nstudy: more\ntrain: {width: 9}\n"
        "factors:\n  crop: {levels: [left, right]}\n  margin: null\n"
    )
    spec = load("deep/more.yaml", ["factors.flip={baseline: true, levels: [false]}"])
    assert isinstance(spec.train, FakeSettings)
    assert (spec.study, spec.train.width, spec.train.batch) == ("more", 9, 16)
    assert list(spec.factors) == ["crop", "flip"]
    assert spec.factors["crop"].levels == ("left", "right")
    assert spec.factors["crop"].baseline == "resize"


def test_a_mistake_is_reported_where_it_stands_in_the_extended_file(spec_file: Path) -> None:
    Path("spec.yaml").write_text(SPEC.replace("batch: 16", "batch: 1"))
    (line,) = text_of("extends: spec.yaml\nstudy: other\n")
    assert line.startswith("spec.yaml:5: train.batch: 1 is not allowed")


def test_what_a_level_sets_is_replaced_whole(spec_file: Path) -> None:
    sets = "factors:\n  big:\n    baseline: no-more\n    levels: [wide, half]\n    sets:\n"
    Path("base.yaml").write_text(
        SPEC.replace("factors:\n", sets + "      wide: {width: 12, batch: 8}\n      half: {generator_width: 4}\n")
    )
    Path("over.yaml").write_text("extends: base.yaml\nfactors: {big: {levels: [wide], sets: {wide: {width: 64}}}}\n")
    spec = load("over.yaml")
    assert spec.factors["big"].settings("big", "wide") == {"width": 64}
    changed = load("base.yaml", ["factors.big.sets.wide.width=10"])
    assert changed.factors["big"].settings("big", "wide") == {"width": 10, "batch": 8}
    lines = refused("base.yaml", "factors.big.sets.wide.width=0")
    line_of("factors.big.sets.wide.width: 0 is not allowed", lines=lines)


def test_a_label_under_sets_that_is_no_level_is_refused(spec_file: Path) -> None:
    text = SPEC.replace("factors:\n", "factors:\n  big: {baseline: base, levels: [wide], sets: {wdie: {width: 12}}}\n")
    lines = text_of(text)
    line_of("factors.big.sets.wdie", "no level 'wdie'", "did you mean 'wide'?", lines=lines)


def test_switches_can_be_written_on_and_off(spec_file: Path) -> None:
    sets = "{baseline: off, levels: [on], sets: {on: {width: 12}}}"
    spec = load(spec_file, [f"factors.big={sets}"])
    assert spec.factors["big"].settings("big", True) == {"width": 12}
    assert load(spec_file, ["design={kind: leave-one-out, on: {crop: square}}"]).design.on == {"crop": "square"}


@pytest.mark.parametrize(
    ("level", "text"),
    [
        *((None, "off"), (False, "off"), (True, "on"), ("off", "off"), ("square", "square")),
        *((0.8, "0.8"), (0.80, "0.8"), (16, "16"), (16.0, "16"), (5e-4, "0.0005"), (1_000_000, "1000000")),
    ],
)
def test_a_level_is_called_by_one_name(level: Level, text: str) -> None:
    assert label(level) == text


def test_levels_are_told_apart_by_value_and_not_by_name() -> None:
    levels: list[Level] = [None, False, 0, "off", "null", True, 1, "on", 0.8, "0.8"]
    for position, one in enumerate(levels):
        assert [same(one, other) for other in levels] == [position == place for place in range(len(levels))]
    assert same(16, 16.0)


def test_a_cell_is_validated_once_however_often_it_is_asked_for(
    spec_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    class Counted(FakeSettings):
        @model_validator(mode="after")
        def _count(self) -> Counted:
            built.append(self.model_dump_json())
            return self

    monkeypatch.setattr(FakeRecipe, "settings", Counted)
    made = plan(load(spec_file, ["design={kind: full-factorial}"]))
    assert len(made.cells) == 4
    # The section by itself, and the two levels of the factor that it belongs to: the crop is of the data.
    assert len(built) == 3
    assert made.cell("crop=square").train is made.cell("baseline").train


def test_extends_that_leads_back_or_nowhere_is_refused(spec_file: Path) -> None:
    Path("a.yaml").write_text("extends: b.yaml\n")
    Path("b.yaml").write_text("study: x\nextends: a.yaml\n")
    (line,) = refused("a.yaml")
    assert line.startswith("b.yaml:2: extends: 'a.yaml' leads back")
    (line,) = text_of("extends: spce.yaml\n")
    assert line.startswith("changed.yaml:1: extends: spce.yaml: there is no such file")
    assert "did you mean 'spec.yaml'" in line
    (line,) = text_of("extends: [a]\n")
    assert line.startswith("changed.yaml:1: extends: must be")


@pytest.mark.parametrize("name", ["tricks", "smoke", "stanford-dogs"])
def test_the_specs_that_come_along_are_good(name: str) -> None:
    spec = load(ABLATIONS / f"{name}.yaml")
    made = plan(spec)
    assert spec.study == name
    assert not made.dropped
    assert len(made.runs) == len(made.cells) * len(spec.seeds)


def _shipped(name: str, *overrides: str) -> Spec:
    return load(ABLATIONS / f"{name}.yaml", overrides)


def test_the_full_scale_spec_changes_what_it_should() -> None:
    spec = _shipped("stanford-dogs")
    assert spec.data.source == "stanford-dogs"
    assert spec.evaluate.samples == 10_000
    assert spec.factors["crop"].levels == ("square", "centre", "all")
    assert spec.factors["width"].settings("width", "wide") == {"width": 64}
    assert spec.factors["width"].settings("width", "wide-generator") == {"generator_width": 64}


def test_the_real_recipe_reads_the_specs_that_come_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pytest.importorskip("harness.recipes.dcgan.recipe", reason="the recipe is not there yet")
    for name in ("tricks", "smoke", "stanford-dogs"):
        assert not plan(_shipped(name)).dropped
    line_of("factors.margin.levels: 1.7", lines=refused(ABLATIONS / "smoke.yaml", "factors.margin.levels=[1.7]"))
    line_of("train.batch: -3", lines=refused(ABLATIONS / "smoke.yaml", "train.batch=-3"))


@pytest.mark.parametrize(
    ("design", "seeds", "said"),
    [
        ("{test: median}", "5", "design.test"),
        ("{kind: search, trials: 9, test: ranks}", "5", "what a search finds is not tested"),
        ("{kind: union, of: [{kind: ladder, test: ranks}]}", "5", "set it beside `of`"),
        ("{test: ranks}", "{anytime: true}", "needs a maximum that is laid down"),
    ],
)
def test_a_test_that_cannot_be_is_refused(spec_file: Path, design: str, seeds: str, said: str) -> None:
    line_of("design", "test", said, lines=refused(spec_file, f"design={design}", f"seeds={seeds}"))


def test_the_test_that_a_spec_names_is_the_plans(spec_file: Path) -> None:
    for design, test in (("{kind: ladder}", "t"), ("{test: t}", "t"), ("{test: ranks}", "ranks")):
        assert plan(load(spec_file, [f"design={design}", "seeds={first: 3, most: 20}"])).test == test
    assert plan(load(spec_file, ["design.test=ranks"])).test == "ranks"

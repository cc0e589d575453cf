"""What no spec needs is refused within a second: place, value, limit and remedy; and the limits stand in the docs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.spec import limits

ROOT = Path(__file__).resolve().parents[2]
HEAD = "study: s\nrecipe: ./toy.py\nseeds: 2\n"
FACTORS = "factors:\n  lr: {baseline: 0.1, levels: [0.2]}\n"
TOY = """
from harness import Run, recipe


@recipe(objective="error")
def toy(run: Run, lr: float = 0.1):
    return {"error": lr}
"""
SECONDS = 1.0


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "spec.yaml").write_text(HEAD + FACTORS)
    assert CliRunner().invoke(main, ["check", "spec.yaml"]).exit_code == 0  # with all that it imports loaded


def refused(*arguments: str) -> str:
    """What `harness check` says of what it refuses, the processor's seconds of it counted: others compute too."""
    began = time.process_time()
    done = CliRunner().invoke(main, ["check", *arguments])
    took = time.process_time() - began
    assert done.exit_code == 2, done.output
    assert took < SECONDS
    return done.output


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("make", "what"),
    [(fifo, "a pipe, a device or a socket"), (device, "a pipe, a device or a socket"), (folder, "a folder")],
)
def test_what_is_no_file_is_refused_and_not_waited_for(make: Callable[[Path], None], what: str) -> None:
    make(Path("other.yaml"))
    assert f"other.yaml: cannot be read: is {what}, no file; give the path of a YAML file" in refused("other.yaml")
    Path("spec.yaml").write_text(f"extends: other.yaml\n{HEAD}")
    assert f"spec.yaml:1: extends: other.yaml: cannot be read: is {what}" in refused("spec.yaml")


def test_a_pipe_is_refused_by_the_program_itself() -> None:
    os.mkfifo("pipe.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "harness", "ablate", "pipe.yaml"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "pipe.yaml: cannot be read: is a pipe" in done.stderr


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def bomb(link: Callable[[str], str]) -> str:
    """Aliases of aliases, which multiply by eight a line."""
    lines = [f"x-{at}: &a{at} {link(', '.join([f'*a{at - 1}'] * 8))}" for at in range(1, 12)]
    return "\n".join(["x-0: &a0 {k: 1}", *lines])


SIXTY = ", ".join(["9"] * 60)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a scalar of 50 MB", "study: " + "x" * 50_000_000, "spec.yaml: has 50,000,007 bytes, at most 200,000 are"),
        (
            "a scalar beyond its limit",
            HEAD + "x-a: " + "x " * 30_000,
            "spec.yaml:4: the value has 59,999 characters, at most 20,000 are allowed; put it into a file of its own",
        ),
        (
            "200,000 factors",
            HEAD + "factors:\n" + "".join(f"  f{at}: {{baseline: 0, levels: [1]}}\n" for at in range(200_000)),
            "bytes, at most 200,000 are allowed; write a smaller spec",
        ),
        (
            "4,000 factors",
            HEAD + "factors:\n" + "".join(f"  f{at}: {{baseline: 0, levels: [1]}}\n" for at in range(4_000)),
            "spec.yaml:1432: here the spec has more than 10,000 values; write a smaller spec, without aliases",
        ),
        (
            "201 factors",
            HEAD + "factors:\n" + "".join(f"  f{at}: {{baseline: 0, levels: [1]}}\n" for at in range(201)),
            "spec.yaml:4: factors: 201 factors are too many: at most 200 are allowed; keep those that the study is",
        ),
        (
            "5,000 levels",
            HEAD + f"factors:\n  lr: {{baseline: 0.1, levels: [{', '.join(map(str, range(5_000)))}]}}\n",
            "spec.yaml:5: factors.lr.levels: 5,000 levels are too many: at most 200 are allowed; keep those that",
        ),
        ("a count of seeds", FACTORS + HEAD.replace("2", "1000000000"), "seeds: 1000000000 is not allowed: must be a"),
        (
            "twice the same seed 9,000 times",
            FACTORS + HEAD.replace("seeds: 2", f"seeds: [{', '.join(['7'] * 9_000)}]"),
            "spec.yaml:5: seeds: 7 is named twice; a run repeated says nothing new: name it once",
        ),
        (
            "3,000 settings that there are not",
            HEAD + FACTORS + "train:\n" + "".join(f"  learning_rate_{at}: 1\n" for at in range(3_000)),
            "spec.yaml: these are 50 mistakes, and there may be more; mend them first",
        ),
        (
            "3,000 keys that there are not",
            HEAD + FACTORS + "".join(f"learning_rate_{at}: 1\n" for at in range(3_000)),
            "spec.yaml: these are 50 mistakes, and there may be more; mend them first",
        ),
        ("deep lists", HEAD + "x-a: " + nested(20_000), "spec.yaml:4: is nested more than 50 deep, which is too much"),
        ("deep lists of lines", HEAD + "x-a:\n" + "".join(" " * at + "- \n" for at in range(600)), "is nested more"),
        (
            "deep mappings",
            HEAD + "".join(" " * at + "x-a:\n" for at in range(500)),
            "spec.yaml:53: is nested more than 50 deep, which is too much; write it flatter",
        ),
        ("aliases of lists", HEAD + bomb(lambda links: f"[{links}]"), "here the spec has more than 10,000 values"),
        ("itself", HEAD + "x-a: &a [*a]", "spec.yaml:4: is nested more than 50 deep, or contains itself; write the"),
        ("itself, merged", HEAD + "x-a: &a {<<: *a}", "spec.yaml:4: is merged into itself; write the values out"),
        ("no mapping merged", HEAD + "x-a: {<<: [1, 2]}", "spec.yaml:4: `<<` takes a mapping, or a list of them"),
        ("a long number", HEAD + "x-a: " + "9" * 15_000, f"99... is too large a number: at most {2**63 - 1}, up or"),
        ("a number in base 60", HEAD + "x-a: " + "1:" * 5_000 + "1", "1:1... is too large a number: at most 92233"),
        ("a number in base 16", HEAD + "x-a: 0x" + "f" * 15_000, "ff... is too large a number: at most 922337203685"),
        (
            "a large number",
            HEAD + f"x-a: -{2**63}",
            f"spec.yaml:4: -{2**63} is too large a number: at most {2**63 - 1}",
        ),
        ("a huge count", HEAD + FACTORS + "budget: {epochs: 1e400}", "budget"),
        ("zero bytes", HEAD + "x-a: \0", "spec.yaml: not readable as YAML"),
        (
            "a long command",
            f"study: s\nrecipe: {{command: [{SIXTY}, {nested(60)}]}}\nseeds: 2\n",
            "spec.yaml:2: is nes",
        ),
        (
            "4,000 settings of a command that it does not take",
            "study: s\nrecipe:\n  command: [python, a.py]\n  settings:\n"
            + "".join(f"    s{at}: 1\n" for at in range(4_000))
            + "objective: {metric: x, direction: minimize}\nseeds: 2\n",
            "s0 could have no effect",
        ),
    ],
    ids=lambda value: value if len(value) < 60 else "",
)
@pytest.mark.slow
def test_what_no_spec_needs_is_refused_within_a_second(name: str, text: str, said: str) -> None:
    Path("spec.yaml").write_text(text)
    output = refused("spec.yaml")
    assert said in output, output[-300:]
    assert len(output.splitlines()) <= limits.MOST_MISTAKES + 1


def test_merges_of_merges_do_not_multiply() -> None:
    """Eight to the eleventh pairs, were each merged as often as it is named; the mapping has one key."""
    Path("spec.yaml").write_text(HEAD + FACTORS + bomb(lambda links: f"{{<<: [{links}]}}"))
    began = time.process_time()
    assert CliRunner().invoke(main, ["check", "spec.yaml"]).exit_code == 0
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("x-a=" + nested(1_000), "is nested more than 50 deep"),
        ("x-a=[" + "1," * 60_000 + "]", "here the spec has more than 10,000 values"),
        ("x-a=" + "x" * 100_000, "the value has 100,000 characters, at most 20,000 are allowed"),
        ("x-a=" + "9" * 10_000, "is too large a number"),
        (".".join(["a"] * 5_000) + "=1", "5,000 keys deep, at most 50 are allowed; name fewer"),
        ("seeds=100000", "--set seeds=100000: seeds: 100000 is not allowed: must be a count from 1 to 10000"),
    ],
    ids=["deep", "long list", "long text", "long number", "deep key", "seeds"],
)
def test_the_same_holds_for_set(override: str, said: str) -> None:
    assert said in refused("spec.yaml", "--set", override)


def test_files_that_extend_each_other_are_counted() -> None:
    for at in range(limits.MOST_FILES - 1):
        Path(f"{at}.yaml").write_text(f"extends: {at + 1}.yaml\n")
    last = limits.MOST_FILES - 1
    Path(f"{last}.yaml").write_text(HEAD + FACTORS)
    assert CliRunner().invoke(main, ["check", "0.yaml"]).exit_code == 0
    Path(f"{last}.yaml").write_text("extends: spec.yaml\n")
    assert f"{last}.yaml:1: extends: more than 20 files extend each other, which is too many; write some" in refused(
        "0.yaml"
    )
    Path(f"{last}.yaml").write_text("extends: 0.yaml\n")
    assert "leads back to itself" in refused("5.yaml")


def test_files_that_extend_each_other_are_counted_as_one_spec() -> None:
    for at in range(3):
        values = "".join(f"x-{at}-{key}: {key}\n" for key in range(2_000))
        Path(f"{at}.yaml").write_text((f"extends: {at + 1}.yaml\n" if at < 2 else HEAD + FACTORS) + values)
    assert "0.yaml: holds 12,0" in refused("0.yaml")


@pytest.mark.parametrize(("levels", "seeds"), [(limits.MOST_LEVELS, 2), (1, 9_000)])
def test_a_spec_at_the_limits_is_planned(levels: int, seeds: int) -> None:
    named = ", ".join(str(level / 1000) for level in range(1_001, 1_001 + levels))
    Path("spec.yaml").write_text(
        f"study: s\nrecipe: ./toy.py\nseeds: [{', '.join(map(str, range(seeds)))}]\n"
        f"factors:\n  lr: {{baseline: 0.1, levels: [{named}]}}\n"
    )
    assert CliRunner().invoke(main, ["check", "spec.yaml"]).exit_code == 0


def test_the_limits_stand_in_the_docs() -> None:
    text = (ROOT / "docs" / "designs.md").read_text()
    section = text[text.index("## Limits") :].partition("\n## ")[0]
    named = [name for name in vars(limits) if name.isupper() and name != "LARGEST"]
    assert len(named) == 9
    for name in named:
        assert f" {getattr(limits, name):,} " in section, name
    assert "2^63 - 1" in section

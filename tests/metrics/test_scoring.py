"""`harness score`: several sets against one reference, the real side once, and the page of nearest real images."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from harness.cli import main


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)


def folder(path: Path, seed: int, count: int = 12) -> Path:
    random = np.random.default_rng(seed)
    path.mkdir()
    for index in range(count):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(path / f"{index:02d}.png")
    return path


def score(*arguments: object) -> str:
    done = CliRunner().invoke(main, ["score", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_copy_is_penalised_and_another_set_is_not(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    first, second = json.loads(score(real, other, real, "--json"))
    assert [one["generated"] for one in (first, second)] == [str(real), str(other)]
    assert abs(first["scores"]["fid"]) < 1e-4
    assert first["scores"]["memorization_distance"] < 1e-5
    assert second["scores"]["memorization_distance"] > 0.01
    assert second["images"] == {"generated": 12, "reference": 12}
    assert "sha256" in second["fingerprint"]
    assert second["memorization_baseline"] > 0.01


def test_the_reference_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    before = score(other, real, "--json")

    def refuse(*_: object) -> object:
        raise AssertionError("a cached reference was read again")

    monkeypatch.setattr("harness.metrics.folders.ImageFiles.pixels", _only(other, refuse))
    assert score(other, real, "--json") == before
    (real / "00.png").write_bytes((real / "01.png").read_bytes())
    with pytest.raises(AssertionError, match="read again"):
        score(other, real, "--json")


def _only(allowed: Path, refuse: object) -> object:
    from harness.metrics.folders import ImageFiles

    original = ImageFiles.pixels
    return lambda self, name: (original if self.source == allowed else refuse)(self, name)  # type: ignore[operator]


def test_the_table_names_every_set_and_what_was_skipped_or_of_another_size(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    (other / "broken.png").write_bytes(b"no image")
    Image.new("RGB", (9, 7)).save(other / "odd.png")
    said = " ".join(score(other, real).split())
    assert "mifid_error" in said
    assert "one half of the real images is at a memorisation distance of 0." in said
    assert f"{other}: skipped broken.png: " in said
    assert "1 of 13 images are not 32x32 like most" in said


def test_the_page_shows_the_copy_first_beside_its_original(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    (other / "07.png").write_bytes((real / "03.png").read_bytes())
    score(other, real, "--pairs", tmp_path / "pages" / "pairs.html")
    page = (tmp_path / "pages" / "pairs.html").read_text(encoding="utf-8")
    captions = re.findall(r"<figcaption>(\S+) · (\S+) · (\S+)</figcaption>", page)
    assert captions[0] == ("0.0000", "07.png", "03.png")
    assert [float(distance) for distance, *_ in captions] == sorted(float(distance) for distance, *_ in captions)
    assert len(captions) == 12
    left, right = re.findall(r'<img src="(data:[^"]+)"', page)[:2]
    assert left == right
    assert "http" not in page


def test_fid_infinity_is_there_where_it_is_asked_for(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    (plain,), (more,) = json.loads(score(other, real, "--json")), json.loads(score(other, real, "--json", "--infinity"))
    assert set(more["scores"]) - set(plain["scores"]) == {"fid_infinity"}


def test_an_unreadable_file_of_the_reference_is_named_with_the_reason(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    (real / "03.png").write_bytes(b"not a picture")
    for _ in range(2):  # computed, then from the cache
        (found,) = json.loads(score(other, real, "--json"))
        assert found["images"]["reference"] == 11
        (skipped,) = found["reference_skipped"]
        assert skipped["file"] == "03.png"
        assert "cannot identify" in skipped["reason"]
    assert re.search(r"real: skipped 03.png: cannot identify", score(other, real))


def test_what_was_scored_before_a_set_that_cannot_be_is_shown(tmp_path: Path) -> None:
    real, other, poor = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1), folder(tmp_path / "poor", 2, 1)
    done = CliRunner().invoke(main, ["score", str(other), str(poor), str(real)])
    assert done.exit_code == 2
    assert "mifid" in done.stdout
    assert done.stderr.startswith(f"error: {poor}: holds 1 readable image")


def test_an_extractor_that_is_not_to_be_had_is_refused_before_anything_is_scored(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    names = ["--extractor", "efficientnet-lite0", "--extractor", "incepton"]
    done = CliRunner().invoke(main, ["score", str(other), str(real), *names])
    assert done.exit_code == 2
    assert "did you mean 'inception'" in done.stderr
    assert done.stdout == ""


def test_many_sets_with_long_names_keep_their_digits_and_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # heads are folded by their length, which a temporary folder's name must not decide
    long = Path("a-folder-with-a-name-as-long-as-those-of-studies-are" * 2)
    long.mkdir()
    sets = [folder(long / f"set-{number}", number) for number in range(1, 7)]
    real = folder(Path("real"), 0)
    scores = [one["scores"] for one in json.loads(score(*sets, real, "--json"))]
    printed = score(*sets, real)
    assert "…" not in printed
    for one in scores:
        assert f"{one['mifid']:,.4f}" in printed
        assert f"{one['memorization_distance']:,.4f}" in printed
    assert all(f"set-{number}" in printed for number in range(1, 7))


def test_a_file_name_that_is_not_utf8_ends_in_no_traceback(tmp_path: Path) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    for place, content in ((real, (real / "00.png").read_bytes()), (other, b"no picture")):
        (place / os.fsdecode(b"caf\xe9.png")).write_bytes(content)
    done = CliRunner().invoke(main, ["score", str(other), str(real), "--pairs", str(tmp_path / "pairs.html")])
    assert done.exit_code == 0, done.output
    assert "skipped caf?.png" in done.stdout


@pytest.mark.parametrize("inside", [False, True])
def test_a_page_that_cannot_be_written_takes_no_score_with_it(tmp_path: Path, inside: bool) -> None:
    real, other = folder(tmp_path / "real", 0), folder(tmp_path / "other", 1)
    page = real / "00.png" / "pairs.html" if inside else real
    done = CliRunner().invoke(main, ["score", str(other), str(real), "--pairs", str(page)])
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr
    assert ("mifid" in done.stdout) == inside  # a folder is refused before anything is scored
    assert ("cannot be written" if inside else "is a directory") in done.stderr


@pytest.mark.parametrize(("extra", "said"), [(["--extractor", "efficientnet"], "did you mean"), ([], "no such folder")])
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, extra: list[str], said: str) -> None:
    real = folder(tmp_path / "real", 0, count=2)
    other = real if extra else tmp_path / "nowhere"
    done = CliRunner().invoke(main, ["score", str(other), str(real), *extra])
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1

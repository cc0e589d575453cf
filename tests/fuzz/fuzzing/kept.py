"""What was kept on disk and is read again: checkpoints, caches, and what a run's folder says of itself."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
from hypothesis import strategies as st
from PIL import Image

from fuzzing.mutation import CANARY, EDITS, PATHS, SHELL, edited, edited_document
from fuzzing.target import Target
from harness.data import prepared
from harness.data.settings import DataSettings
from harness.errors import HarnessError, StudyError
from harness.files import sealed
from harness.measures import Measure
from harness.metrics import reference
from harness.recipes import Run, checkpoint
from harness.recipes.dcgan.networks import Generator
from harness.recipes.dcgan.recipe import Dcgan
from harness.recipes.dcgan.settings import DcganSettings
from harness.runs.folder import about, address_of, run_folder
from harness.study import answer
from harness.study.store import StudyStore

OBJECTIVE = Measure(name="mifid", title="MiFID")

# ---------------------------------------------------------------------- checkpoints


def _opcodes() -> tuple[bytes, ...]:
    """Pickles that call something, with and without what torch lets through."""
    return (
        *(
            f"cos\nsystem\n(S'touch {CANARY}'\ntR.".encode(),
            f'cbuiltins\nexec\n(S\'open("{CANARY}","w")\'\ntR.'.encode(),
        ),
        *(
            b"cnt\nsystem\n",
            b"ctorch\nload\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"c__builtin__\neval\n",
            b"cbuiltins\ngetattr\n",
        ),
        *(
            b"ccollections\nOrderedDict\n",
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cpathlib\nPosixPath\n",
            b"R.",
            b"tR",
            b"\x81",
            b"b",
            b"N.",
            b".",
        ),
        *(
            b"X\xff\xff\xff\x7f",
            b"B\xff\xff\xff\xff",
            b"\x8d" + b"\xff" * 8,
            b"\x8e" + b"\xff" * 7 + b"\x0f",
            b"r\xff\xff\xff\x7f",
            b"j\xff\xff\xff\x7f",
        ),
        *(
            b"\x8a\xff" + b"\x7f" * 255,
            b"\x8b\xff\xff\xff\x7f",
            b"(" * 500,
            b"]" * 500,
            b"2" * 500,
            b"}q\x00h\x00",
            b"\x80\x05",
            b"\x95" + b"\xff" * 8,
        ),
        *(
            b"PK\x03\x04",
            b"PK\x05\x06",
            b"data.pkl",
            b"data/0",
            b"byteorder",
            b"version",
            b"cpu",
            b"cuda:0",
            b"meta",
            b"FloatStorage",
        ),
    )


_HOSTILE: tuple[Any, ...] = (
    *(torch.zeros(0), torch.zeros(3), torch.zeros(3, dtype=torch.uint8), torch.full((5056,), 255, dtype=torch.uint8)),
    *(torch.tensor(float("nan")), torch.zeros(2, 2, dtype=torch.complex64), [torch.zeros(1)], torch.zeros(1 << 20)),
)


def _run(folder: Path) -> Run:
    return Run(seed=0, directory=folder, objective=OBJECTIVE, emit=lambda event: None, identity="mine", device="cpu")


def _checkpoints(folder: Path) -> Callable[[tuple[str, list[int]]], str]:
    """A checkpoint that is damaged is done without; one that is sealed and holds anything else is refused in words."""
    first = _run(folder)
    first.generator("order")
    states = [
        {"model": {"weight": torch.arange(64.0).reshape(8, 8), "steps": torch.tensor(3)}, "epoch": epoch, "best": 0.5}
        for epoch in (2, 3)
    ]
    for state in states:
        first.checkpoint(state)
    place = folder / checkpoint.NAME
    real = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    whole = checkpoint.load(place, identity="mine")

    def read(value: tuple[str, list[int]]) -> str:
        for each in folder.iterdir():
            each.unlink()
        for name, content in real.items():
            (folder / name).write_bytes(content)
        way, edits = value
        if way == "bytes":
            place.write_bytes(edited(real[place.name], edits, _opcodes()))
        elif way == "pickle":
            with sealed.sealing(place) as file:
                file.write(_repacked(real[place.name], edits))
                file.seal()
        else:
            with sealed.sealing(place) as file:
                torch.save(edited_document(whole, edits, _HOSTILE), file)
                file.seal()
        again = _run(folder)
        found = again.restore()
        if found is None:
            return "starts anew"
        again.generator("order")
        which = [str(found) == str(state) for state in states]
        assert any(which) or way != "bytes", "a damaged checkpoint is gone on with"
        return "the one before" if which[0] else "the last" if which[1] else "another, which is sealed"

    return read


def _repacked(content: bytes, edits: list[int]) -> bytes:
    """A checkpoint with its pickle damaged, in a sound archive."""
    memory = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(memory, "w") as new:
        for each in old.infolist():
            inner = old.read(each)
            new.writestr(each.filename, edited(inner, edits, _opcodes()) if each.filename.endswith(".pkl") else inner)
    return memory.getvalue()


# ---------------------------------------------------------------------- caches

_NPY = (
    *(
        b"\x93NUMPY",
        b"\x01\x00",
        b"\x03\x00",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"'<i8'",
        b"'|u1'",
        b"'|O'",
    ),
    *(
        b"(99999999999,)",
        b"()",
        b"(-1,)",
        b"(2, 3)",
        b"'shape'",
        b"True",
        b"[('a', '<i8')]",
        b"__import__('os')",
        b"(" * 200,
        b"PK\x03\x04",
    ),
    *(
        b'"identity"',
        b'"digest"',
        b'"names"',
        b'"skipped"',
        b"[",
        b"]",
        b"{",
        b"}",
        b"null",
        b"NaN",
        b"1e999",
        b"9" * 5000,
        b"[" * 2000,
    ),
    *(b'"\\ud800"', b"\xff", b"\xef\xbb\xbf", b'{"path": 1}', b"0", b"5"),
)


def _prepared(folder: Path) -> Callable[[tuple[str, bool, list[int]]], str]:
    """A damaged cache holds nothing, or what it held before: another test has it made anew then."""
    (folder / "photos").mkdir()
    for index in range(3):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{index}.png")
    settings = DataSettings(source="folder", root=folder / "photos", size=32, crop="resize")
    truth = prepared.prepare(settings, cache=folder / "cache")
    (entry,) = (folder / "cache" / "prepared").iterdir()
    damaged = _damaging(entry)

    def read(value: tuple[str, bool, list[int]]) -> str:
        damaged(*value)
        found = prepared._open(entry, truth.fingerprint)
        if found is None:
            return "made anew"
        assert np.array_equal(found.images, truth.images)
        assert np.array_equal(found.groups, truth.groups)
        assert (found.names, found.skipped, found.fingerprint) == (truth.names, truth.skipped, truth.fingerprint)
        return "as it was"

    return read


def _damaging(entry: Path, tokens: Sequence[bytes] = _NPY) -> Callable[[str, bool, list[int]], None]:
    """What damages one file of a folder, and puts back the one that was damaged before."""
    real = {path.name: path.read_bytes() for path in entry.iterdir()}
    before = next(iter(real))

    def damage(which: str, as_document: bool, edits: list[int]) -> None:
        nonlocal before
        (entry / before).write_bytes(real[before])
        before, content = which, real[which]
        if as_document and which.endswith(".json"):
            content = json.dumps(edited_document(json.loads(content), edits)).encode()
        elif as_document and which.endswith(".pt"):
            content = _repacked(content, edits)
        else:
            content = edited(content, edits, tokens)
        (entry / which).write_bytes(content)

    return damage


class _Features:
    """What `stored` needs of an extractor."""

    fingerprint, device, dim, name = "made up", torch.device("cpu"), 3, "made-up"


def _references(folder: Path) -> Callable[[tuple[str, bool, list[int]]], str]:
    features = torch.from_numpy(np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32))
    names = [f"{row // 2}.png" for row in range(12)]

    truth = reference.stored(
        "images",
        _Features(),  # type: ignore[arg-type]
        lambda: (features, names),
        cache=folder / "references",
    )
    (entry,) = (folder / "references").iterdir()
    damaged = _damaging(entry)

    def numbers(found: reference.Reference) -> list[object]:
        tensors = (found.features, found.moments.mean, found.moments.cov, found.moments.factor, found.radii)
        return [*(each.tolist() for each in (*tensors, found.kernel_sums)), found.memorization_baseline, found.names]

    known = numbers(truth)
    assert names == truth.names

    def read(value: tuple[str, bool, list[int]]) -> str:
        damaged(*value)
        found = reference._load(entry, truth.fingerprint, _Features.device)
        if found is None:
            return "made anew"
        assert numbers(found) == known
        return "as it was"

    return read


# ---------------------------------------------------------------------- a run's folder


def _folders(folder: Path) -> Callable[[tuple[str, str, bool, list[int]]], str]:
    """`run.json`, `generator.json`, `generator.pt` and `nearest.json` of a finished run, and how a run is named."""
    key = "0123456789abcdef"
    home = folder / "runs" / "tricks-1a2b3c" / key
    home.mkdir(parents=True)
    os.chdir(folder)
    settings = DcganSettings(width=4, latent=8)
    network = Generator(settings, 32)
    torch.save(network.state_dict(), home / "generator.pt")
    written: Mapping[str, object] = {
        "run.json": {
            "recipe": "dcgan",
            "address": "dcgan",
            "folder": ".",
            "key": key,
            "seed": 3,
            "summary": {"mifid": 100.5},
            "settings": {
                "train": settings.model_dump(mode="json"),
                "data": {},
                "evaluate": {},
                "budget": {"images": 640},
            },
        },
        "generator.json": {
            "recipe": "dcgan",
            "training": True,
            "size": 32,
            "settings": settings.model_dump(mode="json"),
        },
        "nearest.json": {"title": "Nearest", "reading": "Left, right.", "distances": [0.1, 0.2]},
    }
    for name, document in written.items():
        (home / name).write_text(json.dumps(document))
    Image.new("RGB", (16, 16)).save(home / "nearest.png")
    damaged = _damaging(home, (*_opcodes(), *_NPY))
    store = mock.Mock(spec=StudyStore, storage="sqlite:///optuna.db", recall=lambda key: None)
    store.name = "tricks-1a2b3c"
    runs = pd.DataFrame([{"key": key, "state": "complete", "cell": "baseline", "seed": 0}])

    def read(value: tuple[str, str, bool, list[int]]) -> str:
        named, which, as_document, edits = value
        damaged(which, as_document, edits)
        match which:
            case "run.json":
                found = run_folder(named)
                about(found)
                return str(address_of(found).text == "dcgan")
            case "nearest.json" | "nearest.png":
                shown = answer._nearest(store, runs)
                return "no pairs" if shown is None else f"{len(shown.pairs)} pairs"
        images = Dcgan().sample(home, count=2, seed=0, device="cpu")
        return str(tuple(images.shape))

    return read


_ARRAYS = ("images.npy", "groups.npy", "about.json", "about.json")
_REFERENCE = (
    "features.npy",
    "mean.npy",
    "cov.npy",
    "factor.npy",
    "radii.npy",
    "kernel_sums.npy",
    *("manifest.json",) * 6,
)
_RUNS = ("0123", "0123456789abcdef", "runs/tricks-1a2b3c/0123456789abcdef", "", "x" * 300, "\udcff", *PATHS, *SHELL)

TARGETS = (
    Target(
        name="checkpoints",
        inputs=st.tuples(st.sampled_from(("bytes", "pickle", "document")), EDITS),
        prepare=_checkpoints,
        documented=(HarnessError,),
    ),
    Target(
        name="prepared-cache",
        inputs=st.tuples(st.sampled_from(_ARRAYS), st.booleans(), EDITS),
        prepare=_prepared,
        documented=(),
    ),
    Target(
        name="reference-cache",
        inputs=st.tuples(st.sampled_from(_REFERENCE), st.booleans(), EDITS),
        prepare=_references,
        documented=(),
        few=100,
    ),
    Target(
        name="run-folders",
        inputs=st.tuples(
            st.one_of(st.sampled_from(_RUNS), st.text(max_size=30)),
            st.sampled_from(("run.json", "run.json", "nearest.json", "nearest.png", "generator.json", "generator.pt")),
            st.booleans(),
            EDITS,
        ),
        prepare=_folders,
        documented=(StudyError, HarnessError),
        few=100,
    ),
)

"""The benchmark networks are those of torch-fidelity and pytorch-fid; their weights are found, fetched, checked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from harness.cli import main
from harness.errors import MetricError
from harness.metrics.extractors import extractor
from harness.metrics.extractors.fidelity import INCEPTION
from harness.metrics.extractors.weights import Weights
from harness.metrics.presets import PRESETS
from harness.recipes.dcgan.settings import EvaluateSettings

theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")


class Untrained(theirs.FeatureExtractorInceptionV3):  # type: ignore[misc, name-defined]
    """torch-fidelity's network, its layers as torch initialises them."""

    def load_state_dict(self, state: Any, *rest: Any, **more: Any) -> Any:
        return None


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of random weights, with batch norms that do something."""
    folder = tmp_path_factory.mktemp("weights")
    torch.save({}, folder / "none.pth")
    torch.manual_seed(0)
    network = Untrained("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(folder / "none.pth"))
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        if name.endswith("running_var"):
            value.uniform_(0.01, 0.05)  # the activations neither vanish nor explode
    torch.save(state, folder / "inception.pth")
    return folder / "inception.pth"


def images(count: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


@torch.inference_mode()
@pytest.mark.parametrize(("name", "width"), [("inception", 2048), *((f"inception-{w}", w) for w in (768, 192, 64))])
def test_every_width_of_inception_is_that_of_torch_fidelity(name: str, width: int, weights: Path) -> None:
    own = theirs.FeatureExtractorInceptionV3("x", [str(width)], feature_extractor_weights_path=str(weights))
    found = extractor(name, weights=weights)
    batch = images(3, 64)
    features = found(batch)
    assert features.shape == (3, found.dim) == (3, width)
    assert features.std() > 1e-3
    assert torch.equal(features, own(batch)[0])


@torch.inference_mode()
def test_inception_has_the_architecture_of_pytorch_fid(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("pytorch_fid.inception")
    state = torch.load(weights, weights_only=True)
    monkeypatch.setattr(module, "load_state_dict_from_url", lambda *a, **k: state)
    network = module.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    batch = images(2, 299)  # at its own size neither resizes
    expected = network((batch.float() - 128) / 128)[0].flatten(1)
    assert torch.allclose(extractor("inception", weights=weights)(batch), expected, rtol=1e-4, atol=1e-5)


def test_the_fingerprint_names_weights_resize_range_and_precision(weights: Path) -> None:
    fingerprint = extractor("inception", weights=weights).fingerprint
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    for part in (digest, "input 299 tf1-bilinear", "(x - 128) / 128", "fp32", "dim 2048", "torch-fidelity"):
        assert part in fingerprint


def test_a_preset_stands_for_its_extractor(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PRESETS == {"kaggle-public": ("inception", 0.1), "kaggle-private": ("timm:nasnetalarge.tf_in1k", 0.25)}
    assert (
        extractor("kaggle-public", weights=weights).fingerprint == extractor("inception", weights=weights).fingerprint
    )


def test_bf16_is_refused_where_the_benchmark_is_float32(weights: Path) -> None:
    with pytest.raises(MetricError, match=r"float32 alone; set evaluate\.precision to auto"):
        extractor("inception", weights=weights, precision="bf16")


@pytest.mark.parametrize("name", ["inception", "clip"])
def test_without_network_one_line_says_which_file_goes_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(MetricError) as refusal:
        extractor(name)
    said = str(refusal.value)
    assert "no route to host" in said
    assert "https://" in said
    assert str(tmp_path / "weights") in said
    assert "\n" not in said
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(MetricError, match=r"could not be downloaded to .*cache/weights .*directory"):
        extractor("inception")


def test_a_file_in_the_cache_that_is_not_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / INCEPTION.file).write_bytes(b"half a download")
    with pytest.raises(MetricError, match=r"not the published file: its SHA-256 begins with \w{8}, not 6726825d"):
        extractor("inception")


def test_a_downloaded_file_is_checked_kept_and_not_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    fetched: list[str] = []

    def download(url: str, target: str, **_: object) -> None:
        fetched.append(url)
        Path(target).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    published = Weights("file.pth", "https://example.org/file.pth", hashlib.sha256(b"weights").hexdigest())
    assert published.find("x").read_bytes() == b"weights"
    assert published.find("x") == tmp_path / "weights" / "file.pth"
    assert fetched == ["https://example.org/file.pth"]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(MetricError, match="does not hold the weights of the FID Inception"):
        extractor("inception", weights=tmp_path / "other.pth")


def test_a_weights_file_that_would_run_code_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    torch.save(Trap(), tmp_path / "trap.pth")
    with pytest.raises(MetricError, match="not a state dict of tensors"):
        extractor("inception", weights=tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


def test_without_its_weights_dinov2_says_where_they_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "load", unreachable)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(MetricError) as refused:
        extractor("dinov2")
    said = str(refused.value)
    assert f"its code at {tmp_path}/facebookresearch_dinov2_main" in said
    assert f"its weights at {tmp_path}/checkpoints/dinov2_vitl14_pretrain.pth" in said
    assert "timm:vit_large_patch14_dinov2.lvd142m" in said


class Averages(torch.nn.Module):
    """What torch.hub gives in place of DINOv2: 1024 averages over parts of the normalised image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.linspace(-1, 1, 1024))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert x.shape[1:] == (3, 224, 224)
        return x.mean(dim=(1, 2, 3))[:, None] * self.weight


def test_dinov2_is_a_yardstick_beside_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "load", lambda *_, **__: Averages())
    for folder, seed in (("real", 0), ("other", 1)):
        (tmp_path / folder).mkdir()
        for number in range(4):
            pixels = np.random.default_rng(10 * seed + number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    names = ["--extractor", "efficientnet-lite0@64", "--extractor", "dinov2"]
    done = CliRunner().invoke(main, ["score", str(tmp_path / "other"), str(tmp_path / "real"), "--json", *names])
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)
    assert [one["extractor"] for one in (first, second)] == ["efficientnet-lite0@64", "dinov2"]
    assert second["fingerprint"].startswith("dinov2; dim 1024; weights sha256 ")
    assert "input 224 tf1-bilinear" in second["fingerprint"]
    assert 0 < second["scores"]["fid"] != first["scores"]["fid"]
    assert EvaluateSettings(extractors=("efficientnet-lite0@64", "dinov2")).extractors[1] == "dinov2"

"""The extractors: real photos are classified, folding changes nothing, fingerprints tell what differs."""

import importlib
import inspect
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.layers.conv2d_same import Conv2dSame

from harness.errors import MetricError
from harness.machine.precision import fast_bf16
from harness.metrics.extractors import extractor
from harness.metrics.extractors.efficientnet import lite0, lite1
from harness.metrics.extractors.onepass import OnePass
from harness.metrics.presets import EXTRACTORS, named

REPOSITORY = Path(__file__).resolve().parents[2]
DOGS = Path(os.environ.get("HARNESS_DOGS") or REPOSITORY / ".." / "shared/data/stanford-dogs")
# Places of these breeds among ImageNet's 1000 classes.
BREEDS = {
    "Shih-Tzu": 155, "Rhodesian_ridgeback": 159, "beagle": 162, "English_foxhound": 167, "Border_terrier": 182,
    "Australian_terrier": 193, "golden_retriever": 207, "Old_English_sheepdog": 229, "Siberian_husky": 250,
    "Samoyed": 258, "toy_poodle": 265, "dingo": 273,
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plain():
    return lite0.classifier()


def images(count: int, side: int = 64, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 8, 8, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear").to(torch.uint8)


@torch.inference_mode()
@pytest.mark.parametrize(("name", "lite"), [("efficientnet-lite0", lite0), ("efficientnet-lite1", lite1)])
def test_real_photos_of_dogs_are_classified_as_their_breeds(name, lite):
    if not (DOGS / "Images").is_dir():
        pytest.skip(f"no photos at {DOGS}; set HARNESS_DOGS to a folder in the layout of Stanford Dogs")
    network, head = extractor(name, precision="fp32"), lite.classifier().classifier
    seen = Counter()
    for folder in sorted((DOGS / "Images").iterdir()):
        breed = folder.name.partition("-")[2]
        for path in sorted(folder.iterdir())[:6]:
            photo = torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)
            features = network(photo[None])
            top = int(head(features).argmax())
            seen["photos"] += 1
            seen["dogs"] += 151 <= top <= 268
            seen["breeds"] += top == BREEDS.get(breed)
            # The dingo is a wild dog of class 273, beyond the breeds.
            seen["wild"] += 269 <= top <= 275
    assert seen["photos"] == 72
    assert seen["dogs"] + seen["wild"] > 0.85 * seen["photos"]
    assert seen["dogs"] > 0.8 * seen["photos"]
    assert seen["breeds"] > 0.55 * seen["photos"]  # 1 in 1000 by chance


@torch.inference_mode()
@pytest.mark.parametrize(("name", "size"), [("efficientnet-lite0", 224), ("efficientnet-lite0@64", 64)])
def test_folding_and_channels_last_leave_the_features_as_the_plain_network_has_them(plain, name, size):
    network = extractor(name, precision="fp32")
    batch = images(3, side=48)
    resized = torch.nn.functional.interpolate(batch.float(), size=(size, size), mode="bilinear", align_corners=False)
    expected = plain.forward_head(plain.forward_features((resized - 127) / 128), pre_logits=True)
    found = network(batch)
    assert found.shape == (3, 1280)
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-4)


def test_without_a_size_the_networks_are_what_they_were_before_there_were_sizes():
    about = "bilinear antialias; mean 127,127,127 std 128,128,128; precision fp32"
    zero, one = (extractor(f"efficientnet-lite{number}", precision="fp32") for number in (0, 1))
    assert zero.fingerprint == (
        "efficientnet-lite0; dim 1280; weights sha256 "
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db; "
        f"input 224 {about}"
    )
    assert one.fingerprint == (
        "efficientnet-lite1; dim 1280; weights sha256 "
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850; "
        f"input 240 {about}"
    )
    # Numbers of the code before there were sizes. The product with 1, -1, 1, ... moves with every feature.
    signs = 1 - 2 * (torch.arange(1280) % 2).double()
    for network, sums, products in (
        (zero, [186.148891, 193.709645], [-51.950173, -48.844671]),
        (one, [207.916787, 242.251093], [8.313780, 3.123227]),
    ):
        features = network(images(2)).double()
        assert features.sum(1).tolist() == pytest.approx(sums, abs=2e-3)
        assert (features @ signs).tolist() == pytest.approx(products, abs=2e-3)


def test_a_size_is_part_of_the_fingerprint_and_of_nothing_else_in_it():
    whole, small = (
        extractor(name, precision="fp32").fingerprint for name in ("efficientnet-lite1", "efficientnet-lite1@96")
    )
    assert small == whole.replace("efficientnet-lite1", "efficientnet-lite1@96").replace("input 240", "input 96")
    assert small != whole


def test_bf16_features_are_near_those_of_float32_and_say_so_in_the_fingerprint():
    full, half = (extractor("efficientnet-lite0", precision=p) for p in ("fp32", "bf16"))
    x, y = full(images(4)), half(images(4))
    assert torch.nn.functional.cosine_similarity(x, y).min() > 0.97
    assert full.fingerprint.removesuffix("fp32") == half.fingerprint.removesuffix("bf16")
    assert full.fingerprint != half.fingerprint
    chosen = extractor("efficientnet-lite0", precision="auto").fingerprint
    assert chosen == (half if fast_bf16() else full).fingerprint


def test_float32_is_not_rounded_to_tf32_meanwhile(monkeypatch):
    seen = []
    network = extractor("efficientnet-lite0", precision="fp32")
    network.network.register_forward_pre_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert seen == [False]
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("name", "count"), [("efficientnet-lite0", 11), ("efficientnet-lite0@64", 67)])
def test_features_do_not_depend_on_the_batch_an_image_is_in(name, count):
    network = extractor(name, precision="fp32")
    assert count > network.batch
    batch = images(count)
    assert torch.allclose(network(batch)[-2:], network(batch[-2:]), atol=1e-5)


def test_a_larger_image_is_reduced_with_antialiasing():
    network = extractor("efficientnet-lite0", precision="fp32")
    checker = (torch.arange(448)[:, None] + torch.arange(448)) % 2 * 255
    grey = network.prepare(checker.to(torch.uint8).expand(1, 3, 448, 448))
    assert torch.allclose(grey, torch.full_like(grey, 0.5 / 128), atol=0.03)  # black and white are -1 and 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("efficientnet-lite", "did you mean 'efficientnet-lite"),
        ("timm:resnet1888", "timm has no such model"),
    ],
)
def test_an_unknown_extractor_is_refused_with_the_nearest_name(name, said):
    with pytest.raises(MetricError, match=said):
        extractor(name)


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (3, 8, 8)])
def test_other_shapes_and_types_than_bytes_in_rgb_are_refused(shape):
    network = extractor("efficientnet-lite0", precision="fp32")
    with pytest.raises(MetricError, match="give uint8"):
        network(torch.zeros(shape, dtype=torch.uint8))
    with pytest.raises(MetricError, match="give uint8"):
        network(torch.zeros(2, 3, 8, 8))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet18.a1_in1", "no such weights; allowed: .*did you mean 'resnet18.a1_in1k'"),
        ("timm:resnet81", "no such model; did you mean 'timm:resnet"),
    ],
)
def test_a_mistyped_name_in_timm_is_not_taken_for_a_failed_download(name, said):
    with pytest.raises(MetricError, match=said):
        extractor(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("efficientnet-lite0@7", "'7' is no input size; allowed: whole numbers of pixels from 32 to 1024"),
        ("efficientnet-lite0@", "'' is no input size"),
        ("efficientnet-lite0@064", "'064' is no input size"),
        ("efficientnet-lite0@64@64", "'64@64' is no input size"),
        ("efficientnet-lite0@64px", "'64px' is no input size"),
        ("efficientnet-lite0@-64", "'-64' is no input size"),
        ("efficientnet-lite0@9999999999", "is no input size"),
        ("timm:resnet18@31", "'31' is no input size"),
        ("efficientnet-lite0@224", "name it 'efficientnet-lite0'"),
        ("efficientnet-lite@64", "no extractor 'efficientnet-lite'; allowed: .*did you mean 'efficientnet-lite"),
        ("inception@64", "inception takes an input of 299 px alone; leave '@64' away, or .* efficientnet-lite0"),
        ("dinov2@112", "dinov2 takes an input of 224 px alone"),
        ("kaggle-public@64", "the preset kaggle-public has an input size"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_what_can(name, said):
    with pytest.raises(MetricError, match=said):
        named(name)
    with pytest.raises(MetricError, match=said):
        extractor(name)


def timm_weights(model, folder):
    torch.manual_seed(0)
    path = folder / f"{model}.pth"
    torch.save(timm.create_model(model, pretrained=False).state_dict(), path)
    return path


@torch.inference_mode()
@pytest.mark.parametrize(("model", "size"), [("test_resnet", 65), ("test_vit", 64)])
def test_a_timm_network_is_fed_at_another_size_where_it_takes_one(model, size, tmp_path):
    weights = timm_weights(model, tmp_path)
    plain = timm.create_model(model, pretrained=False, num_classes=0, **({"img_size": size} if "vit" in model else {}))
    state = {key: value for key, value in torch.load(weights).items() if not key.startswith(("head", "fc"))}
    if "pos_embed" in state:  # the class token's place is as it was, those of the patches are drawn closer together
        places = state["pos_embed"][:, 1:].reshape(1, 10, 10, -1).permute(0, 3, 1, 2)
        closer = torch.nn.functional.interpolate(places, (4, 4), mode="bicubic", antialias=True, align_corners=False)
        state["pos_embed"] = torch.cat([state["pos_embed"][:, :1], closer.permute(0, 2, 3, 1).reshape(1, 16, -1)], 1)
    plain.load_state_dict(state)
    network = extractor(f"timm:{model}@{size}", weights=weights, precision="fp32")
    batch = images(3, side=40)
    found = network(batch)
    assert found.shape == (3, network.dim)
    assert torch.allclose(found, plain.eval()(network.prepare(batch)), atol=1e-4)
    whole = extractor(f"timm:{model}", weights=weights, precision="fp32")
    assert network.fingerprint == whole.fingerprint.replace(model, f"{model}@{size}").replace(
        "input 160", f"input {size}"
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test_vit@65", "cuts its input into patches of 16 px; give a multiple"),
        ("test_vit@160", "160 px is what timm:test_vit takes anyway; name it 'timm:test_vit'"),
        ("mixer_s32_224@64", "timm:mixer_s32_224 cannot take inputs of 64 px .*leave '@64' away for its own 224 px"),
        ("inception_v3@64", "timm:inception_v3 cannot take inputs of 64 px"),
    ],
)
def test_a_size_that_a_timm_network_cannot_take_is_refused(name, said, tmp_path):
    weights = timm_weights(name.partition("@")[0], tmp_path)
    with pytest.raises(MetricError, match=said):
        extractor(f"timm:{name}", weights=weights)


def test_a_timm_network_takes_its_weights_from_a_file_and_its_fingerprint_from_the_weights(tmp_path):
    fingerprints = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        network = timm.create_model("test_resnet", pretrained=False)
        torch.save(network.state_dict(), tmp_path / "weights.pth")
        found = extractor("timm:test_resnet", weights=tmp_path / "weights.pth", precision="fp32")
        fingerprints.append(found.fingerprint)
        assert found(images(2)).shape == (2, found.dim)
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]


def test_weights_that_are_no_weights_are_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"not a state dict")
    with pytest.raises(MetricError, match="not a state dict"):
        extractor("timm:test_resnet", weights=tmp_path / "weights.pth")
    with pytest.raises(MetricError, match="does not exist"):
        extractor("timm:test_resnet", weights=tmp_path / "absent.pth")
    torch.save({"nothing": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(MetricError, match="does not hold the weights"):
        extractor("timm:test_resnet", weights=tmp_path / "weights.pth")


@pytest.mark.parametrize("place", [*(each.maker for each in EXTRACTORS.values()), "timm_network:timm_network"])
def test_every_entry_of_the_registry_names_something_that_makes_an_extractor(place: str) -> None:
    module, name = place.split(":")
    make = getattr(importlib.import_module(f"harness.metrics.extractors.{module}"), name)
    assert list(inspect.signature(make).parameters) == ["name", "size", "weights", "precision", "device"]


def test_the_registry_is_read_without_torch() -> None:
    code = "import sys, harness.metrics.presets; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


PRECISIONS = ["fp32", pytest.param("bf16", marks=pytest.mark.skipif(not fast_bf16(), reason="no native bf16 here"))]


@torch.inference_mode()
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["efficientnet-lite0@64", "efficientnet-lite1@49", "efficientnet-lite1@240"])
def test_convolutions_in_one_pass_give_the_features_of_timms_to_the_last_bit(monkeypatch, name, precision):
    # Sides of 240 and 49 px become odd ones, which TensorFlow pads alike at both ends.
    if name == "efficientnet-lite1@240":
        name = "efficientnet-lite1"
    fast = extractor(name, precision=precision)
    monkeypatch.setattr("harness.metrics.extractors.efficientnet.can_be", lambda dtype: False)
    plain = extractor(name, precision=precision)
    replaced = [type(module).__name__ for module in fast.network.modules()]
    assert replaced.count("OnePass") > 15
    assert not any(type(module).__name__ == "OnePass" for module in plain.network.modules())
    batch = images(5, side=40)
    assert torch.equal(fast(batch), plain(batch))
    assert torch.equal(fast(batch[:2]), plain(batch[:2]))
    assert fast.fingerprint == plain.fingerprint


@pytest.mark.parametrize("side", [8, 9, 14, 15, 30])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_in_the_kernel_is_tensorflows(side, kernel, stride):
    conv = Conv2dSame(6, 6, kernel, stride, groups=6).requires_grad_(False)
    images = torch.randn(2, 6, side, side + 1).contiguous(memory_format=torch.channels_last)
    sides = [(-(-n // stride) - 1) * stride + kernel - n for n in (side + 1, side)]
    around = [each for whole in sides for each in (max(0, whole) // 2, max(0, whole) - max(0, whole) // 2)]
    padded = torch.nn.functional.pad(images, around)
    expected = torch.nn.functional.conv2d(padded.double(), conv.weight.double(), conv.bias.double(), stride, groups=6)
    found = OnePass(conv, clamped=False)(images)
    assert found.shape == expected.shape
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert torch.allclose(OnePass(conv, clamped=True)(images).double(), expected.clamp(0, 6), atol=1e-5)

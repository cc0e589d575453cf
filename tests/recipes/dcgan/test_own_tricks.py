"""Tricks that are added from outside the package: one file of one's own and a spec."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.design import plan
from harness.recipes import dcgan
from harness.recipes.address import Address
from harness.recipes.dcgan.trainer import Trainer
from harness.settings import idle
from harness.spec import load

MY_GAN = """
    from typing import Annotated

    from pydantic import Field

    from harness.recipes.dcgan import AUGMENT_BOTH, LOSSES, NORMS, PARTS, Dcgan, DcganSettings, Loss, Norm
    from harness.settings import When

    LOSSES["my-hinge"] = Loss(
        lambda real, fake, s: s.my_weight * ((1 - real.float()).relu().mean() + (1 + fake.float()).relu().mean()),
        lambda fake, s: -s.my_weight * fake.float().mean(),
        reads=("my_weight",),
    )


    def my_color(images, settings, streams):
        import torch

        b, s, c = torch.rand(3, len(images), 1, 1, 1, generator=streams("augment/color"), device=images.device)
        x = images + b - 0.5
        grey = x.mean(1, keepdim=True)
        x = (x - grey) * (2 * s) + grey
        mean = x.mean((1, 2, 3), keepdim=True)
        return (x - mean) * (c + 0.5) + mean


    AUGMENT_BOTH["my-color"] = my_color


    def my_spectral(network, settings, streams):
        import torch
        from torch.nn import functional as F
        from torch.nn.utils import parametrize

        class Spectral(torch.nn.Module):
            def __init__(self, weight, generator):
                super().__init__()
                self.register_buffer("u", F.normalize(torch.randn(len(weight), generator=generator), dim=0))

            def forward(self, weight):
                with torch.autocast(weight.device.type, enabled=False):
                    matrix = weight.flatten(1)
                    with torch.no_grad():
                        v = F.normalize(matrix.T @ self.u, dim=0)
                        u = F.normalize(matrix @ v, dim=0)
                        if self.training:
                            self.u.copy_(u)
                    return weight / (u @ (matrix @ v))

        for name, module in list(network.named_modules()):
            if isinstance(module, torch.nn.Conv2d):
                start = streams.generator(f"my-spectral/{name}", "cpu")
                parametrize.register_parametrization(module, "weight", Spectral(module.weight, start))


    NORMS["my-spectral"] = Norm(my_spectral, batch_norm=False)


    def my_attention(channels, settings):
        import torch

        class Attention(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.f, self.g, self.h = (torch.nn.Conv2d(channels, channels // 8, 1, bias=False) for _ in range(3))
                self.v = torch.nn.Conv2d(channels // 8, channels, 1, bias=False)
                self.gamma = torch.nn.Parameter(torch.zeros(()))

            def forward(self, x):
                f, g, h = (layer(x).flatten(2) for layer in (self.f, self.g, self.h))
                beta = torch.einsum("ncj,nci->nji", g, f).softmax(-1)
                return x + self.gamma * self.v(torch.einsum("nci,nji->ncj", h, beta).unflatten(2, x.shape[2:]))

        return Attention()


    PARTS["my-attention"] = my_attention


    class MySettings(DcganSettings):
        my_weight: Annotated[float, When(loss=("my-hinge",))] = Field(default=1.0, gt=0, description="Of the hinge.")


    class MyGan(Dcgan):
        name = "my-gan"
        settings = MySettings
"""

SPEC = """
    study: mine
    recipe: ./my_gan.py:MyGan
    train: {width: 2, latent: 8, batch: 8, device: cpu, precision: fp32}
    data: {size: 32, count: 64}
    factors:
      loss: {baseline: cross-entropy, levels: [my-hinge]}
      discriminator_norm: {baseline: none, levels: [my-spectral]}
      generator_part: {baseline: none, levels: [my-attention]}
      augment_both: {baseline: none, levels: [my-color]}
    design: {kind: one-at-a-time}
    seeds: 2
    budget: {images: 160}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "my_gan.py").write_text(textwrap.dedent(MY_GAN), encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(textwrap.dedent(SPEC), encoding="utf-8")
    registries = [dcgan.LOSSES, dcgan.AUGMENT_BOTH, dcgan.NORMS, dcgan.PARTS]
    before = [dict(registry) for registry in registries]  # type: ignore[call-overload]
    monkeypatch.setattr("harness.recipes.address._LOADED", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for registry, names in zip(registries, before, strict=True):
        for name in registry.keys() - names.keys():
            del registry[name]  # type: ignore[attr-defined]


def trained(settings: Any, steps: int = 4) -> Trainer:
    data = torch.randint(0, 256, (24, 3, 32, 32), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
    trainer = Trainer(settings, data, torch.arange(25), seeds=[0], total_images=320)
    for _ in range(steps):
        trainer.step()
    return trainer


TRICKS = [
    ({"loss": "my-hinge"}, {"loss": "hinge"}),
    ({"augment_both": "my-color"}, {"augment_both": "color"}),
    ({"generator_part": "my-attention"}, {"generator_part": "self-attention"}),
    ({"discriminator_norm": "my-spectral"}, {"discriminator_norm": "spectral"}),
]


@pytest.mark.parametrize(("mine", "shipped"), TRICKS, ids=str)
def test_a_trick_of_ones_own_trains_as_the_shipped_one_does(
    project: Path, mine: dict[str, str], shipped: dict[str, str]
) -> None:
    model = Address.of("./my_gan.py:MyGan", project).load().settings
    about: dict[str, Any] = {"width": 2, "latent": 8, "batch": 8, "precision": "fp32", "device": "cpu", "rotate": 0.0}
    own, theirs, none = (trained(model(**about, **trick)) for trick in (mine, shipped, {}))

    def distance(one: Trainer, other: Trainer) -> float:
        pairs = zip(
            one.replicates[0].discriminator.parameters(), other.replicates[0].discriminator.parameters(), strict=True
        )
        return sum((a - b).square().sum().item() for a, b in pairs) ** 0.5

    if "discriminator_norm" not in mine:
        assert distance(own, theirs) < 0.02 * distance(own, none)
        return
    for _ in range(300):  # its vectors start elsewhere, from a stream of another name; an iteration each
        weight = own.replicates[0].discriminator.down08.weight
    assert torch.linalg.svdvals(weight.detach().flatten(1))[0].item() == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_a_hook_reads_the_settings_that_its_file_adds(project: Path) -> None:
    model = Address.of("./my_gan.py:MyGan", project).load().settings
    about: dict[str, Any] = {"width": 2, "latent": 8, "batch": 8, "precision": "fp32", "device": "cpu"}
    sums = [
        trained(model(**about, loss="my-hinge", my_weight=w), steps=1).replicates[0].sums[0].item() for w in (1.0, 3.0)
    ]
    assert sums[1] == pytest.approx(3 * sums[0])


def test_a_spec_of_two_files_is_planned_without_torch(project: Path) -> None:
    code = (
        "import sys; from harness.spec import load; from harness.design import plan\n"
        "print(len(plan(load('mine.yaml')).cells), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=project)
    assert done.stdout.split() == ["5", "False"], done.stderr


@pytest.mark.slow
def test_the_example_of_the_docs_is_planned_and_trains(project: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "tricks.md").read_text(encoding="utf-8")
    for name, language in (("my_gan.py", "python"), ("mine.yaml", "yaml")):
        (block,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        (project / name).write_text(block, encoding="utf-8")
    spec = load(project / "mine.yaml")
    assert [cell.name for cell in plan(spec).cells] == ["baseline", "loss=least-squares"]
    model = Address.of("./my_gan.py:MyGan", project).load().settings
    settings = model(width=2, latent=8, batch=8, precision="fp32", device="cpu", loss="least-squares")  # type: ignore[call-arg]
    assert idle(settings) >= {"margin", "real_label"}
    assert idle(model()) >= {"target"}
    trainer = trained(settings, steps=1)
    assert trainer.replicates[0].sums[1].item() == pytest.approx(0.5, abs=0.4)  # (D - 1)^2 / 2 of scores near 0


@pytest.mark.slow
def test_a_run_of_ones_own_recipe_is_sampled_with_its_own_settings(project: Path) -> None:
    recipe = Address.of("./my_gan.py:MyGan", project).load()
    settings = recipe.settings(width=2, latent=8, generator_part="my-attention", my_weight=2.0)  # type: ignore[call-arg]
    trainer = trained(settings.model_copy(update={"batch": 8, "precision": "fp32"}), steps=1)
    from harness.measures import Measure
    from harness.recipes import Run
    from harness.recipes.dcgan.kept import keep

    run = Run(seed=0, directory=project, objective=Measure(name="mifid", title=""), emit=lambda event: None)
    keep(trainer.replicates[0], trainer.settings, run, trainer.data.shape[-1])
    assert torch.equal(recipe.sample(project, count=6, seed=0, device="cpu"), trainer.replicates[0].sample(6))

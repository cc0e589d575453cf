"""Scoring takes at most 15 % of a run: the extractor and the metric beside the plain way, and their share of runs.

    python benchmarks/scoring.py               about three minutes on two quiet cores
    python benchmarks/scoring.py --json PATH   the numbers as well

Four tables, all on one thread, as a slot has it:

1. The extractor, images a second: ours, and the same network as its publisher runs it: float32, NCHW, eager, batches
   of 32. Both in alternation, medians over repeats.
2. One score of 128 generated images against 2,327 real ones in 1,280 dimensions, whose side is known: ours, and SciPy's
   sqrtm with the memorisation distance in NumPy.
3. The share of scoring (drawing images, the extractor, the metric) in a run. Of ablations/tricks.yaml a run is trained
   for a fifth of its budget and scored as a whole one is: its scores cost the same, its training is taken five times.
   Of ablations/stanford-dogs.yaml seconds are measured per image trained, drawn and put through the extractor, and
   scores of half as many images against half as many real ones, taken four times, which is more than the whole takes;
   drawn photos stand for the real ones.
4. Two slots that both train and score, against one that trains and one that scores what the first hands over: the same
   work on the same two cores, in alternation. And from the numbers above: how fast a device would have to train before
   a core that scores beside it falls behind.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.machine.provenance import processor

ABLATIONS = Path(__file__).resolve().parents[1] / "ablations"
DOGS = 20_580  # photos of Stanford Dogs: about as many square crops
SHORTENED = 5
FEW = ("data.source=synthetic-dogs", "data.count=64")


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def alternated(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each call, one after another in every repeat; a first call of each is not counted."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            taken[name].append(seconds(call))
    return {name: statistics.median(each) for name, each in taken.items()}


def beside(ours: float, plain: float, count: int) -> dict[str, float]:
    return {"ours": count / ours, "plain": count / plain, "ratio": plain / ours}


# ---------------------------------------------------------------------- the extractor and the metric


@torch.inference_mode()
def extractors(repeats: int) -> dict[str, dict[str, float]]:
    """Images a second of 32 px, by extractor."""
    from harness.metrics import extractor
    from harness.metrics.extractors.efficientnet import lite0, lite1

    draw = torch.Generator().manual_seed(0)
    found = {}
    for name, lite, count in (
        ("efficientnet-lite0@64", lite0, 128),
        ("efficientnet-lite1@64", lite1, 128),
        ("efficientnet-lite0", lite0, 32),
    ):
        images = torch.randint(0, 256, (count, 3, 32, 32), generator=draw, dtype=torch.uint8)
        ours, single = extractor(name), extractor(name, precision="fp32")
        network = lite.classifier()
        network.classifier = torch.nn.Identity()

        def plain(images=images, network=network, single=single) -> torch.Tensor:  # type: ignore[no-untyped-def]
            return torch.cat([network(single.prepare(part).contiguous()) for part in images.split(32)])

        taken = alternated({"ours": functools.partial(ours, images), "plain": plain}, repeats)
        found[f"{name}, {ours.fingerprint.rpartition(' ')[2]}"] = beside(**taken, count=count)
    return found


def metric(repeats: int) -> dict[str, Any]:
    """Seconds of one MiFID of 128 images, and both values."""
    from scipy.linalg import sqrtm

    from harness.metrics.scores import RealSide

    draw = torch.Generator().manual_seed(0)
    spectrum = torch.arange(1, 1281).float() ** -0.5
    real, generated = (
        torch.rand(1280, generator=draw) + torch.randn(n, 1280, generator=draw) * spectrum for n in (2327, 128)
    )
    side = RealSide(real)
    side.moments.factor  # noqa: B018
    x, y = real.double().numpy(), generated.double().numpy()
    mean, cov = x.mean(0), np.cov(x, rowvar=False)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = {}

    def ours() -> None:
        values["ours"] = side.score(generated, tau=0.1, kid=False, manifold=False, mind=False).mifid

    def plain() -> None:
        own = np.cov(y, rowvar=False)
        root = np.trace(sqrtm(cov @ own).real)
        fid = ((mean - y.mean(0)) ** 2).sum() + np.trace(cov) + np.trace(own) - 2 * root
        distance = (1 - abs(y / np.linalg.norm(y, axis=1, keepdims=True) @ unit.T)).min(1).mean()
        values["plain"] = fid / (distance if distance < 0.1 else 1.0)

    taken = alternated({"ours": ours, "plain": plain}, max(1, repeats // 3))
    return {"seconds": taken, "ratio": taken["plain"] / taken["ours"], "values": values}


# ---------------------------------------------------------------------- the share of a run


class Clock:
    """Seconds in functions, by the name of what they do; those of a function within another one are its own."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._within: list[float] = []

    @contextmanager
    def around(self, places: Mapping[tuple[Any, str], str]) -> Iterator[None]:
        """Measure the functions at (owner, name) while the block runs."""
        before = {place: getattr(*place) for place in places}
        for (owner, name), what in places.items():
            setattr(owner, name, self._timed(before[owner, name], what))
        try:
            yield
        finally:
            for (owner, name), function in before.items():
                setattr(owner, name, function)

    def _timed(self, function: Callable[..., Any], what: str) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self._within.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                taken = time.perf_counter() - began
                self.seconds[what] += taken - self._within.pop()
                if self._within:
                    self._within[-1] += taken

        return timed


def trained(spec: Any, images: int, evaluate: Any, clock: Clock) -> tuple[float, dict[str, float]]:
    """(Seconds, summary) of a run of the baseline, seed 0, with the scores that `evaluate` says."""
    from harness.data.settings import DataSettings
    from harness.design import plan
    from harness.recipes import Run
    from harness.recipes.dcgan import evaluation, recipe, sampling, session
    from harness.recipes.dcgan.settings import DcganBudget

    dcgan, cell = recipe.Dcgan(), plan(spec).cells[0]
    assert isinstance(spec.data, DataSettings)
    drawing = ("draw", "ready")
    own = [module for name, module in sys.modules.items() if name.startswith("harness.recipes.dcgan")]
    places = {
        (module, name): "drawing"
        for module in own
        for name in drawing
        if getattr(module, name, None) is getattr(sampling, name)
    }
    places |= {
        (evaluation.Evaluator, "__init__"): "start",
        (evaluation.Evaluator, "features"): "extractor",
        (evaluation.Evaluator, "score"): "metric",
        (evaluation.Evaluator, "closest"): "pictures",
        (session, "save_grid"): "pictures",
        (session, "save_pairs"): "pictures",
        (session.harness.data, "prepare"): "start",  # type: ignore[attr-defined]
        (Run, "save"): "checkpoints",
    }
    with tempfile.TemporaryDirectory() as folder, clock.around(places):
        run = Run(
            seed=0,
            directory=Path(folder),
            objective=dcgan.objective,
            emit=lambda event: None,
            recipe=dcgan.name,
            unit=dcgan.unit,
            data=cell.data,
            evaluate=evaluate,
            references=dcgan.references(spec.data, evaluate),
            budget=DcganBudget(images=images),
            device="cpu",
            threads=1,
        )
        began = time.perf_counter()
        summary = dcgan.train(cell.train, run)
        return time.perf_counter() - began, summary


def share_of_tricks(repeats: int) -> dict[str, Any]:
    """Seconds of a whole run of tricks.yaml by what they go to, median over repeats."""
    from harness.spec import load

    spec = load(ABLATIONS / "tricks.yaml")
    images = spec.budget.images // SHORTENED
    trained(spec, 800, spec.evaluate, Clock())  # the first run in a process loads and prepares
    runs = []
    for _ in range(repeats):
        clock = Clock()
        wall, summary = trained(spec, images, spec.evaluate, clock)
        training = summary["train_seconds"]
        parts = {"training": SHORTENED * training, **clock.seconds}
        parts["the rest"] = wall - training - sum(clock.seconds.values())
        runs.append(parts)
    middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    return middle | {"images a second": spec.budget.images / middle["training"]}


def share_of_dogs() -> dict[str, Any]:
    """The same of stanford-dogs.yaml, from seconds per image and of scores of half the size."""
    from harness.design import plan
    from harness.metrics import extractor
    from harness.metrics.scores import RealSide
    from harness.recipes.dcgan.networks import Generator
    from harness.recipes.dcgan.sampling import BATCH, draw, latents, ready
    from harness.spec import load

    spec = load(ABLATIONS / "stanford-dogs.yaml", FEW)
    evaluate, settings = spec.evaluate, plan(spec).cells[0].train
    short = evaluate.model_copy(update={"times": 1, "window": 0, "samples": 16, "interim_samples": 16, "grid": 4})
    few, more = (trained(spec, settings.batch * steps, short, Clock())[1]["train_seconds"] for steps in (2, 5))
    training = (more - few) / (3 * settings.batch) * spec.budget.images

    scored = {False: evaluate.times - evaluate.late, True: evaluate.late}
    images = scored[False] * evaluate.interim_samples + scored[True] * evaluate.samples
    network = Generator(settings, spec.data.size).requires_grad_(False)
    network = network.to(memory_format=torch.channels_last)
    recalibrating = seconds(lambda: ready(network, settings, 0))  # once: it takes seconds
    noise = latents(BATCH // 5, settings, 0)
    drawing = seconds(lambda: draw(network, settings, noise)) / len(noise)
    pixels = torch.randint(0, 256, (32, 3, 64, 64), dtype=torch.uint8)
    extracting = 0.0
    for name in evaluate.extractors:
        own = extractor(name)
        own(pixels)
        extracting += statistics.median(seconds(functools.partial(own, pixels)) for _ in range(3)) / len(pixels)

    side = RealSide(torch.rand(DOGS // 2, 1280))
    side.moments.factor, side.kernel_sums, side.projections  # noqa: B018
    plain = {"tau": 0.1, "kid": False, "manifold": False, "mind": False}
    rows = {late: torch.rand((evaluate.samples if late else evaluate.interim_samples) // 2, 1280) for late in scored}
    once = {late: seconds(functools.partial(side.score, rows[late], **plain)) for late in scored}
    last = seconds(functools.partial(side.score, rows[True], tau=0.1, interval=True)) - once[True]
    # Beside each score of the window there is one of fewer images, for the learning curve.
    taken = scored[False] * once[False] + scored[True] * (once[True] + once[False]) + last
    return {
        "training": training,
        "drawing": evaluate.times * recalibrating + images * drawing,
        "extractor": images * extracting,
        "metric": 4 * taken,
        "images a second": spec.budget.images / training,
    }


# ---------------------------------------------------------------------- scoring in a slot of its own


def _slot(core: int | None, asked: Any, answers: Any, file: str) -> None:
    """A process that trains, scores or does both, as often as it is asked to."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    from harness.design import plan
    from harness.recipes.dcgan.evaluation import Evaluator
    from harness.recipes.dcgan.networks import Generator
    from harness.recipes.dcgan.recipe import Dcgan
    from harness.recipes.dcgan.sampling import draw, latents, ready
    from harness.spec import load

    spec = load(ABLATIONS / "tricks.yaml")
    settings, evaluate = plan(spec).cells[0].train, spec.evaluate
    evaluator = Evaluator(evaluate, Dcgan().references(spec.data, evaluate), "cpu")
    network = Generator(settings, spec.data.size).requires_grad_(False).to(memory_format=torch.channels_last)
    torch.save(network.state_dict(), file)
    short = evaluate.model_copy(update={"times": 1, "window": 0, "samples": 16, "interim_samples": 16, "grid": 4})

    def train() -> None:
        trained(spec, spec.budget.images // evaluate.times, short, Clock())
        torch.save(network.state_dict(), file)

    def score() -> None:
        network.load_state_dict(torch.load(file, weights_only=True))
        images = draw(ready(network, settings, 0), settings, latents(evaluate.samples, settings, 0))
        evaluator.score(evaluator.features(images), full=False)

    does = {"train": (train,), "score": (score,), "both": (train, score)}
    for part in does["both"]:
        part()
    answers.put("ready")
    while (order := asked.get()) is not None:
        for _ in range(order[1]):
            for part in does[order[0]]:
                part()
        answers.put("done")


def slots(repeats: int, points: int = 2) -> dict[str, float]:
    """Median seconds for `2 * points` tenths of a run of tricks.yaml, each with a score, on two cores in either way."""
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [None, None]
    if len(cores) < 2:
        return {}
    answers = context.Queue()
    asked = [context.Queue(), context.Queue()]
    ways = {
        "both train and score": (("both", points),) * 2,
        "one trains, one scores": (("train", 2 * points), ("score", 2 * points)),
    }
    with tempfile.TemporaryDirectory() as folder:
        found = [
            context.Process(target=_slot, args=(core, queue, answers, f"{folder}/{core}.pt"), daemon=True)
            for core, queue in zip(cores, asked, strict=True)
        ]
        for process in found:
            process.start()
        for _ in found:
            answers.get(timeout=300)

        def together(orders: Any) -> None:
            for queue, order in zip(asked, orders, strict=True):
                queue.put(order)
            for _ in orders:
                answers.get(timeout=300)

        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, orders in ways.items():
                taken[name].append(seconds(functools.partial(together, orders)))
        for queue in asked:
            queue.put(None)
        for process in found:
            process.join(30)
    return {name: statistics.median(each) for name, each in taken.items()}


# ---------------------------------------------------------------------- what is printed


SCORING = ("drawing", "extractor", "metric")


def shares(parts: Mapping[str, float]) -> dict[str, float]:
    """Of scoring, and of all that is not training, in a run's seconds."""
    own = {name: value for name, value in parts.items() if name != "images a second"}
    whole = sum(own.values())
    return {"scoring": sum(own[name] for name in SCORING) / whole, "not training": 1 - own["training"] / whole}


def print_run(name: str, parts: Mapping[str, float]) -> None:
    print(f"\n{name}: a run, in seconds ({parts['images a second']:,.1f} images/s)")
    for part, value in parts.items():
        if part != "images a second":
            print(f"  {part:14} {value:12,.2f}")
    found = shares(parts)
    print(f"  scoring is {found['scoring']:.1%} of it; all that is not training {found['not training']:.1%}")


def machine() -> str:
    return f"{processor()}, {os.cpu_count()} CPUs, one thread a process; torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="of every measurement (default: 5)")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": machine()}
    print(found["machine"])

    found["extractor"] = extractors(options.repeats)
    print(f"\n{'extractor, images/s':32} {'ours':>9} {'plain':>9} {'times':>7}")
    for name, rate in found["extractor"].items():
        print(f"{name:32} {rate['ours']:9.1f} {rate['plain']:9.1f} {rate['ratio']:7.2f}")

    found["metric"] = metric(options.repeats)
    taken, values = found["metric"]["seconds"], found["metric"]["values"]
    print(f"\n{'one score, seconds':32} {taken['ours']:9.4f} {taken['plain']:9.4f} {found['metric']['ratio']:7.2f}")
    print(f"{'its MiFID':32} {values['ours']:9.4f} {values['plain']:9.4f}")

    found["tricks"] = share_of_tricks(max(1, options.repeats // 2))
    print_run("tricks.yaml", found["tricks"])
    found["stanford-dogs"] = share_of_dogs()
    print_run("stanford-dogs.yaml on one core", found["stanford-dogs"])
    found["shares"] = {name: shares(found[name]) for name in ("tricks", "stanford-dogs")}

    found["slots"] = slots(options.repeats)
    if found["slots"]:
        first, second = found["slots"].values()
        print("\ntwo cores, the same training and scores")
        for name, value in found["slots"].items():
            print(f"  {name:24} {value:8.2f} s")
        print(f"  a slot that only scores makes it {second / first:.2f} times as long")
    print("\na core that scores keeps up with a device that trains at most so many images/s:")
    from harness.spec import load

    for name in ("tricks", "stanford-dogs"):
        images = load(ABLATIONS / f"{name}.yaml", FEW if name == "stanford-dogs" else ()).budget.images
        keeps = images / sum(found[name][part] for part in SCORING)
        found["shares"][name]["keeps up with"] = keeps
        print(f"  {name:24} {keeps:10,.0f}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

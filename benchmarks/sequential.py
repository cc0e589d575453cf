"""Does the sequential rule keep its promises? Simulated studies of six tricks with a shared control and a known truth.

    make bench-stats

Every setting is 4,000 simulated studies, one-at-a-time, outcomes of standard deviation 1 paired by seed, run wave by
wave as the rule says, decided and unlikely tricks dropped. `d` is an effect over the standard deviation of the
differences. Promised: some false "helps" or "hurts" in at most 5 % of the studies, "negligible" of a trick at the
worth's edge in at most 5 %, intervals that hold at all looks at once in at least 95 %, and d = 1 shown with a power of
0.80 from at most 64 runs on average, where a fixed 12 seeds (84 runs) show it with 0.68. Of noise that is far from
normal t promises nothing, and its error is printed; ranks promise less than 6 %. With outliers in one arm the typical
run of that arm, and so the truth that ranks speak of, is that of the control; its mean is not.

Coverage is counted over all looks of every study by the test of the truth, which is what intervals invert, and by the
intervals themselves in one study of a hundred.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analysis import Verdict, paired
from harness.analysis.sequential import Anytime, Declared, Grain, Look, Ranks, Rule, interval, looks

Matrix = NDArray[np.float64]

CONTROL = 10.0  # its mean, in standard deviations of a run
MIXED = (3.0, 2.0, 1.0, 0.0, 0.0, 0.0)
NOTHING = (0.0,) * 6
FIRM = (Verdict.HELPS, Verdict.HURTS)
FIXED = 12


Noise = Callable[[np.random.Generator, tuple[int, int]], Matrix]


def normal(random: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    return random.normal(size=shape)


def heavy(random: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """Student's t with 4 degrees of freedom."""
    return random.standard_t(4, size=shape)


def outliers(random: np.random.Generator, shape: tuple[int, int]) -> Matrix:
    """Normal, but that a tenth of the last trick's runs are 8 standard deviations off."""
    found = random.normal(size=shape)
    found[-1] += 8 * (random.random(shape[1]) < 0.1)
    return found


def stepped(step: float) -> Noise:
    """Normal, in steps: of an accuracy with a standard deviation of 1 % over 500 images, 0.2."""
    return lambda random, shape: np.round(random.normal(size=shape) / step) * step


def rarely(share: float) -> Noise:
    """Always the same, but that a `share` of the runs is one step better."""
    return lambda random, shape: (random.random(shape) < share).astype(float)


@dataclass(frozen=True)
class Study:
    """Outcomes of every run that a study could have: control [seed], treated [trick, seed]; true gains [trick]."""

    control: Matrix
    treated: Matrix
    truth: Matrix

    @classmethod
    def drawn(cls, d: Sequence[float], seeds: int, random: np.random.Generator, noise_of: Noise = normal) -> Study:
        truth = math.sqrt(2) * np.array(d)
        noise = noise_of(random, (len(d) + 1, seeds))
        return cls(CONTROL + noise[0], CONTROL + truth[:, None] + noise[1:], truth)

    def run(self, rule: Rule, share: float = 0.0, grained: bool = False) -> list[Look]:
        """All looks; a `share` of the control's mean is worth having, unless it is 0."""
        worths = [share * self.control] * len(self.treated) if share else None
        grain = Grain(np.vstack((self.control, self.treated))) if grained else None
        return looks(list(self.treated - self.control), worths, rule, grain=grain)

    def covered(self, trick: int, seeds: int, rule: Rule) -> bool:
        """Whether the truth is in the intervals of all looks at a trick: whether no look's test rejects it."""
        statistic, counts = rule.path((self.treated[trick] - self.control)[:seeds] - self.truth[trick])
        return bool((np.abs(statistic) < rule.limits(paired.ALPHA, counts)).all())

    def in_intervals(self, trick: int, seeds: int, rule: Rule) -> bool:
        """The same by the intervals that a report shows."""
        ends = [interval((self.treated[trick] - self.control)[:n], rule) for n in range(rule.first, seeds + 1)]
        return all(not each.bounded or each.low <= self.truth[trick] <= each.high for each in ends)

    def killed_and_resumed(self, rule: Rule, share: float, random: np.random.Generator) -> list[Look]:
        """The looks of a study whose runs end one by one in any order, which is killed and looked at anew after each.

        Runs are started only as the looks so far say, from the table of runs that have ended.
        """
        width = len(self.treated)
        ended = np.zeros((width + 1, len(self.control)), dtype=bool)  # the control first
        while True:
            there = ended[1:] & ended[0]
            whole = [int(np.argmin(np.append(row, False))) for row in there]
            gains = [row[:n] for row, n in zip(self.treated - self.control, whole, strict=True)]
            worths = [share * self.control[:n] for n in whole] if share else None
            so_far = looks(gains, worths, rule)
            wave = so_far[-1].wave if so_far else 0
            going_on = so_far[-1].going_on if so_far else tuple(range(width))
            if not going_on:
                return so_far
            last = wave + 1 if so_far else rule.first
            wanted = [(0, seed) for seed in range(last)] + [(t + 1, seed) for t in going_on for seed in range(last)]
            waiting = [run for run in wanted if not ended[run]]
            for place in random.permutation(len(waiting))[: random.integers(1, len(waiting) + 1)]:
                ended[waiting[place]] = True


@dataclass(frozen=True)
class Row:
    """What simulated studies came to: shares of studies, a verdict's and coverage by trick; runs a study."""

    false_claim: float
    firm: Matrix
    negligible: Matrix
    covered: Matrix
    runs: float


def simulate(
    d: Sequence[float],
    rule: Rule,
    studies: int,
    random: np.random.Generator,
    share: float = 0.0,
    noise_of: Noise = normal,
    grained: bool = False,
    kills: bool = False,
) -> Row:
    """Studies run as the rule says. A claim is false that has the wrong sign, or is of a trick that does nothing."""
    rows = []
    right = [Verdict.HELPS if each > 0 else Verdict.HURTS if each < 0 else None for each in d]
    for number in range(studies):
        study = Study.drawn(d, rule.most or 60, random, noise_of)
        last = (study.killed_and_resumed(rule, share, random) if kills else study.run(rule, share, grained))[-1]
        false = any(said in FIRM and said != true for said, true in zip(last.verdicts, right, strict=True))
        covered = [study.covered(trick, seeds, rule) for trick, seeds in enumerate(last.seeds)]
        if number % 100 == 0 and not grained:
            assert covered == [study.in_intervals(trick, seeds, rule) for trick, seeds in enumerate(last.seeds)]
        firm = [said in FIRM for said in last.verdicts]
        none = [said is Verdict.NEGLIGIBLE for said in last.verdicts]
        rows.append([false, *firm, *none, *covered, sum(last.seeds) + max(last.seeds)])
    means, size = np.mean(np.array(rows, dtype=float), axis=0), len(d)
    return Row(float(means[0]), *(means[1 + part * size :][:size] for part in range(3)), float(means[-1]))


def fixed(d: Sequence[float], studies: int, random: np.random.Generator, noise_of: Noise = normal) -> Row:
    """The rule to beat: 12 seeds of everything, t tests, Holm."""
    rows = []
    for _ in range(studies):
        study = Study.drawn(d, FIXED, random, noise_of)
        gains = study.treated - study.control
        p = paired.holm(np.array([paired.t_p(each) for each in gains])) < paired.ALPHA
        right = np.sign(gains.mean(axis=1)) == np.sign(d)
        ends = [paired.estimate(each) for each in gains]
        covered = [each.low <= truth <= each.high for each, truth in zip(ends, study.truth, strict=True)]
        rows.append([(p & ~right).any(), *p, *covered])
    means, size = np.mean(np.array(rows, dtype=float), axis=0), len(d)
    return Row(float(means[0]), means[1:][:size], np.zeros(size), means[1 + size :], FIXED * (size + 1.0))


def show(name: str, d: Sequence[float], row: Row, coverage: bool = True) -> None:
    def numbers(values: Matrix) -> str:
        return ", ".join(f"{value:.2f}".replace("0.00", "0") for value in values)

    print(
        f"| {name} | {', '.join(f'{each:g}' for each in d)} | {row.false_claim:.4f} | {numbers(row.firm)} | "
        f"{numbers(row.negligible)} | {f'{row.covered.min():.4f}' if coverage else ''} | {row.runs:.1f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000, help="simulated studies a setting")
    studies = parser.parse_args().studies
    random = np.random.default_rng(0)
    twenty, twelve, ranks = Declared(first=3, most=20), Declared(first=3, most=12), Ranks(first=3, most=20)
    few = max(1, studies // 10)
    error = math.sqrt(0.05 * 0.95 / studies)
    print(f"{studies:,} simulated studies of 6 tricks a setting; the standard error of a share of 5 % is {error:.4f}")
    print("| rule | d of the tricks | some false claim | helps or hurts | negligible | least coverage | runs |")
    print("| --- | --- | ---: | --- | --- | ---: | ---: |")
    for d in (NOTHING, MIXED):
        show("fixed 12 seeds", d, fixed(d, studies, random))
        show("3 to 12 seeds", d, simulate(d, twelve, studies, random))
        show("3 to 20 seeds", d, simulate(d, twenty, studies, random))
        show("3 to 20 seeds, ranks", d, simulate(d, ranks, studies, random))
        show("3 to 20 seeds, worth 15 %", d, simulate(d, twenty, studies, random, share=0.15))
        show(f"the same, killed at random ({few} studies)", d, simulate(d, twenty, few, random, share=0.15, kills=True))
        show(f"anytime, at most 60 ({few} studies)", d, simulate(d, Anytime(), few, random))
    for name, noise_of in (("t, 4 degrees of freedom", heavy), ("outliers in the last arm", outliers)):
        show(f"fixed 12 seeds; {name}", NOTHING, fixed(NOTHING, studies, random, noise_of))
        for d in (NOTHING, MIXED):
            typical = noise_of is heavy  # the mean of the arm with outliers is not the truth
            show(f"3 to 20 seeds; {name}", d, simulate(d, twenty, studies, random, noise_of=noise_of), typical)
            show(f"3 to 20 seeds, ranks; {name}", d, simulate(d, ranks, studies, random, noise_of=noise_of), typical)
    for name, noise_of in (
        ("steps of a fifth of the noise", stepped(0.2)),
        ("steps of thrice the noise", stepped(3.0)),
        ("one run in six a step off", rarely(1 / 6)),
        ("a coin a run", rarely(0.5)),
        ("no noise", rarely(0.0)),
    ):
        row = simulate(NOTHING, twenty, studies, random, noise_of=noise_of, grained=True)
        show(f"3 to 20 seeds; {name}", NOTHING, row, coverage=False)
    edge = 0.15 * CONTROL / math.sqrt(2)
    at_edge = (edge, -edge, edge, 0.0, 0.0, 0.0)
    said = []
    for name, rule in (("3 to 20 seeds, worth 15 %", twenty), ("3 to 20 seeds, ranks, worth 15 %", ranks)):
        row = simulate(at_edge, rule, studies, random, share=0.15)
        show(name, at_edge, row)
        said.append(", ".join(f"{each:.4f}" for each in row.negligible[:3]))
    print(f"\nAt the worth's edge, 'negligible': {said[0]}; by ranks: {said[1]}")
    same = 0
    for _ in range(killed := max(1, studies // 40)):
        study = Study.drawn(MIXED, 20, random)
        same += study.run(twenty, 0.15) == study.killed_and_resumed(twenty, 0.15, random)
    print(f"Killed at random and resumed: the same looks and the same answer in {same} of {killed} studies")


if __name__ == "__main__":
    main()

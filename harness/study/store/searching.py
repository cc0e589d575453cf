"""What a search takes from Optuna: its samplers, a pruner, and its importances."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from harness.design import Search
from harness.measures import Measure

_STARTUP = 10  # runs at random before a sampler goes by their results; Optuna's own default
_FEWEST = 10  # complete runs from which importances are worked out


def sampler(search: Search | None, seed: int) -> BaseSampler:
    """The sampler of a search; where there is none every trial is queued, and nothing is left to sample."""
    if search is None:
        return RandomSampler(seed=seed)
    startup = min(_STARTUP, max(2, search.trials // 3))
    if search.sampler == "gp":
        # The objective differs from seed to seed, so that no outcome is exact.
        return GPSampler(seed=seed, n_startup_trials=startup, deterministic_objective=False)
    if search.sampler == "nsga2":
        return NSGAIISampler(seed=seed, population_size=min(50, max(4, search.trials // 5)))
    return TPESampler(seed=seed, n_startup_trials=startup)


def pruner(search: Search | None) -> BasePruner:
    """Stops a run whose best score so far is worse than the median of the others at the same step, after five runs."""
    return MedianPruner(n_startup_trials=5) if search is not None and search.prune else NopPruner()


def importances(study: optuna.Study, trials: Sequence[FrozenTrial], objective: Measure) -> dict[str, dict[str, float]]:
    """Evaluator -> parameter -> share, for `objective`; empty below ten complete runs."""
    if sum(trial.state == TrialState.COMPLETE for trial in trials) < _FEWEST:
        return {}
    # They load scikit-learn, which takes longer than the whole report of a design.
    from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes")  # low is what it looks for
        evaluators = {"PED-ANOVA": PedAnovaImportanceEvaluator(), "fANOVA": FanovaImportanceEvaluator(seed=0)}
        return {
            name: get_param_importances(
                study, evaluator=evaluator, target=lambda trial: -objective.sign * float(trial.values[0])
            )
            for name, evaluator in evaluators.items()
        }

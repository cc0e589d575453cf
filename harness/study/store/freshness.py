"""Seeds that a search has chosen by are used up: a design on them would favour what was lucky there."""

from __future__ import annotations

import itertools

import optuna
from optuna.storages import BaseStorage

from harness.design import Plan
from harness.design.layouts import BASELINE
from harness.errors import StudyError
from harness.study.store.outcomes import SETTLED, keyed, keyed_of_others, plan_of, state_of


def refuse_used_seeds(storage: BaseStorage, name: str, plan: Plan) -> None:
    """Refuse a new design on seeds that a search over its factors has finished runs of. Raises StudyError.

    What a search ends with has had good luck on its seeds; a design on them finds that luck again and calls it an
    effect. A design that has finished runs of its own goes on; those of the baseline alone, a pilot's, are none. Where
    factors are called otherwise, as in a study that confirms the best cells of a search, so is one that has a run of
    the search beside its control's.
    """
    if plan.search is not None:
        return
    names = optuna.get_all_study_names(storage)
    begun = name in names and _has_treated(storage, name, plan.control)
    planned = {run.seed for run in plan.runs}
    factors = {contrast.factor for contrast in plan.contrasts}
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        document = plan_of(summary.user_attrs)
        search = document.get("search")
        other = document.get("recipe", plan.recipe), document.get("objective", plan.objective.name)
        if not search or other != (plan.recipe, plan.objective.name):
            continue
        used = _used(storage, summary.study_name)
        if factors & search["levels"].keys():
            stale = set() if begun else used & planned
        else:
            done = _keys(storage, summary.study_name)
            chosen = any(run.key in done for run in plan.runs if run.cell != plan.control)
            stale = used & planned if chosen else set()
        if stale:
            raise StudyError(
                f"seeds {', '.join(map(str, sorted(stale)))}: the search '{summary.study_name}' has chosen by these, "
                f"so that its luck there would be taken for an effect; give fresh ones, like {_fresh(used, plan)}"
            )


def _fresh(used: set[int], plan: Plan) -> str:
    """What a spec writes for seeds that are not used."""
    if plan.waves is not None:
        return f"--set seeds.start={max(used) + 1}"
    count = len({run.seed for run in plan.runs})
    return f"seeds: {list(itertools.islice(itertools.filterfalse(used.__contains__, itertools.count()), count))}"


def _has_treated(storage: BaseStorage, name: str, control: str) -> bool:
    """Whether a study has a run that is done of another cell than its control or the baseline."""
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    alone = {control, BASELINE}  # a pilot's or a noise study's
    return any(trial.user_attrs["cell"] not in alone and state_of(trial) in SETTLED for _, trial in keyed(trials))


def highest_seed(storage: BaseStorage, recipe: str, objective: str) -> int:
    """The highest seed that any study of the recipe and the objective has a run of; -1 where there is none."""
    seeds = [-1]
    for summary in optuna.get_all_study_summaries(storage, include_best_trial=False):
        document = plan_of(summary.user_attrs)
        if (document.get("recipe"), document.get("objective")) == (recipe, objective):
            seeds += _used(storage, summary.study_name)
    return max(seeds)


def _keys(storage: BaseStorage, name: str) -> set[str]:
    """The keys of a study's runs that are done."""
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return {key for key, trial in keyed_of_others(trials) if state_of(trial) in SETTLED}


def _used(storage: BaseStorage, name: str) -> set[int]:
    """The seeds of a study's runs that are done."""
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return {trial.user_attrs["seed"] for _, trial in keyed_of_others(trials) if state_of(trial) in SETTLED}

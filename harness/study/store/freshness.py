"""Seeds that a search has chosen by are used up: a design on them would favour what was lucky there."""

from __future__ import annotations

import itertools

import optuna
from optuna.storages import BaseStorage

from harness.design import Plan
from harness.errors import StudyError
from harness.study.store.outcomes import SETTLED, keyed, state_of


def refuse_used_seeds(storage: BaseStorage, name: str, plan: Plan) -> None:
    """Refuse a new design on seeds that a search over its factors has finished runs of. Raises StudyError.

    What a search ends with has had good luck on its seeds; a design on them finds that luck again and calls it an
    effect. A design that has finished runs of its own goes on.
    """
    if plan.search is not None:
        return
    names = optuna.get_all_study_names(storage)
    if name in names and _used(storage, name):
        return
    planned = {run.seed for run in plan.runs}
    factors = {contrast.factor for contrast in plan.contrasts}
    for summary in optuna.get_all_study_summaries(storage):
        document = summary.user_attrs.get("plan") or {}
        search = document.get("search")
        other = document.get("recipe", plan.recipe), document.get("objective", plan.objective.name)
        if not search or other != (plan.recipe, plan.objective.name) or not factors & search["levels"].keys():
            continue
        used = _used(storage, summary.study_name)
        if used & planned:
            fresh = list(itertools.islice(itertools.filterfalse(used.__contains__, itertools.count()), len(planned)))
            raise StudyError(
                f"seeds {', '.join(map(str, sorted(used & planned)))}: the search '{summary.study_name}' has chosen by "
                f"these, so that its luck there would be taken for an effect; give fresh ones, like seeds: {fresh}"
            )


def _used(storage: BaseStorage, name: str) -> set[int]:
    """The seeds of a study's runs that are done."""
    trials = optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    return {trial.user_attrs["seed"] for _, trial in keyed(trials) if state_of(trial) in SETTLED}

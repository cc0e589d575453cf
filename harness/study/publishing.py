"""The answer where MLflow and Optuna show it: page, tables, pictures, numbers to sort by, and as their own notes."""

from __future__ import annotations

import json

from harness.measures import TRAIN_SECONDS, RunState
from harness.report import Report, document, frames, page, text
from harness.report.figures.interactive import interactive
from harness.report.figures.pictures import pictures
from harness.spec import label
from harness.study.answer import question
from harness.study.looks import metrics
from harness.study.mirror import Mirror
from harness.study.store import StudyStore
from harness.study.tracked import PUBLISHED
from harness.study.tracking import Tracker


def publish(report: Report, store: StudyStore, mirror: Mirror) -> None:
    """The answer as metrics, files, notes and figures of the study's parent run and of its Optuna study.

    MLflow has it when the mirror comes to it.
    """
    folder = store.runs
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(page.render(report), encoding="utf-8")
    words = f"# {store.name}\n\n{text.markdown(report)}\n"
    texts = {"report.md": words, "report.json": json.dumps(document.document(report), indent=2)}
    texts |= {f"{name}.csv": table for name, table in frames.csv(report).items()}
    numbers = [(name, value, 0) for name, value in headline(report).items()]
    if report.answer.course is not None:
        numbers += [each for look in report.answer.course.looks for each in metrics(look, report.answer.plan)]
    drawn = pictures(report, folder / "pictures")
    asked = question(report.answer.plan)

    def show(tracker: Tracker) -> None:
        tracker.artifact(tracker.parent, folder / "report.html")
        for name, content in texts.items():
            tracker.text(tracker.parent, content, name)
        tracker.numbers(tracker.parent, numbers)
        for picture in drawn:
            tracker.artifact(tracker.parent, picture, "pictures")
        tracker.describe(tracker.parent, words, whole="report.md")
        tracker.set_tags(tracker.parent, {PUBLISHED: asked})

    mirror.ask(show)
    store.show(words, interactive(report))
    store.remember(published=asked)


def headline(report: Report) -> dict[str, float]:
    """The numbers that studies are sorted and compared by in MLflow.

    Designs of one study may hold the same trick against different cells, so that an effect names its design.
    """
    plan = report.answer.plan
    objective = plan.objective
    done = report.runs.loc[report.runs["state"] == RunState.COMPLETE, objective.name]
    best = done.max() if objective.sign > 0 else done.min()
    metrics = {"runs_complete": float(len(done)), f"best_{objective.name}": float(best)}
    times = report.answer.costs.get(TRAIN_SECONDS.name, ())
    for index, effect in enumerate(report.answer.effects):
        contrast = effect.contrast
        # MLflow takes a slash for a folder's, and no empty one.
        level = label(contrast.level).replace("/", "-")[:100]
        name = f"effect/{contrast.design or plan.design}/{contrast.factor}={level}"
        metrics |= {
            f"{name}/delta_{objective.name}": effect.change.value,
            f"{name}/delta_{objective.name}_low": effect.change.low,
            f"{name}/delta_{objective.name}_high": effect.change.high,
            f"{name}/p_holm": effect.p_adjusted,
        }
        if times:
            metrics[f"{name}/delta_{TRAIN_SECONDS.name}"] = times[index].change.value
    for evaluator, shares in report.importances.items():
        metrics |= {f"importance/{evaluator}/{name}": share for name, share in shares.items()}
    return metrics

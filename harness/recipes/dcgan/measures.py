"""What a run of the DCGAN ends with: the MiFID, what it is made of, the other scores, under every yardstick."""

from __future__ import annotations

from dataclasses import replace

from harness.measures import Direction, Kind, Measure
from harness.recipes.dcgan.settings import EvaluateSettings

MIFID = Measure(name="mifid", title="MiFID")
_HIGHER = Direction.MAXIMIZE
MEMORIZATION = Measure(name="memorization_distance", title="memorisation distance", direction=_HIGHER, part_of="mifid")
SPEED = Measure(name="images_per_second", title="images/s", direction=_HIGHER, kind=Kind.COST, rate_of="images")
_OTHERS = (
    Measure(name="fid", title="FID", part_of="mifid"),
    MEMORIZATION,
    Measure(name="kid", title="KID"),
    Measure(name="mind", title="MIND"),
    Measure(name="precision", title="precision", direction=_HIGHER),
    Measure(name="recall", title="recall", direction=_HIGHER),
    Measure(name="density", title="density", direction=_HIGHER),
    Measure(name="coverage", title="coverage", direction=_HIGHER),
    SPEED,
)

AVERAGED = (MIFID.name, *(measure.name for measure in _OTHERS if measure.part_of == MIFID.name))
"""What a run ends with the mean of, over the scores in the window: the MiFID and what it is made of."""


def measures(evaluate: EvaluateSettings) -> tuple[Measure, ...]:
    """All measures but the objective, and the objective under every yardstick but the first."""
    references = [each if isinstance(each, str) else each.name for each in evaluate.references]
    _, *others = [(extractor, reference) for extractor in evaluate.extractors for reference in references]
    by_others = tuple(
        replace(
            MIFID,
            name=f"mifid/{extractor}/{reference}",
            title=f"MiFID ({extractor}, {reference})",
            yardstick_of="mifid",
        )
        for extractor, reference in others
    )
    return (*_OTHERS, *by_others)

"""The recipe of the first turn: a DCGAN, its tricks and how it is scored. All that a trick of one's own needs is here.

Importing it loads no torch.
"""

from harness.recipes.dcgan.augment import AUGMENT_BOTH, AUGMENT_REAL
from harness.recipes.dcgan.averaging import AVERAGES, Average
from harness.recipes.dcgan.losses import LOSSES, Loss
from harness.recipes.dcgan.norms import NORMS, Norm
from harness.recipes.dcgan.parts import PARTS
from harness.recipes.dcgan.passes import PASSES
from harness.recipes.dcgan.recipe import Dcgan
from harness.recipes.dcgan.regularisers import REGULARISERS
from harness.recipes.dcgan.schedules import SCHEDULES
from harness.recipes.dcgan.settings import DcganSettings
from harness.recipes.dcgan.statistics import STATISTICS

__all__ = [
    "AUGMENT_BOTH",
    "AUGMENT_REAL",
    "AVERAGES",
    "LOSSES",
    "NORMS",
    "PARTS",
    "PASSES",
    "REGULARISERS",
    "SCHEDULES",
    "STATISTICS",
    "Average",
    "Dcgan",
    "DcganSettings",
    "Loss",
    "Norm",
]

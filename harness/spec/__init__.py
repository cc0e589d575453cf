"""A study's YAML made into a validated Spec."""

from harness.spec.designs import DesignSettings
from harness.spec.factors import Factor, Level, label
from harness.spec.load import Spec, from_document, load

__all__ = ["DesignSettings", "Factor", "Level", "Spec", "from_document", "label", "load"]

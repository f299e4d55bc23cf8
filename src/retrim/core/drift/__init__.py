"""Drift: whether a window still looks like the one the model was fitted to expect."""

from retrim.core.drift.findings import DriftParams, Extent, Finding, findings
from retrim.core.drift.result import DRIFT_TESTS, DriftResult, DriftTest

__all__ = ["DRIFT_TESTS", "DriftParams", "DriftResult", "DriftTest", "Extent", "Finding", "findings"]

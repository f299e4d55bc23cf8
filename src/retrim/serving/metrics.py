"""Figures of a server and of the loop, as Prometheus reads them."""

from collections.abc import Callable, Iterable
from time import monotonic

import pandas as pd
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from retrim.lineage.workspace import Workspace

OTHER = "other"
"""Path of a request that no route takes."""
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 30.0)
"""Upper bounds of the classes of latency."""
KEPT_SECONDS = 30
"""For which figures of the loop are kept: each reads the store."""
HELP = {
    "retrim_served_version": "version that answers requests",
    "retrim_live_version": "version that is live according to the release log",
    "retrim_last_check_age_seconds": "seconds since the as-of time of the last check",
    "retrim_accumulated_gain": "what a fresh model would have saved, in units of the loss, at the last check",
    "retrim_retraining_cost": "what a retraining costs, in units of the loss, at the last check",
    "retrim_loss": "mean loss of the live version at the last check, estimated while labels are late",
    "retrim_loss_expected": "mean loss to expect on the same rows, had nothing changed",
    "retrim_loss_expected_high": "high end of the band of the expected loss",
    "retrim_loss_naive": "mean loss of the best naive baseline on the same rows",
    "retrim_drifted_columns": "number of columns that drifted at the last check",
    "retrim_alerts": "number of recorded alerts",
}


class LoopFigures(Collector):
    """What is live, which version is served, and how the loop stands, looked up when asked."""

    def __init__(self, workspace: Workspace, served: Callable[[], int], now: Callable[[], pd.Timestamp]) -> None:
        self._workspace, self._served, self._now = workspace, served, now
        self._looked = -float(KEPT_SECONDS)
        self._figures: dict[str, float] = {}

    def collect(self) -> Iterable[Metric]:
        """A gauge each; those of checks are not there before the first."""
        if monotonic() - self._looked >= KEPT_SECONDS:
            self._figures, self._looked = self._look(), monotonic()
        for name, value in {"retrim_served_version": float(self._served()), **self._figures}.items():
            yield GaugeMetricFamily(name, HELP[name], value)

    def _look(self) -> dict[str, float]:
        from retrim.checking.history import newest_check

        store, model = self._workspace.store, self._workspace.model
        check, releases = newest_check(self._workspace), store.releases(model)
        figures = {"retrim_alerts": float(len(store.alerts(model)))}
        if releases:
            figures["retrim_live_version"] = float(releases[-1].version)
        if check is not None:
            figures["retrim_last_check_age_seconds"] = (self._now() - pd.Timestamp(check.as_of)).total_seconds()
            figures["retrim_accumulated_gain"] = check.record.gain.now.balance
            figures["retrim_retraining_cost"] = check.record.gain.retraining_cost
            figures["retrim_drifted_columns"] = float(len(check.record.drift.drifted))
            comparison = check.record.performance.comparison
            figures |= {f"retrim_{name}": value for name, value in (comparison.figures if comparison else {}).items()}
        return figures


class Metrics:
    """The figures of one model: counts of requests, and those of the loop."""

    def __init__(self, loop: Collector | None = None) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # CPU seconds, memory, open files
        self.requests = Counter(
            "retrim_requests", "number of requests, by path and status", ("path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "retrim_request_seconds", "seconds to answer a request", ("path",), buckets=SECONDS, registry=registry
        )
        self.shadows = Counter(
            "retrim_shadow_requests",
            "number of requests, by whether shadow versions received them too: taken or dropped",
            ("fate",),
            registry=registry,
        )
        self.canary = Counter(
            "retrim_canary_requests",
            "number of requests with rows for the canary, by outcome: answered or failed",
            ("fate",),
            registry=registry,
        )
        self.unseen = Counter(
            "retrim_unseen_categories",
            "number of rows with a category unseen in training, which counts as missing",
            ("column",),
            registry=registry,
        )
        if loop is not None:
            registry.register(loop)
        self._registry = registry

    def as_text(self) -> bytes:
        """All of them, in the text format of Prometheus."""
        return generate_latest(self._registry)

"""Keeps a tabular model accurate as its data changes."""

import os

__version__ = "0.1.0"

# Set before any tool is imported, and inherited by every process we start. A value already there wins.
for _name, _value in {
    "OMP_WAIT_POLICY": "passive",  # two spinning threads a fit on busy cores were ten times slower than one
    "OPENBLAS_NUM_THREADS": "1",  # numpy's own threads spin too: small matrices took twenty times the processor
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}.items():
    os.environ.setdefault(_name, _value)

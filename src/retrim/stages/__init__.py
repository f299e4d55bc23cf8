"""Stages: file to file, run by DVC only, each as `PYTHONPATH=src python -m retrim.stages.NAME` in a run directory."""

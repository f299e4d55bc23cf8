"""Stages: file to file, run by DVC only, each as `PYTHONPATH=src python -m retrim.stages.NAME` in a run directory."""

from retrim.files import collect_seldom

collect_seldom()  # here, before a stage imports what it needs

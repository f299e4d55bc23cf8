"""Preparing features: declared steps, learned on training rows, applied alike in training, batch and serving."""

from retrim.core.prepare import (  # each enters its steps in the table
    categories,
    cells,
    dates,
    numbers,
    selection,
    text,
)
from retrim.core.prepare.fitted import FittedStep, Outcome, Sheet, learn_steps, past_of
from retrim.core.prepare.params import PrepareParams, StepParams
from retrim.core.prepare.step import STEPS

__all__ = [
    "STEPS",
    "FittedStep",
    "Outcome",
    "PrepareParams",
    "Sheet",
    "StepParams",
    "categories",
    "cells",
    "dates",
    "learn_steps",
    "numbers",
    "past_of",
    "selection",
    "text",
]

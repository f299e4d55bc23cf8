"""Preparing features: declared steps, learned on training rows, applied alike in training, batch and serving."""

from retrim.core.prepare import missing as _missing
from retrim.core.prepare import scaling as _scaling
from retrim.core.prepare.fitted import FittedStep, Outcome, learn_steps, past_of
from retrim.core.prepare.params import PrepareParams, StepParams
from retrim.core.prepare.sheet import Sheet
from retrim.core.prepare.step import STEPS

__all__ = [
    "STEPS",
    "FittedStep",
    "Outcome",
    "PrepareParams",
    "Sheet",
    "StepParams",
    "_missing",
    "_scaling",
    "learn_steps",
    "past_of",
]

"""Preparing features: declared steps, learned on training rows, applied alike in training, batch and serving."""

from retrim.core.prepare import (  # each enters its steps in the table
    binning as _binning,
)
from retrim.core.prepare import (
    categories as _categories,
)
from retrim.core.prepare import (
    dates as _dates,
)
from retrim.core.prepare import (
    fill_model as _fill_model,
)
from retrim.core.prepare import (
    missing as _missing,
)
from retrim.core.prepare import (
    outliers as _outliers,
)
from retrim.core.prepare import (
    scaling as _scaling,
)
from retrim.core.prepare import (
    selection as _selection,
)
from retrim.core.prepare import (
    target_code as _target_code,
)
from retrim.core.prepare import (
    text as _text,
)
from retrim.core.prepare import (
    transforms as _transforms,
)
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
    "_binning",
    "_categories",
    "_dates",
    "_fill_model",
    "_missing",
    "_outliers",
    "_scaling",
    "_selection",
    "_target_code",
    "_text",
    "_transforms",
    "learn_steps",
    "past_of",
]

"""How good predictions are: one decorated function a metric.

A metric takes `(actual, predicted)` and is one of three things, told by its facts:

    rows=True       a per-row loss: returns shape (n,); the metric is its mean, and it can be `judge.loss`
    scalar=True     a total, where rows is False: returns a float
    scalar=False    not a number at all (the confusion matrix): asked for by name, never by `measure`

Encoding, by task:

    regression      actual floats (n,), predicted floats (n,)
    binary          actual 0 or 1 (n,), predicted probability of the positive class (n,)
    multiclass      actual class codes (n,), predicted probabilities (n, k). A code outside 0..k-1 is a
                    class unseen in training: the model gave it probability 0, and it counts as wrong.

A metric that needs a value takes it after an `@` in its name: `pinball@0.9`. A class is
predicted at probability 0.5 or more (binary), or where it is likeliest (multiclass).
"""

from retrim.core.metrics.measuring import measure, require, row_losses
from retrim.core.metrics.params import JudgeParams
from retrim.core.metrics.table import METRICS, Metric, Task, find

__all__ = ["METRICS", "JudgeParams", "Metric", "Task", "find", "measure", "require", "row_losses"]

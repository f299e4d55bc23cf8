"""RetrainOpt's two online policies on loss matrices; runs in an environment of its own, and knows nothing of retrim.

Reads a JSON list from standard input, each with `losses` (mean loss of model i on window j; null where j is before
i), `price` of a retraining and `history`: windows that the policies are made from. Writes, for each, the windows before
which Base and Learned retrain from then on. Its controller measures the live model on a window, labels and all,
before it decides which model serves that window: a window sooner than anybody knows them.
"""

import json
import sys
from typing import Any

from retrainopt import PlannerConfig
from retrainopt.interfaces import ModelAdapter, TimelineDataset
from retrainopt.online import BaseOnlinePolicy, LearnedOnlinePolicy, OnlineController, collect_online_training_data
from retrainopt.types import DecisionAction


class Windows(TimelineDataset):
    """Windows by number; a training set is all that came before one."""

    def __init__(self, count: int) -> None:
        self._count = count

    @property
    def num_steps(self) -> int:
        return self._count

    def get_train_block(self, step: int) -> list[int]:
        return [step]

    def get_eval_block(self, step: int) -> list[int]:
        return [step]

    def train_size(self, step: int) -> int:
        return 1


class Read(ModelAdapter):
    """A fit is the number of its window, and a loss is read off the matrix."""

    def __init__(self, losses: list[list[float]]) -> None:
        self._losses = losses

    def fit(self, train_data: Any, *, step: int, n_samples: int, random_seed: int) -> int:
        return step

    def evaluate(self, model: int, eval_data: Any, *, step: int) -> float:
        return self._losses[model][step]


def schedules(task: dict[str, Any]) -> dict[str, list[int]]:
    windows, model, begin = Windows(len(task["losses"])), Read(task["losses"]), task["history"]
    config = PlannerConfig(n_choices=(1.0,))

    def retraining_cost(**_: Any) -> float:
        return float(task["price"])

    known = collect_online_training_data(
        windows,
        model,
        config,
        history_steps=begin,
        initial_model=0,
        initial_reference_loss=task["losses"][0][0],
        training_cost_fn=retraining_cost,
    )
    found = {}
    learned = LearnedOnlinePolicy().fit(known.states, known.decisions)
    for name, policy in (("Base", BaseOnlinePolicy.from_plan(known.plan)), ("Learned", learned)):
        controller = OnlineController(
            windows,
            model,
            policy,
            config,
            initial_model=begin,
            initial_reference_loss=task["losses"][begin][begin],
            start_step=begin,
            initial_trained_at=begin,
            training_cost_fn=retraining_cost,
        )
        steps = [controller.step() for _ in range(begin, windows.num_steps)]
        found[name] = [each.state.step for each in steps if each.decision.action == DecisionAction.RETRAIN]
    return found


if __name__ == "__main__":
    json.dump([schedules(task) for task in json.load(sys.stdin)], sys.stdout)

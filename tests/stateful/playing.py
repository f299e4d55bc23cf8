"""Plays a state machine: a few fixed sequences, or new ones until the time is over.

    def test_it_holds(minutes: float | None) -> None:
        play(Machine, minutes=minutes, examples=3, steps=15)

A sequence that fails is shortened and printed as a test. Each sequence works in a folder of its own.
"""

import time

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

AT_ONCE = 20  # sequences between two looks at the clock


def play(machine: type[RuleBasedStateMachine], *, minutes: float | None, examples: int, steps: int) -> None:
    """Plays fixed sequences, or draws anew for that many minutes.

    Args:
        machine: The rules.
        minutes: How long; None: the fixed ones.
        examples: How many fixed sequences.
        steps: Rules in a sequence at most.
    """
    plain = settings(
        deadline=None,
        database=None,
        derandomize=False,  # the profile of tests/conftest.py says otherwise
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
    )
    if minutes is None:
        fixed = settings(plain, derandomize=True, max_examples=examples, phases=(Phase.generate,))
        run_state_machine_as_test(machine, settings=fixed)
        return
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        run_state_machine_as_test(
            machine, settings=settings(plain, max_examples=AT_ONCE, stateful_step_count=2 * steps)
        )

"""Which failures of a task are worth another try."""

from typing import Any

from prefect.states import State

from retrim.errors import BadInputError, RefusedError


def may_pass(task: object, run: object, state: State[Any]) -> bool:
    """Whether another try may end otherwise: bad input stays bad, and a no stays a no."""
    try:
        state.result()
    except (BadInputError, RefusedError):
        return False
    except Exception:  # noqa: BLE001  whatever else it is
        return True
    return False

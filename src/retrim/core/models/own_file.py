"""The file of a model of one's own, run once, and its functions called; what goes wrong there is told with its line."""

import ast
import sys
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from traceback import extract_tb
from types import ModuleType
from typing import Any

from retrim.errors import BadInputError

FUNCTIONS = ("fit", "predict", "save", "load")
CONSTANTS = ("HYPERPARAMETERS", "LOSSES")
UNPICKLE = ("cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve")


@lru_cache(maxsize=64)
def module_of(code: bytes, path: str) -> ModuleType:
    """The file, run once.

    Raises:
        BadInputError: It cannot be read or run, unpickles, lacks a function, or has a constant of another shape.
    """
    try:
        tree = ast.parse(code, path)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadInputError(f"{path}: no Python: {error}") from error
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.partition(".")[0] in UNPICKLE:
                raise BadInputError(f"{path} imports {name}; nothing is unpickled here: use skops.io")
    module = ModuleType(f"retrim_own_model_{sha256(code).hexdigest()[:16]}")
    # Dataclasses look up the module of a class by its name, so that it has one that nothing else has.
    sys.modules[module.__name__] = module
    try:
        exec(compile(tree, path, "exec"), module.__dict__)  # noqa: S102  code that the workspace names as its own
    except (Exception, SystemExit) as error:  # a file that ends the process would end retrim without a word
        sys.modules.pop(module.__name__, None)
        raise BadInputError(f"{_place(path, error)}: {type(error).__name__} while it is read: {error}") from error
    lacking = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    lacking += [name for name in CONSTANTS if not hasattr(module, name)]
    if lacking:
        raise BadInputError(f"{path}: has no {', '.join(lacking)}; docs/own-model.md says what each is")
    _check_constants(module, path)
    return module


def _check_constants(module: ModuleType, path: str) -> None:
    names, losses = (getattr(module, name) for name in CONSTANTS)
    if not _are_names(names):
        raise BadInputError(
            f"{path}: HYPERPARAMETERS is {str(names)[:80]!r}; give a tuple of names, such as ('depth', 'rate'), "
            "or () for none"
        )
    shaped = isinstance(losses, dict) and _are_names(tuple(losses)) and all(map(_are_names, losses.values()))
    if not shaped:
        raise BadInputError(
            f"{path}: LOSSES is {str(losses)[:80]!r}; give the losses of each task, such as "
            "{'regression': ('mse', 'mae')}"
        )


def _are_names(given: Any) -> bool:
    """Whether it is several names; a text is one, and its signs are none."""
    return isinstance(given, tuple | list | set | frozenset) and all(isinstance(each, str) for each in given)


def constant(code: bytes, path: str, name: str) -> Any:
    return getattr(module_of(code, path), name)


def call(code: bytes, path: str, name: str, *arguments: Any, said: str = "") -> Any:
    """What a function of the file gives; what it raises is a person's mistake, and is told with its line."""
    function: Callable[..., Any] = getattr(module_of(code, path), name)
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        raise BadInputError(f"{_place(path, error)}: {name}{said}: {type(error).__name__}: {error}") from error


def _place(path: str, error: BaseException) -> str:
    """The file, and the newest of its lines that an error went through."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path

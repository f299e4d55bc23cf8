"""The file of a model of one's own, run once, and its functions called; what goes wrong there is told with its line."""

import ast
from collections.abc import Callable
from functools import lru_cache
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
        BadInputError: It cannot be read or run, unpickles, or lacks a function.
    """
    try:
        tree = ast.parse(code, path)
    except (SyntaxError, ValueError) as error:
        raise BadInputError(f"{path}: no Python: {error}") from error
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            if name.partition(".")[0] in UNPICKLE:
                raise BadInputError(f"{path} imports {name}; nothing is unpickled here: use skops.io")
    module = ModuleType("retrim_own_model")
    try:
        exec(compile(tree, path, "exec"), module.__dict__)  # noqa: S102  code that the workspace names as its own
    except Exception as error:
        raise BadInputError(f"{_place(path, error)}: {type(error).__name__} while it is read: {error}") from error
    lacking = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    lacking += [name for name in CONSTANTS if not hasattr(module, name)]
    if lacking:
        raise BadInputError(f"{path}: has no {', '.join(lacking)}; docs/own-model.md says what each is")
    return module


def constant(code: bytes, path: str, name: str) -> Any:
    return getattr(module_of(code, path), name)


def call(code: bytes, path: str, name: str, *arguments: Any, said: str = "") -> Any:
    """What a function of the file gives; what it raises is a person's mistake, and is told with its line."""
    function: Callable[..., Any] = getattr(module_of(code, path), name)
    try:
        return function(*arguments)
    except Exception as error:
        raise BadInputError(f"{_place(path, error)}: {name}{said}: {type(error).__name__}: {error}") from error


def _place(path: str, error: Exception) -> str:
    """The file, and the newest of its lines that an error went through."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == path]
    return f"{path}:{lines[-1]}" if lines else path

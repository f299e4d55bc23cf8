"""A model of one's own: what its file has to have, what its functions may give, and whose code runs."""

from typing import Any

import numpy as np
import pytest

from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView
from retrim.training.custom import CONTENT_FILE, one_form
from retrim.training.estimators import CODE_FILE, MODELS, FitTask, parts_of, trust
from retrim.training.recipe import TrainParams

X = np.random.default_rng(1).normal(size=(60, 2))
Y = X[:, 0]
PARTS = {
    "constants": "HYPERPARAMETERS = ('share',)\nLOSSES = {'regression': ('mse',), 'binary': ('log_loss',), "
    "'multiclass': ('log_loss',)}\n",
    "fit": "def fit(matrix, actual, about):\n    return float(actual.mean()) * about.hyperparameters['share']\n",
    "predict": "def predict(model, matrix):\n    return [model] * len(matrix)\n",
    "save": "def save(model):\n    return str(model).encode()\n",
    "load": "def load(content):\n    return float(content)\n",
}


def named(**changed: str) -> str:
    code = "".join({**PARTS, **changed}.values()).encode()
    return f"own:models/m.py@{trust(code)}"


def view(task: str = "regression", classes: tuple[str, ...] = ()) -> FeatureView:
    return FeatureView({"a": "number", "b": "number"}, {}, "y", task, classes)


def fit(name: str, of: FeatureView | None = None, actual: Any = Y, loss: str = "mse") -> Any:
    return (
        MODELS[name]
        .fit(of or view(), X, actual, FitTask(loss=loss, hyperparameters={"share": 1.0}, rounds=9, seed=7, threads=1))
        .model
    )


def test_four_functions_of_a_few_lines_are_a_model() -> None:
    model = fit(named())
    stored = MODELS[named()].load(view(), model.files())

    assert stored.predict(X) == pytest.approx(np.full(60, Y.mean()), rel=1e-15)


def test_its_code_lies_beside_the_model() -> None:
    files = fit(named()).files()

    assert files[CODE_FILE] == "".join(PARTS.values()).encode()
    assert float(files[CONTENT_FILE]) == Y.mean()


@pytest.mark.parametrize("part", ["fit", "predict", "save", "load"])
def test_a_function_that_is_missing_is_named(part: str) -> None:
    with pytest.raises(
        BadInputError, match=rf"models/m\.py lacks {part}; add them as docs/how-to/own-model\.md describes"
    ):
        fit(named(**{part: ""}))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"predict": "def predict(model, matrix):\n    return [1.0]\n"},
            r"shape \(1,\), but a regression task needs shape \(60,\)",
        ),
        (
            {"predict": "def predict(model, matrix):\n    return ['x'] * len(matrix)\n"},
            "predict returns a list .*array of numbers",
        ),
        (
            {"predict": "def predict(model, matrix):\n    return matrix[:, 0] * float('nan')\n"},
            "60 of 60 values that predict returns are missing or infinite",
        ),
        (
            {"save": "def save(model):\n    return 'text'\n"},
            "save returns a value of type str; return bytes, for example from skops.io.dumps",
        ),
        ({"load": "def load(content):\n    return 3.0\n"}, "load returns a model whose predictions differ"),
        (
            {"fit": "def fit(matrix, actual, about):\n    return 1 / 0\n"},
            r"m\.py:4: fit on 60 rows fails with ZeroDivisionError",
        ),
        ({"save": "def save(model):\n    raise KeyError('x')\n"}, r"models/m\.py:8: save fails with KeyError: 'x'"),
        ({"save": "def save(model\n"}, r"models/m\.py is not valid Python "),
        ({"constants": "1 / 0\n"}, r"models/m\.py:1: the import fails with ZeroDivisionError"),
        (
            {"load": "import pickle\nload = pickle.loads\n"},
            "imports pickle, but retrim never loads pickles; use skops.io",
        ),
        ({"load": "from joblib import load\n"}, "imports joblib, but retrim never loads pickles; use skops.io"),
        (
            {"predict": "def predict(model, matrix):\n    return [10**400] * len(matrix)\n"},
            "predict returns a list .*array of numbers",
        ),
        (
            {"predict": "import sys\ndef predict(model, matrix):\n    sys.exit(0)\n"},
            r"m\.py:7: predict fails with SystemExit: 0",
        ),
        ({"constants": "raise SystemExit(0)\n"}, r"models/m\.py:1: the import fails with SystemExit"),
    ],
)
def test_what_a_function_may_not_give_is_a_mistake_told_in_words(changed: dict[str, str], said: str) -> None:
    def work() -> None:
        model = fit(named(**changed))
        model.predict(X)
        model.files()

    with pytest.raises(BadInputError, match=said):
        work()


@pytest.mark.parametrize(
    "losses", ["['mae']", "'regression'", "{'regression': None}", "{'regression': 'mse'}", "{1: ()}"]
)
def test_losses_of_another_shape_are_told(losses: str) -> None:
    with pytest.raises(BadInputError, match=r"models/m\.py: LOSSES is "):
        MODELS[named(constants=f"HYPERPARAMETERS = ()\nLOSSES = {losses}\n")].check_aim("regression", "mse")


@pytest.mark.parametrize("names", ["None", "('a', 1)", "'share'", "3"])
def test_hyperparameters_of_another_shape_are_told(names: str) -> None:
    constants = f"HYPERPARAMETERS = {names}\nLOSSES = {{'regression': ('mse',)}}\n"

    with pytest.raises(BadInputError, match=r"models/m\.py: HYPERPARAMETERS is "):
        MODELS[named(constants=constants)].check_space(["share"])


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        ("binary", "[1.5] * len(matrix)", "1.5 to 1.5; return probabilities between 0 and 1"),
        ("multiclass", "[[0.5, 0.2]] * len(matrix)", "the probabilities of a row sum to 0.7; make each row sum to 1"),
        ("multiclass", "[0.5] * len(matrix)", r"shape \(60,\), but a multiclass task needs shape \(60, 2\)"),
    ],
)
def test_chances_that_are_none_are_refused(task: str, given: str, said: str) -> None:
    model = fit(
        named(predict=f"def predict(model, matrix):\n    return {given}\n"),
        view(task, ("n", "y")),
        (Y > 0).astype(int),
        loss="log_loss",
    )

    with pytest.raises(BadInputError, match=said):
        model.predict(X)


def test_it_says_what_it_can_be_trained_for() -> None:
    with pytest.raises(
        BadInputError, match=r"models/m\.py .*'mae' .*\bregression target;.* LOSSES .*\bregression: mse\b"
    ):
        MODELS[named()].check_aim("regression", "mae")


def test_a_space_is_its_own_names() -> None:
    MODELS[named()].check_space(["share"])

    with pytest.raises(BadInputError, match=r"'shaer' .*models/m\.py; .*'share'"):
        MODELS[named()].check_space(["shaer"])


def test_code_that_nobody_stands_for_is_not_run() -> None:
    files = fit(named()).files()
    strange = files[CODE_FILE] + b"\nraise SystemExit('it ran')\n"
    name = "own:models/m.py@" + "ab" * 32

    with pytest.raises(RefusedError, match=r"models/m\.py .*\babababababab .*\btrain\.model\b"):
        MODELS[name].load(view(), {**files, CODE_FILE: strange})


def test_other_code_beside_a_model_than_its_name_says_is_refused() -> None:
    files = fit(named()).files()

    with pytest.raises(RefusedError, match=r"differs from own:models/m\.py"):
        MODELS[named()].load(view(), {**files, CODE_FILE: files[CODE_FILE] + b"\n"})


@pytest.mark.parametrize(
    "name", ["own:", "own:../m.py", "own:/m.py", "own:models/m.txt", "own:.git/m.py", "own:a//m.py", "own:a\\..\\m.py"]
)
def test_a_name_that_leads_out_of_the_workspace_is_refused(name: str) -> None:
    with pytest.raises(BadInputError, match=r"own:models/my_model\.py"):
        parts_of(name)
    with pytest.raises(ValueError, match=r"own:models/my_model\.py"):
        TrainParams(model=name, windows=("all",), recipes=("found",), balance=None, seed=1)


@pytest.mark.slow
def test_what_skops_writes_twice_has_one_form() -> None:
    import skops.io
    from sklearn.linear_model import Ridge

    first, second = (skops.io.dumps(Ridge().fit(X, Y)) for _ in range(2))

    assert one_form(first) == one_form(second)
    assert skops.io.loads(one_form(first)).coef_ == pytest.approx(Ridge().fit(X, Y).coef_)


def test_a_model_kept_by_skops_is_the_same_bytes_twice() -> None:
    kept = {
        "fit": "def fit(matrix, actual, about):\n    return Ridge().fit(matrix, actual)\n",
        "predict": "import numpy as np\n\ndef predict(model, matrix):\n    return model.predict(matrix)\n",
        "save": "import skops.io\nfrom sklearn.linear_model import Ridge\n\n"
        "def save(model):\n    return skops.io.dumps(model)\n",
        "load": "def load(content):\n    return skops.io.loads(content)\n",
    }

    assert fit(named(**kept)).files() == fit(named(**kept)).files()

"""The gate for pull requests: the last retrainings made again, with the code and settings before and after a change.

It needs a clone with its tags, and the data of those retrainings in the DVC cache or remote: no store, no MLflow.
"""

import json
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import reduce
from hashlib import sha256
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from retrim.adapters import dvc, environment, git
from retrim.adapters.dvc_session import StageFailedError, end_survivors
from retrim.adapters.exhibits import predicted_of
from retrim.adapters.great_expectations import read_suite
from retrim.adapters.wheel import LOCK, NOTE, dependencies_in
from retrim.card.change import (
    ChangeReview,
    ReplayedRetraining,
    review_all,
    review_retraining,
    settings_read,
)
from retrim.card.diff import flat
from retrim.decision.pins import Pins
from retrim.errors import BadInputError, RetrimError
from retrim.files import Paths, code_digest, platform_tag
from retrim.gate.change import ChangeVerdict, Outcome
from retrim.gate.verdict import VerdictRecord
from retrim.lineage.locks import held_locks, using_cache
from retrim.lineage.own_code import pinned_code
from retrim.lineage.workspace import Workspace, report_progress
from retrim.parquet import read_parquet
from retrim.settings import Params, effective, parse_params, resolved, stated_digest, to_settings_file
from retrim.stats.bootstrap import Resampling
from retrim.stats.codec import from_record, spell_moment, to_json, to_record
from retrim.stats.metrics import row_losses
from retrim.training.mode import StageLimits, limits_of_stage
from retrim.yaml_files import read_yaml

GRAPH, PINS, SETTINGS = "dvc.yaml", "data/pins.json", "data/settings.json"
READ = (GRAPH, "expectations", LOCK, NOTE, "src")
"""What a retraining reads of a commit beside its settings."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class PastRetraining:
    version: int
    commit: str
    pins: Pins


@dataclass(frozen=True)
class ChangeSide:
    """The workspace before or after the change, in a worktree of its own."""

    folder: Path
    commit: str
    document: dict[str, JsonValue]
    settings: dict[str, JsonValue]
    params: Params
    python: Path


def review_change(workspace: Workspace, *, base: str, last: int, say: Say) -> ChangeReview:
    """Makes the last retrainings again before and after a change, and compares what both lose.

    Each has the data, the champion and the pins of its date. What DVC has in its cache is not made again.

    Raises:
        BadInputError: There is no such commit, or a params.yaml or the suite is wrong.
        RetrimError: The data of a retraining is not there, or it cannot be made again as it was.
    """
    root = workspace.paths.root
    forked, head = _fork(root, base), git.git(root, "rev-parse", "HEAD")
    read_suite(root / workspace.params.data.suite)
    files = tuple(git.git(root, "diff", "--name-only", forked, head, "--", *READ).splitlines())
    with (
        held_locks(workspace, "pull-request"),
        using_cache(workspace),
        _side(workspace, "before", forked, say) as before,
        _side(workspace, "after", head, say) as after,
    ):
        settings = settings_read(flat(before.settings), flat(after.settings), _sections(after.folder))
        past = past_retrainings(root, before.params.data.model, last=last) if files or settings else []
        replayed, failure = _replay_all(workspace, past, before, after, say)
    params = before.params
    resampling = Resampling(params.judge.draws, params.judge.block_rows, params.gate.seed)
    together: ChangeVerdict | None = None
    outcome: Outcome = "same"
    sentence = "nothing that a retraining reads has changed"
    if failure is not None:
        outcome, sentence = "failed", failure
    elif replayed:
        together = review_all(replayed, params.gate, resampling)
        outcome, sentence = together.outcome, together.sentence
    elif files or settings:
        outcome, sentence = "nothing to replay", "no retraining has been tagged yet, so there is nothing to replay"
    return ChangeReview(
        base=forked,
        head=head,
        files=files,
        settings=settings,
        loss=params.judge.loss,
        retrainings=tuple(review_retraining(retraining, params.gate, resampling) for retraining in replayed),
        together=together,
        outcome=outcome,
        sentence=sentence,
    )


def past_retrainings(root: Path, model: str, *, last: int) -> list[PastRetraining]:
    """The last retrainings that have a tag, oldest first."""
    prefix = f"retrim/{model}/v"
    names = git.git(root, "tag", "--list", f"{prefix}*").splitlines()
    numbers = sorted(int(name.removeprefix(prefix)) for name in names if name.removeprefix(prefix).isdigit())
    retrainings: list[PastRetraining] = []
    for number in reversed(numbers):
        commit = git.commit_of(root, f"{prefix}{number}")
        if commit is None or len(retrainings) == last:
            break
        pins = from_record(Pins, json.loads(git.file_at(root, commit, PINS)))
        retrainings.append(PastRetraining(number, commit, pins))
    return retrainings[::-1]


def _fork(root: Path, base: str) -> str:
    """Where the change forked from its base."""
    if git.commit_of(root, base) is None:
        raise BadInputError(
            f"--base: this repository has no commit or branch {base!r}; fetch it with its full history and all tags"
        )
    try:
        return git.git(root, "merge-base", base, "HEAD")
    except RetrimError as error:
        raise BadInputError(
            f"--base: {base!r} and HEAD have no common ancestor in this clone; fetch the full history of both"
        ) from error


@contextmanager
def _side(workspace: Workspace, name: str, commit: str, say: Say) -> Iterator[ChangeSide]:
    """The workspace at a commit, until the context ends."""
    folder = workspace.paths.runs / f"pull-request-{name}"
    end_survivors(folder)
    dvc.close_run_directory(workspace.paths, folder)
    git.add_worktree(workspace.paths.root, folder, commit)
    try:
        dvc.share_cache(workspace.paths, folder)
        document = read_yaml(folder / "params.yaml")
        params = parse_params(resolved(folder, document), f"params.yaml at {commit[:12]}")
        yield ChangeSide(
            folder=folder,
            commit=commit,
            document=document,
            settings=effective(folder, document, "params.yaml"),
            params=params,
            python=_python_of(workspace, folder, say),
        )
    finally:
        dvc.close_run_directory(workspace.paths, folder)


def _python_of(workspace: Workspace, folder: Path, say: Say) -> Path:
    """This interpreter, unless a commit stands on other packages than the checkout: then one that has those."""
    here = (workspace.paths.root / LOCK).read_text(encoding="utf-8")
    if dependencies_in((folder / LOCK).read_text(encoding="utf-8")) == dependencies_in(here):
        return Path(sys.executable)
    lock = environment.dependencies_of(folder)
    return environment.built_from(lock, workspace.paths.environments, gently=False, say=say)


def _sections(folder: Path) -> list[str]:
    """The settings that a stage reads, as dvc.yaml lists them."""
    parts = (part for stage in dvc.graph_of(folder).values() for part in stage.params)
    return [name for part in parts if isinstance(part, dict) for name in part.get(SETTINGS) or []]


def _replay_all(
    workspace: Workspace, past: Sequence[PastRetraining], before: ChangeSide, after: ChangeSide, say: Say
) -> tuple[list[ReplayedRetraining], str | None]:
    """Each retraining on both sides, and why the change could not be trained, where that is so."""
    replayed: list[ReplayedRetraining] = []
    loss = before.params.judge.loss
    for place, retraining in enumerate(past):
        report_progress(f"version {retraining.version} before the change", 2 * place, 2 * len(past))
        try:
            old = _replay(workspace, retraining, before, loss=loss, say=say)
        except StageFailedError as error:
            raise RetrimError(
                f"version {retraining.version} cannot be rebuilt with the code and settings from before the change, so "
                f"there is nothing to compare the change with; correct the base first: {error}"
            ) from error
        report_progress(f"version {retraining.version} after the change", 2 * place + 1, 2 * len(past))
        try:
            new = _replay(workspace, retraining, after, loss=loss, say=say)
        except StageFailedError as error:
            return replayed, f"version {retraining.version} cannot be rebuilt with the change: {_why(error)}"
        replayed.append(
            ReplayedRetraining(
                retraining.version,
                spell_moment(retraining.pins.as_of),
                retraining.pins.mode,
                promoted=(old[0], new[0]),
                losses=(old[1], new[1]),
            )
        )
    return replayed, None


def _why(error: StageFailedError) -> str:
    """What a stage said at its end: its own error where it printed one, without what DVC says of that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return f"stage {error.stage}: {errors[-1] if errors else ' '.join(lines[-3:])}"


def _replay(
    workspace: Workspace, past: PastRetraining, side: ChangeSide, *, loss: str, say: Say
) -> "tuple[bool, pd.Series[float]]":
    """Makes one retraining in the worktree of a side: the gate's answer, and the loss of each judged row."""
    folder, paths = side.folder, Paths(side.folder)
    git.git(folder, "checkout", past.commit, "--", *dvc.COMMITTED)
    for out in (paths.candidate, paths.table, paths.view):  # of the retraining before
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
    dvc.lay_inputs(workspace.paths, folder)
    dvc.lay_code(folder)
    _pin(workspace, past, side)
    stages = dvc.stages(folder)
    limit = limits_of_stage(side.params.retrain.stage_heartbeat, earlier=())
    limits = reduce(StageLimits.together, [limit] * len(stages))
    dvc.reproduce_all(folder, python=side.python, limits=limits, gently=False, anew=False, say=say)
    verdict = from_record(VerdictRecord, json.loads((paths.verdict / "verdict.json").read_bytes()))
    return verdict.promote, _losses(paths, verdict.winner, loss)


def _pin(workspace: Workspace, past: PastRetraining, side: ChangeSide) -> None:
    """Pins the code and settings of a side, and all else as the retraining had it."""
    paths = Paths(side.folder)
    settings = to_settings_file(side.settings)
    pins = replace(
        past.pins,
        python=platform.python_version(),
        platform=platform_tag(),
        params_digest=stated_digest(side.document),
        settings_digest=sha256(settings).hexdigest(),
        code_digest=code_digest(dvc.package_of(side.folder)),
        own=pinned_code(workspace.paths.root, side.commit),
    )
    paths.pins.write_bytes(to_json(to_record(pins)))
    paths.settings.write_bytes(settings)


def _losses(paths: Paths, winner: str, loss: str) -> "pd.Series[float]":
    """The winner's loss on each judged row, under its key, in time order."""
    judged = read_parquet(paths.verdict / "judged.parquet")
    losses = row_losses(loss, judged["actual"].to_numpy(), predicted_of(judged, winner))
    return pd.Series(losses, index=pd.Index(judged["_key"]))

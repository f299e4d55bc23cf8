"""What is said in a workspace without servers: of its versions, runs, decisions and keys."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from retrim.adapters.signing import Keys
from retrim.checking.mode import mode_now
from retrim.checking.score import tell_columns_gone
from retrim.cli.render import OUT
from retrim.cli.version_screens import show_fairness
from retrim.decision.stored_rows import Lineage, Origin
from retrim.files import WorkspacePaths, dump_yaml
from retrim.lineage.own_code import refuse_strange_code
from retrim.lineage.workspace import Workspace, refuse_same_names
from retrim.release.versions import (
    GRAIN,
    ORIGIN,
    load_stored_version,
    require_grain,
    verify_attestation,
    verify_log,
)
from retrim.reports.distributions import verify_alarms
from retrim.reports.explain import explain
from retrim.reports.fairness import fairness_of
from retrim.reports.health import find_models
from retrim.reports.what_if import effect_of
from retrim.retraining.card import make_card
from retrim.retraining.exchange import ExportManifest, VersionArchive, _finish, judge_import
from retrim.settings import Env
from retrim.stats.codec import to_record
from retrim.training.estimators import CODE_FILE
from tests.builders.desk import Desk, make_desk
from tests.builders.proved import move
from tests.cures_settings.case import GONE, Asked, Case
from tests.cures_settings.functions import LINEAR, NUMBER, space
from tests.cures_settings.loading import DAYS, OWN
from tests.release.test_attestations import attest, fields

FORBIDDEN = {"data.columns.group.role": "forbidden"}
SMALL_TRY = {"tune.max_rounds": 15, "backtest.origins": 1}


def alerts(desk: Desk) -> str:
    return "; ".join(row.text for row in desk.workspace.store.alerts(desk.workspace.model))


def checked(desk: Desk, day: float) -> str:
    """All that a check records, after two more days of rows."""
    desk.land(desk.rows(day - 2, day), day)
    return str(desk.check(day).record) + alerts(desk)


# --- of versions


def explained(asked: Asked) -> None:
    explain(asked.desk.workspace, "300", version=None, asked=None, now=asked.desk.day(20))


def column_gone(asked: Asked) -> str:
    tell_columns_gone(asked.desk.workspace, 2, now=asked.desk.day(20))
    return alerts(asked.desk)


def imported(asked: Asked) -> None:
    judge_import(asked.desk.workspace, load_stored_version(asked.desk.workspace, 1).files, None, now=asked.desk.day(20))


def on_probation(asked: Asked) -> str:
    return checked(asked.desk, 20)


def mode(asked: Asked) -> str:
    return mode_now(asked.desk.workspace).reason


def verified(asked: Asked) -> None:
    verify_alarms(asked.desk.workspace, splits=1, checks=2)


def of_a_grain(asked: Asked) -> None:
    require_grain(asked.desk.workspace, {GRAIN: None}, "version 1")


def card(asked: Asked) -> str:
    return make_card(asked.desk.workspace, 1, pictures=None).markdown


def fairness(asked: Asked) -> str:
    desk = asked.desk
    desk.make_version(18.5)
    with OUT.capture() as shown:
        show_fairness(fairness_of(desk.workspace, 3))
    return " ".join(shown.get().split())


# --- of decisions and runs


def too_few_rows(asked: Asked) -> str:
    return checked(asked.desk, 20)


# --- of other workspaces


def twins(asked: Asked) -> str:
    """Two workspaces in one store; the model of the second is as asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIM_STORE_URL", f"sqlite:///{asked.folder / 'store.db'}")
        for name, model in (("one", "generated"), ("two", asked.params.data.model)):
            workspace = make_desk(asked.folder / name, data={"model": model}).workspace
            assert workspace.store is not None
            (workspace.paths.root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
            document = dump_yaml(workspace.params.as_stated())
            (workspace.paths.root / "params.yaml").write_text(document, encoding="utf-8")
        places = find_models([asked.folder], here=asked.folder / "one", now=asked.desk.day(30))
    return "; ".join(fault for place in places for fault in place.faults)


def served_twins(asked: Asked) -> None:
    refuse_same_names(["generated", asked.params.data.model])


def signed_by_others(asked: Asked) -> None:
    file, theirs = asked.folder / "attestation.json", Keys(asked.folder / "theirs")
    file.write_bytes(attest(theirs, fields()))
    workspace, proof = asked.desk.workspace, asked.params.proof
    trusted = tuple(str(theirs.public) for _ in proof.trusted_keys)  # which key that is, is known only now
    params = asked.params.model_copy(update={"proof": proof.model_copy(update={"trusted_keys": trusted})})
    verify_attestation(replace(workspace, params=params), file, key=None)


def log_of_others(asked: Asked) -> None:
    """A clone reads the log of the workspace that it is of from their store."""
    theirs, workspace, proof = Keys(asked.folder / "theirs"), asked.desk.workspace, asked.params.proof
    row = move(workspace.model, 1, at="2024-01-20T00:00:00+00:00", action="rollback")
    workspace.store.add_release(row, expected=2, keys=theirs)
    trusted = tuple(str(theirs.public) for _ in proof.trusted_keys)  # which key that is, is known only now
    params = asked.params.model_copy(update={"proof": proof.model_copy(update={"trusted_keys": trusted})})
    verify_log(replace(workspace, params=params), kept=None)


def strange_code(asked: Asked) -> None:
    """A bundle holds the very bytes of models/m.py here."""
    (asked.folder / "models").mkdir()
    (asked.folder / "models" / "m.py").write_bytes(b"# ours\n")
    (asked.folder / "params.yaml").write_text(dump_yaml(asked.document), encoding="utf-8")
    workspace = Workspace(WorkspacePaths(asked.folder), asked.params, Env())
    refuse_strange_code(workspace, {f"models/all/{CODE_FILE}": b"# ours\n"})


def waiting(asked: Asked) -> str:
    """An imported version that the gate promotes."""
    desk = asked.desk
    row = desk.workspace.store.version(desk.workspace.model, desk.make_version(19, waits=True))
    assert row is not None
    origin = Origin("generated", 2, "", "", "", None, "0" * 64, None)
    row = replace(row, lineage=row.lineage | {ORIGIN: to_record(origin), "champion": 2})
    said = ExportManifest("generated", 2, "", "", "", "", "", Lineage())
    parcel = VersionArchive(said, {}, {}, origin, (), "")
    return _finish(desk.workspace, row, parcel, who=("a test", None), now=desk.day(20)).reason


# --- of settings that are tried


def tried(asked: Asked) -> None:
    """What is asked for is not set but tried."""
    desk = replace_params(asked, SMALL_TRY)
    desk.land(desk.rows(0, 12), 12)
    effect_of(desk.workspace, asked.settings, origins=None, now=desk.day(12))


def replace_params(asked: Asked, settings: Mapping[str, Any]) -> Desk:
    return replace(asked, settings=settings).desk


WITHOUT_SLOPE = {
    "at": {"type": "time", "role": "time"},
    "number": {"type": "integer", "role": "forbidden"},
    "level": NUMBER,
    "noise": NUMBER,
    "group": {"type": "category", "role": "feature"},
    "outcome": {"type": "number", "role": "target"},
}
OTHERWISE = {"data.columns.noise.role": "forbidden"}
OTHER_TARGET = {"data.columns.outcome.role": "feature", "data.columns.level.role": "target"}
Made = partial(Case, made=True)
WORKSPACES = (
    Made("row {} had not landed by {}, or data.rows leaves it out; change data.rows, or pass the row as a file",
         {"data.rows.where": [{"column": "level", "at_least": 99.0}]}, ({"data.rows.where": []},), explained),
    Made("If {} renamed, declare it: data.columns, `was: {}`", {"data.columns.slope": GONE},
         ({"data.columns.incline": {**NUMBER, "was": "slope"}},), column_gone),
    Made("the imported model uses {}, which fairness.forbidden forbids here",
         FORBIDDEN | {"fairness.forbidden": ["group"]}, ({"fairness.forbidden": []},), imported),
    Made("version {} uses {}, which fairness.forbidden forbids now", FORBIDDEN | {"fairness.forbidden": ["group"]},
         ({"fairness.forbidden": []},), on_probation),
    Made("train.model is {}, but the live version is a {}, so there is no recipe to start from", LINEAR | space(l2=0.1),
         ({"train.model": "gbm"},), mode),
    Made("{}; release.approval requires a person to approve it: import it again with --reason",
         {"release.approval.moves": ["promote"]},
         ({"release.approval.moves": []},), waiting),
    Case("drift.alarms is null, so no rate of false alarms is set; set it, for example to "
         "{at_most: 1}", {"drift.alarms": None},
         ({"drift.alarms": {"at_most": 1}},), verified,
         then="no version is live"),
    Case("{} was trained on rows of a different granularity: data.rows.resample was {} and is {}. Change it back",
         {"data.rows.resample": DAYS}, ({"data.rows.resample": None},), of_a_grain),
    Made("not stated (card.owner in params.yaml)", {}, ({"card.owner": "the depot"},), card),
    Made("not stated (card.purpose in params.yaml)", {}, ({"card.purpose": "planning"},), card),
    Made("nothing yet (card.limits in params.yaml)", {}, ({"card.limits": "not for prices"},), card),
    Made("no groups were declared when it was judged; declare them under fairness.groups in params.yaml", {},
         ({"fairness.groups": [{"column": "group", "cuts": [], "least_rows": 5}]},), fairness),
    Made("more new rows: half of gain.rows_per_check, 20 to 100",
         {"triggers.rules": ["drift"], "gain.rows_per_check": 300}, ({"gain.rows_per_check": 48},), too_few_rows),
    Case("{} has the same model name in the same store; rename one of the two (data.model)", {},
         ({"data.model": "other"},), twins),
    Case("two workspaces have the model name {}; change the name in one of them (data.model)", {},
         ({"data.model": "other"},), served_twins),
    Case("the file was signed by {}, which is neither the key of this workspace nor in proof.trusted_keys of "
        "params.yaml", {},
         ({"proof.trusted_keys": ["theirs"]},), signed_by_others),
    Case("which is not a trusted key here; if this is a clone of the signer's workspace, add the key to "
         "proof.trusted_keys", {}, ({"proof.trusted_keys": ["theirs"]},), log_of_others, made=True),
    Case("the imported model contains custom code (SHA-256 {}, {} bytes), but train.model is not set to a file with "
         "the same bytes", {}, ({"train.model": OWN},), strange_code),
    Case("{}: this does not change how a model is trained; change a key of data, prepare or train, or "
         "split.sliding_rows or judge.loss", {"gate.min_gain": 0.5},
         ({"split.sliding_rows": 100}, {"judge.loss": "mse"}), tried),
    Case("data.columns.{}: no landed column has this name and the type {}; name one of: ",
         OTHERWISE | {"data.columns.level.type": "integer"}, ({"data.columns.level.type": "number"},), tried),
    Case("data.columns: the role {} moves to a different column; keep the role as in params.yaml",
         OTHERWISE | OTHER_TARGET,
         ({"data.columns.outcome.role": "target", "data.columns.level.role": "feature"},), tried),
    Case("data.columns: the landed column {} is missing; keep it, and set its role to forbidden",
         {"data.columns": WITHOUT_SLOPE},
         ({"data.columns": WITHOUT_SLOPE | {"slope": {"type": "number", "role": "forbidden"}}},), tried),
)  # fmt: skip

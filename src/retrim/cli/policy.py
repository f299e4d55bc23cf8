"""Commands about policies and settings: what they would have done on history, what is on hold, what is set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli import render
from retrim.cli.base import AsJson, By, Now, argument, as_time, example, option, past_time, workspace_here
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths, write_file
from retrim.yaml_files import load_yaml

if TYPE_CHECKING:
    import pandas as pd
    from pydantic import JsonValue


NOT_COMMITTED = (
    "params.yaml is not committed; runs use it as it is. To keep it with the history: git commit params.yaml"
)

policy_app = typer.Typer(help="Compare retraining policies, acknowledge holds, and pause.")
settings_app = typer.Typer()


@policy_app.command(epilog=example("retrim policy backtest --with gain.cost=0.3"))
def backtest(
    windows: Annotated[
        int | None, option("--windows N", "Number of windows. Each window stands for one check. Default: 50.", min=5)
    ] = None,
    since: Annotated[str | None, option("--from TIME", "Leave out events before this time (UTC).")] = None,
    settings: Annotated[
        list[str] | None, option("--with KEY=VALUE", "Try another value of a setting, given in YAML. May be repeated.")
    ] = None,
    base: Annotated[
        str | None,
        option(
            "--base GITREF", "Repeat the last retrainings without and with the changes since this branch or commit."
        ),
    ] = None,
    last: Annotated[int, option("--last N", "With --base: number of retrainings to repeat.", min=1)] = 3,
    to: Annotated[
        Path | None, option("--to FILE", "With --base: write the comment, in Markdown, to this file.")
    ] = None,
    only_worse: Annotated[
        bool, option("--only-worse", "With --base: fail only if the change is shown to be worse, or cannot be trained.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Try policies, changed settings or changed code on your history.

    The command fits one model per window, then computes what each policy would have cost. The policies are: never
    retrain, retrain by calendar, drift, performance or accumulated gain, and the best schedule in hindsight. If the
    command is stopped, the next call continues where it stopped. The advice weighs the whole history. It may be never
    to retrain, or that there are too few windows to tell.

    A setting given by --with that changes how a model is fitted is refitted at several dates, beside the current
    settings: loss with its interval, seconds, slices. With other settings, the policies are played under them.

    With --base, the last retrainings are repeated as of their dates. This works in a clone that has the tags and the
    DVC remote. The exit code is 1 if the change is worse, cannot be trained, or is not shown to be safe.
    """
    start = None if since is None else as_time(since)
    if base is not None:
        if settings or windows is not None or since is not None:
            raise BadInputError("--base cannot be combined with --with, --windows or --from")
        _compare_with_base(base, last=last, to=to, only_worse=only_worse, as_json=as_json)
    elif settings:
        _compare_settings(assignments(settings), windows, start, as_json=as_json)
    else:
        _compare_policies(windows, start, as_json=as_json)


def _compare_policies(windows: int | None, since: "pd.Timestamp | None", *, as_json: bool) -> None:
    from retrim.reports.policy import backtest as op
    from retrim.reports.policy_report import command_for, policy_report

    with render.progress():
        result = op(workspace_here(), now=as_time(None), windows=windows, since=since)
    render.show(result, policy_report(result), as_json=as_json)
    for policy in () if as_json else result.policies:
        if policy.name == result.recommended:
            render.say(f"switch it on: {command_for(policy.changes)}")


def _show_retraining_cost(cost: float, per_row: float, currency: str, *, as_json: bool) -> None:
    from retrim.card.report import Facts
    from retrim.checking.price import retraining_cost_of

    priced = retraining_cost_of(workspace_here(), cost=cost, per_row=per_row, currency=currency, now=as_time(None))
    money, times = priced.money, priced.judged_losses
    unit = f"one unit over the {priced.rows_per_check} rows of a usual check costs {money.per_unit:.6g} {currency}"
    facts = (
        ("in the loss", f"{money.retraining_cost:.6g} {priced.loss} x checks"),
        ("in judged losses", None if times is None else f"{times:.4g} times the live version's {priced.loss}"),
        ("in money", f"{money.cost:.6g} {currency}; {unit}"),
        ("checks", f"about {priced.checks_of_year:.3g} a year"),
    )
    lines = (f"  {line}" for line in priced.lines)
    how = "In params.yaml, replace the matching lines of the section gain with:"
    render.show(priced, (Facts(facts), priced.sentence, how, *lines), as_json=as_json)


def assignments(texts: list[str]) -> "dict[str, JsonValue]":
    """Values by dotted key, from `KEY=VALUE`, the value as params.yaml would have it."""
    from ruamel.yaml.error import YAMLError

    values: dict[str, JsonValue] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise BadInputError(f"{text!r} is not of the form KEY=VALUE, such as train.windows=[sliding]")
        try:
            values[key.strip()] = load_yaml(value)
        except (YAMLError, ValueError) as error:
            why = " ".join(str(error).split())
            raise BadInputError(
                f"{key.strip()}: {value!r} cannot be read as YAML ({why}); put text with special characters in quotes"
            ) from error
    return values


def _compare_settings(
    changes: "dict[str, JsonValue]", windows: int | None, since: "pd.Timestamp | None", *, as_json: bool
) -> None:
    """Refits what changes a fit; else plays the policies under the changed settings."""
    from dataclasses import replace

    from retrim.cli.screens.versions import refits_report
    from retrim.reports.changed_settings import compare_refits, try_settings
    from retrim.reports.policy import backtest as op
    from retrim.reports.policy_report import policy_report

    workspace, now = workspace_here(), as_time(None)
    tried, is_fitted_otherwise = try_settings(workspace, changes)
    if is_fitted_otherwise:
        with render.progress():
            refits = compare_refits(workspace, changes, tried, now=now)
        render.show(refits, refits_report(refits), as_json=as_json)
        return
    with render.progress():
        current, changed = (
            op(side, now=now, windows=windows, since=since) for side in (workspace, replace(workspace, params=tried))
        )
    report = (*policy_report(changed), f"with the current settings: {current.sentence}")
    render.show({"current": current, "changed": changed}, report, as_json=as_json)


def _compare_with_base(base: str, *, last: int, to: Path | None, only_worse: bool, as_json: bool) -> None:
    """Prints the comment of a pull request; ends with 1 where it must not be merged."""
    from retrim.card.change import as_comment
    from retrim.operations.pull_request import review_change

    workspace = workspace_here()
    with render.progress():
        review = review_change(workspace, base=base, last=last, say=lambda _line: None)
    comment = as_comment(review)
    if to is not None:
        write_file(to, comment.encode())
    if as_json:
        render.show_json(review)
    else:
        render.say(comment)
    raise typer.Exit(0 if review.passes or (only_worse and review.outcome == "unclear") else 1)


@policy_app.command(epilog=example("retrim policy acknowledge --reason 'a fair in town, over by Monday'"))
def acknowledge(
    reason: Annotated[str, option("--reason", "Why no retraining is needed. The reason is stored with the record.")],
    by: By,
    kind: Annotated[
        str | None,
        argument(
            "[KIND]",
            "Kind of warning: loss_above_expected, worse_than_naive, segment_worse, suspicious_batch or "
            "holds_withdrawn_batch. Default: the decision on hold.",
        ),
    ] = None,
    until: Annotated[
        str | None, option("--until TIME", "With KIND: until when (UTC). Default: for seven days.")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Acknowledge a decision on hold, or mute a kind of warning.

    A hold ends without a retraining. The acknowledgement lasts until the alarm clears. If the alarm returns later, it
    counts as new. The count of refused runs starts again at zero. `retrim why` shows who acknowledged the decision,
    when and why. The exit code is 1 if nothing is on hold.

    Warnings of a KIND are neither sent nor counted for a while. `retrim status` goes on to show them. For
    suspicious_batch, the batches that have landed by now are answered for good, and later ones warn again after that
    time.
    """
    import pandas as pd

    from retrim.checking.holds import acknowledge as answer_hold
    from retrim.release.acknowledged import acknowledge_kind

    if kind is None:
        if until is not None:
            raise BadInputError("--until needs a kind of warning; name one before it, such as suspicious_batch")
        done = answer_hold(workspace_here(), reason=reason, by=by, now=past_time(now))
        what = f"{' and '.join(done.rules)} is acknowledged until it clears" if done.rules else "checks continue"
        render.show(done, f"acknowledged by {done.by}: {what}\nshow it: retrim why {done.id}", as_json=as_json)
        return
    moment = as_time(now)
    ends = moment + pd.Timedelta("7D") if until is None else as_time(until)
    muted = acknowledge_kind(workspace_here(), kind, until=ends, by=by, reason=reason, now=moment)
    render.show(muted, f"acknowledged until {muted.until:%Y-%m-%d %H:%M}: {muted.kind}", as_json=as_json)


@policy_app.command(epilog=example('retrim policy pause --reason "the source is being moved"'))
def pause(
    by: By,
    reason: Annotated[str, option("--reason", "The reason, which is stored with the decision.")],
    end: Annotated[bool, option("--end", "End the pause: the next check acts on what it decides.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop automatic retraining and promotion, until --end.

    Checks go on, measure, and say what they would have decided. No run starts by itself, and no version goes live by
    itself. A run in progress ends, and its version waits for a person, also after the pause. `retrim retrain`, `retrim
    versions approve` and `retrim versions rollback` still work.
    """
    from retrim.release import pause as pauses

    workspace, now = workspace_here(), as_time(None)
    if end:
        ended = pauses.resume(workspace, by=by, reason=reason, now=now)
        text = f"resumed; it was {ended.text}. The next check acts on what it decides: retrim check"
        render.show({"ended": ended}, text, as_json=as_json)
    else:
        paused = pauses.pause(workspace, by=by, reason=reason, now=now)
        render.show({"paused": paused}, f"{paused.text}; to end that: {pauses.RESUME}", as_json=as_json)


@settings_app.command(epilog=example("retrim settings gate.min_gain=0.02"))
def settings(
    what: Annotated[
        list[str] | None,
        argument(
            "[KEY | KEY=VALUE ...]",
            "A section such as gate, or a setting such as gate.min_gain, to show; or settings to change, as dotted "
            "keys with values in YAML. Default: show every setting.",
        ),
    ] = None,
    pin: Annotated[bool, option("--pin", "In a run directory: apply the edited params.yaml to its stages.")] = False,
    cost: Annotated[
        float | None, option("--cost", "Compute gain.cost from what a retraining costs: compute, review and churn.")
    ] = None,
    per_row: Annotated[
        float | None,
        option(
            "--per-row", "With --cost: what one unit of loss of one row costs, such as one minute for one delivery."
        ),
    ] = None,
    currency: Annotated[str, option("--currency", "With --cost: name of the currency.")] = "EUR",
    as_json: AsJson = False,
) -> None:
    """Show settings and where each was set, or change them.

    KEY=VALUE is checked and written into params.yaml, whose comments stay. --pin writes the effective settings of a run
    directory to data/settings.json; then `dvc repro` runs the stages whose settings changed.

    --cost prints the retraining cost in units of the loss and in money, when a retraining pays for itself, and the
    lines for params.yaml. It refuses a cost above all loss of a year. It writes nothing.
    """
    from retrim.lineage.settings_file import pin_settings, set_settings

    paths, words = WorkspacePaths.find(Path.cwd()), what or []
    if cost is not None or per_row is not None:
        if words or pin or cost is None or per_row is None:
            raise BadInputError("--cost and --per-row go together and without a key: both are amounts of money")
        _show_retraining_cost(cost, per_row, currency, as_json=as_json)
    elif pin:
        if words:
            raise BadInputError("--pin takes no key; change the setting first, then run `retrim settings --pin`")
        render.say(f"written: {pin_settings(paths).relative_to(paths.root)}")
    elif any("=" in word for word in words):
        changed = set_settings(paths, assignments(words))
        lines = [f"{key}: {old} -> {new}" for key, (old, new) in changed.items()]
        text = "\n".join([*lines, NOT_COMMITTED]) if lines else "params.yaml already has these values"
        render.show({"changes": changed}, text, as_json=as_json)
    elif len(words) > 1:
        raise BadInputError(f"cannot show {len(words)} keys at once; pass one key, or KEY=VALUE to change settings")
    else:
        _show_settings(paths, words[0] if words else None, as_json=as_json)


def _show_settings(paths: WorkspacePaths, key: str | None, *, as_json: bool) -> None:
    import json

    from retrim.lineage.settings_list import effective_settings, settings_within

    listed = effective_settings(paths, key)
    if as_json:
        render.show_json(listed)
        return

    def cell(value: "JsonValue") -> str:
        return json.dumps(value, ensure_ascii=False)

    rows = [
        (one.key, cell(one.value), "" if one.value == one.default else cell(one.default), one.set_in) for one in listed
    ]
    render.show_table(("key", "value", "default", "set in"), rows)
    if len(listed) == 1:
        render.say(listed[0].description)
        if within := settings_within(listed[0].key):
            render.show_table(("key", "default", "allowed", "what it is"), within)

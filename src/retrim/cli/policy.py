"""Commands about policies and settings: what they would have done on history, what a retraining costs, what is set."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from retrim.cli.base import AsJson, as_time, example, workspace_here

if TYPE_CHECKING:
    from pydantic import JsonValue

    from retrim.reports.policy import BacktestRequest, BacktestResult

policy_app = typer.Typer(help="Compare retraining policies, and acknowledge holds.")


def cost_list(text: str) -> tuple[float, ...]:
    """Numbers above 0, separated by commas."""
    from retrim.errors import BadInputError

    try:
        retraining_costs = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise BadInputError(f"--costs: {text!r} is not a list of numbers; write a list such as 0.25,0.5,1") from error
    if not all(retraining_cost > 0 for retraining_cost in retraining_costs):
        raise BadInputError(f"--costs: {text!r} contains a retraining cost of 0 or less; pass costs above 0")
    return retraining_costs


@policy_app.command(epilog=example("retrim policy backtest --with gain.cost=0.3"))
def backtest(
    windows: Annotated[
        int | None,
        typer.Option(
            "--windows", metavar="N", min=5, help="Number of windows. Each window stands for one check. Default: 50."
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Leave out events before this time (UTC).")
    ] = None,
    retraining_costs: Annotated[
        str | None,
        typer.Option(
            "--costs",
            metavar="P,P",
            help="Retraining costs to try, in the unit of gain.cost. Default: 0.25, 0.5, 2 and 4 times gain.cost.",
        ),
    ] = None,
    label_delay: Annotated[
        int | None,
        typer.Option(
            "--label-delay",
            metavar="N",
            min=0,
            help="Number of windows that pass until labels are known. Default: measured on the history.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="KEY=VALUE", help="Try another value of a setting, given in YAML. May be repeated."
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="GITREF",
            help="Repeat the last retrainings without and with the changes since this branch or commit.",
        ),
    ] = None,
    last: Annotated[
        int, typer.Option("--last", metavar="N", min=1, help="With --base: number of retrainings to repeat.")
    ] = 3,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="With --base: write the comment, in Markdown, to this file."),
    ] = None,
    only_worse: Annotated[
        bool,
        typer.Option(
            "--only-worse", help="With --base: fail only if the change is shown to be worse, or cannot be trained."
        ),
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
    from retrim.errors import BadInputError
    from retrim.reports.policy import BacktestRequest

    request = BacktestRequest(
        windows=windows,
        since=None if since is None else as_time(since),
        retraining_costs=None if retraining_costs is None else cost_list(retraining_costs),
        label_delay=label_delay,
    )
    if base is not None:
        if settings or request != BacktestRequest():
            raise BadInputError("--base cannot be combined with --with, --windows, --from, --costs or --label-delay")
        _compare_with_base(base, last=last, to=to, only_worse=only_worse, as_json=as_json)
    elif settings:
        _compare_settings(assignments(settings), request, as_json=as_json)
    else:
        _compare_policies(request, as_json=as_json)


def _compare_policies(request: "BacktestRequest", *, as_json: bool) -> None:
    from retrim.cli import render
    from retrim.reports.policy import backtest as op
    from retrim.reports.policy_report import command_for

    with render.progress():
        result = op(workspace_here(), request, now=as_time(None))
    if as_json:
        render.show_json(result.as_record())
        return
    _show_policies(result)
    if result.recommended is not None and result.recommended.changes is not None:
        command = command_for(result.recommended.changes)
        render.OUT.print(f"switch it on: {command}", highlight=False, markup=False, soft_wrap=True)


def _show_policies(result: "BacktestResult") -> None:
    from retrim.cli import render
    from retrim.reports.policy_report import COLUMNS, facts, lines

    render.show_table(COLUMNS, lines(result))
    render.OUT.print()
    for fact in facts(result):
        render.OUT.print(fact, style="dim", highlight=False, markup=False)
    render.OUT.print()
    render.OUT.print(result.choice.sentence, highlight=False, markup=False)


@policy_app.command("cost", epilog=example("retrim policy cost --cost 40 --per-row 0.02 --currency EUR"))
def retraining_cost(
    cost: Annotated[float, typer.Option("--cost", help="Cost of one retraining, including compute, review and churn.")],
    per_row: Annotated[
        float,
        typer.Option("--per-row", help="What one unit of loss of one row costs, such as one minute for one delivery."),
    ],
    currency: Annotated[str, typer.Option("--currency", help="Name of the currency.")] = "EUR",
    as_json: AsJson = False,
) -> None:
    """Compute gain.cost from what retraining and loss cost in money.

    The command prints the retraining cost in units of the loss and in money, when a retraining pays for itself, and the
    lines for params.yaml. It refuses a cost above all loss of a year. It writes nothing.
    """
    from retrim.checking.price import retraining_cost_of
    from retrim.cli import render

    priced = retraining_cost_of(workspace_here(), cost=cost, per_row=per_row, currency=currency, now=as_time(None))
    if as_json:
        render.show_json(priced)
        return
    money, times = priced.money, priced.judged_losses
    unit = f"one unit over the {priced.rows_per_check} rows of a usual check costs {money.per_unit:.6g} {currency}"
    render.show_facts(
        [
            ("in the loss", f"{money.retraining_cost:.6g} {priced.loss} x checks"),
            ("in judged losses", None if times is None else f"{times:.4g} times the live version's {priced.loss}"),
            ("in money", f"{money.cost:.6g} {currency}; {unit}"),
            ("checks", f"about {priced.checks_of_year:.3g} a year"),
        ]
    )
    render.OUT.print(priced.sentence, highlight=False, markup=False)
    render.OUT.print("In params.yaml, replace the matching lines of the section gain with:", highlight=False)
    for line in priced.lines:
        render.OUT.print(f"  {line}", highlight=False, markup=False)


def assignments(texts: list[str]) -> "dict[str, JsonValue]":
    """Values by dotted key, from `KEY=VALUE`, the value as params.yaml would have it."""
    from ruamel.yaml.error import YAMLError

    from retrim.errors import BadInputError
    from retrim.files import load_yaml

    found: dict[str, JsonValue] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip():
            raise BadInputError(f"{text!r} is not of the form KEY=VALUE, such as train.windows=[sliding]")
        try:
            found[key.strip()] = load_yaml(value)
        except (YAMLError, ValueError) as error:
            said = " ".join(str(error).split())
            raise BadInputError(
                f"{key.strip()}: {value!r} cannot be read as YAML ({said}); put text with special characters in quotes"
            ) from error
    return found


def _compare_settings(changes: "dict[str, JsonValue]", request: "BacktestRequest", *, as_json: bool) -> None:
    """Refits what changes a fit; else plays the policies under the changed settings."""
    from retrim.cli import render
    from retrim.cli.version_screens import show_refits
    from retrim.reports.changed_settings import compare_refits, try_settings
    from retrim.reports.policy import compare_played
    from retrim.stats.codec import to_record

    workspace, now = workspace_here(), as_time(None)
    tried = try_settings(workspace, changes)
    if tried.refits:
        with render.progress():
            refits = compare_refits(workspace, tried, now=now)
        if as_json:
            render.show_json(to_record(refits))
        else:
            show_refits(refits)
        return
    with render.progress():
        current, changed = compare_played(workspace, tried.params, request, now=now)
    if as_json:
        render.show_json({"current": current.as_record(), "changed": changed.as_record()})
        return
    _show_policies(changed)
    render.OUT.print(f"with the current settings: {current.choice.sentence}", highlight=False, markup=False)


def _compare_with_base(base: str, *, last: int, to: Path | None, only_worse: bool, as_json: bool) -> None:
    """Prints the comment of a pull request; ends with 1 where it must not be merged."""
    from retrim.card.change import as_comment
    from retrim.cli import render
    from retrim.files import write_file
    from retrim.operations.pull_request import review_change

    workspace = workspace_here()
    with render.progress():
        review = review_change(workspace, base=base, last=last, say=lambda _line: None)
    comment = as_comment(review)
    if to is not None:
        write_file(to, comment.encode())
    if as_json:
        render.show_json(review.as_record())
    else:
        render.OUT.print(comment, highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(0 if review.passes or (only_worse and review.outcome == "unclear") else 1)


class SettingsGroup(TyperGroup):
    """`retrim settings KEY` is `retrim settings show KEY`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        known = not args or args[0] in self.commands or args[0].startswith("-")
        return super().resolve_command(ctx, args if known else ["show", *args])


settings_app = typer.Typer(
    help="Show each setting and where it was set, or change settings.", cls=SettingsGroup, invoke_without_command=True
)


def _show_settings(key: str | None, *, as_json: bool) -> None:
    import json

    from retrim.cli import render
    from retrim.files import WorkspacePaths
    from retrim.lineage.settings_file import effective_settings, settings_within

    found = effective_settings(WorkspacePaths.find(Path.cwd()), key)
    if as_json:
        render.show_json(found)
        return
    rows = [
        (each.key, *(json.dumps(value, ensure_ascii=False) for value in (each.value, each.default)), each.set_in)
        for each in found
    ]
    render.show_table(("key", "value", "default", "set in"), rows)
    if len(found) == 1:
        render.OUT.print(found[0].description, highlight=False, markup=False)
        if within := settings_within(found[0].key):
            render.show_table(("key", "default", "allowed", "what it is"), within)


@settings_app.callback(epilog=example("retrim settings gate"))
def settings(context: typer.Context, as_json: AsJson = False) -> None:
    """List every setting: value, default, and where it was set."""
    if context.invoked_subcommand is None:
        _show_settings(None, as_json=as_json)


@settings_app.command(epilog=example("retrim settings show gate.min_gain"))
def show(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="A section, such as gate, or a setting, such as gate.min_gain.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show a section or a setting. The word show may be omitted."""
    _show_settings(key, as_json=as_json)


@settings_app.command(name="set", epilog=example("retrim settings set gate.min_gain=0.02"))
def set_setting(
    values: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="Settings as dotted keys, with values in YAML.")
    ],
    as_json: AsJson = False,
) -> None:
    """Check values and write them into params.yaml. Comments stay."""
    from retrim.cli import render
    from retrim.files import WorkspacePaths
    from retrim.lineage.settings_file import set_settings

    changed = set_settings(WorkspacePaths.find(Path.cwd()), assignments(values))
    if as_json:
        render.show_json({"changes": changed})
        return
    for key, (old, new) in changed.items():
        render.OUT.print(f"{key}: {old} -> {new}", highlight=False, markup=False)
    if not changed:
        render.OUT.print("params.yaml already has these values", highlight=False)


@settings_app.command(epilog=example("retrim settings pin"))
def pin() -> None:
    """Apply the edited params.yaml to the stages of a run directory.

    Run this command in a run directory. It writes the effective settings to data/settings.json. Then `dvc repro` runs
    the stages whose settings changed.
    """
    from retrim.cli import render
    from retrim.files import WorkspacePaths
    from retrim.lineage.settings_file import pin_settings

    folder = WorkspacePaths.find(Path.cwd())
    made = pin_settings(folder)
    render.OUT.print(f"written: {made.relative_to(folder.root)}", highlight=False, markup=False)

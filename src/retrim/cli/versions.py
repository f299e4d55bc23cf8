"""Versions by command: list, rebuild, prove, roll back, approve, move between workspaces, clean up."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrim.card.report import Table
from retrim.cli import render
from retrim.cli.base import (
    AnyVersion,
    AsJson,
    By,
    Now,
    Reason,
    Version,
    argument,
    as_time,
    example,
    option,
    past_time,
    retrain_now,
    version_number,
    workspace_here,
)
from retrim.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrim.cli.answers import VersionAnswer
    from retrim.lineage.workspace import Workspace
    from retrim.retraining.reproduce import RebuildResult

versions_app = typer.Typer(
    help="List, roll back, rebuild, approve, export and clean up versions.", invoke_without_command=True
)
WIDE = 110  # characters of a terminal from which the table of versions has every column
NO_REMOTE = (
    "no DVC remote is set, so a clone of this repository cannot rebuild a version; set one with "
    "`dvc remote add -d NAME ADDRESS`, and commit it with `git commit -m 'a DVC remote' .dvc/config`. Later runs push "
    "to it. To push an existing version, set the remote outside the commits, with "
    "`dvc remote add --local -d NAME ADDRESS`, then run `git checkout TAG && dvc checkout && dvc push`"
)
Why = Annotated[str, option("--reason", "The reason, which is stored with the version.")]


@versions_app.callback(epilog=example("retrim versions --json"))
def versions(context: typer.Context, as_json: AsJson = False) -> None:
    """List the versions: as-of date, loss when judged, state, verdict."""
    if context.invoked_subcommand is not None:
        return
    from retrim.cli.answers import find_versions

    workspace = workspace_here()
    records = find_versions(workspace)
    wide = render.OUT.width >= WIDE
    rows = [
        (
            one.version,
            render.moment(one.as_of),
            "" if one.loss is None else render.figure(one.loss),
            ", ".join([*one.aliases, one.outcome]),
            *(_history(one) if wide else ()),
            one.word,
        )
        for one in records
    ]
    more = ("last proved", "probation and data") if wide else ()
    none = "there is no version yet; train the first: retrim retrain"
    heads = ("version", "as of", "loss", "state", *more, "verdict")
    render.show_list(records, heads, rows, none=none, as_json=as_json)
    if records and not as_json:
        _note_remote(workspace)


def _history(version: "VersionAnswer") -> tuple[str, str]:
    """When it was last proved, and how its probation went and its data fared."""
    proved = "differed" if version.last_differed else version.last_proved[:10] if version.last_proved else "never"
    withdrawn = [f"withdrawn: {', '.join(version.withdrawn)}"] if version.withdrawn else []
    return proved, "; ".join([*([version.probation] if version.probation else []), *withdrawn])


def _note_remote(workspace: "Workspace") -> None:
    """Says where a clone could rebuild nothing, and how to set that right."""
    from retrim.adapters.dvc import has_remote

    if not has_remote(workspace.paths.root):
        render.ERR.print(NO_REMOTE, style="dim", soft_wrap=True)


@versions_app.command(epilog=example("retrim versions reproduce 1 --prove"))
def reproduce(
    version: Version,
    prove: Annotated[
        bool, option("--prove", "Rebuild without any cache, in an environment built from the recorded lock.")
    ] = False,
    chain: Annotated[
        bool,
        option(
            "--chain",
            "With --prove: first prove the champion that N was judged against, then the champion of that "
            "version, and so on back to version 1.",
        ),
    ] = False,
    skip_proved: Annotated[
        bool, option("--skip-proved", "With --chain: skip versions that were already proved.")
    ] = False,
    environment: Annotated[
        bool,
        option(
            "--environment",
            "Only build the Python environment: the packages of the recorded lock, and the version's code.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rebuild a version, and report whether it is identical.

    The rebuild uses a separate run directory. If anything differs, the command names the differences and the exit code
    is 1. If --prove is set, the result is kept with the version.
    """
    from retrim.retraining import reproduce as rebuilds

    def say(line: str) -> None:
        if not as_json and line:
            render.ERR.print(line, style="dim")

    if (chain and not prove) or (skip_proved and not chain):
        raise BadInputError(
            "--chain needs --prove, and --skip-proved needs --chain; run `retrim versions reproduce N --prove --chain`"
        )
    if environment and prove:
        raise BadInputError("--environment builds and proves nothing; leave out --prove")
    workspace, now = workspace_here(), as_time(None)
    if environment:
        _build_environment(workspace, version, as_json=as_json)
        return
    ancestors: Sequence[RebuildResult] = ()
    if not prove:
        last: RebuildResult = rebuilds.reproduce(workspace, version, say=say)
    elif chain:
        last, ancestors = rebuilds.prove_chain(workspace, version, skip_proved=skip_proved, now=now, say=say)
    else:
        last = rebuilds.prove_rebuild(workspace, version, reason=rebuilds.PERSON, now=now, gently=False, say=say)
    record = {**render.as_record(last), **({"ancestors": ancestors} if prove else {})}
    rebuilt = [*ancestors, last]
    render.show(record, "\n".join(map(_rebuilt, rebuilt)), as_json=as_json)
    if not as_json:
        _note_remote(workspace)
    raise typer.Exit(0 if all(one.identical for one in rebuilt) else 1)


def _build_environment(workspace: "Workspace", version: int, *, as_json: bool) -> None:
    from retrim.retraining.reproduce import build_environment

    built = build_environment(workspace, version, say=lambda line: render.ERR.print(line, style="dim"))
    code = "its code is in src/ at its tag" if built.code is None else f"its code is {built.code}"
    render.show(built, f"version {version}: {code}\nuse it: . {built.folder}/bin/activate", as_json=as_json)


def _rebuilt(rebuilt: "RebuildResult") -> str:
    from retrim.retraining.reproduce import RebuildProof

    is_proof = isinstance(rebuilt, RebuildProof)
    outcome = f"{'proved' if is_proof else 'rebuilt'}: {'identical' if rebuilt.identical else 'different'}"
    stages = ", ".join(rebuilt.executed) or "none"
    lines = [
        f"version {rebuilt.version} {outcome}; stages run: {stages}",
        *(f"  {line}" for line in rebuilt.differences),
    ]
    if isinstance(rebuilt, RebuildProof):
        largest = "not known" if rebuilt.largest_difference is None else f"{rebuilt.largest_difference:g}"
        lines.append(f"  largest difference between predictions on the judged rows: {largest}")
    return "\n".join(lines)


@versions_app.command(epilog=example("retrim versions rollback --to 1 --reason 'complaints from the north'"))
def rollback(
    reason: Annotated[str, option("--reason", "The reason, which is stored with the release.")],
    by: By,
    to: Annotated[
        str | None,
        option(
            "--to N",
            "Number of the version, or `baseline`: the best constant. Default: the version that was live before.",
        ),
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version live again.

    First, the stored bundle of the version is compared with the recorded hash, loaded in a fresh process and tested on
    its reference rows. Afterwards, no retraining starts automatically until you run `retrim retrain` or `retrim policy
    acknowledge`, or until enough rows have matured since the rollback.

    A baseline is a version like any other: fitted and judged in the six stages, and rebuilt from them. While it is
    live, checks refit the recipe of the newest model, and a model comes back through the gate.
    """
    from retrim.release.release import rollback as op
    from retrim.release.versions import find_live_version, judged_in_words
    from retrim.training.recipe import BASELINE

    workspace, at = workspace_here(), past_time(now)
    target = version_number(to) if to not in (None, BASELINE) else None
    if to == BASELINE:
        outcome, _ = retrain_now(workspace, at, mode=BASELINE, by=by, reason=reason)
        target = outcome.version
        if target is None:
            render.show(outcome, f"{outcome.state}: {outcome.reason}", as_json=as_json)
            raise typer.Exit(1)
    moved = find_live_version(workspace)
    if to != BASELINE or moved is None or moved.version != target:  # else the gate promoted it
        moved = op(workspace, target, by=by, reason=reason, now=at)
    moves = f"version {moved.version} is live instead of version {moved.previous}"
    render.show(moved, f"{moves}: {judged_in_words(moved.loss)}", as_json=as_json)


@versions_app.command("log", epilog=example("retrim versions log --at 2012-03-01"))
def log_show(
    at: Annotated[str | None, option("--at TIME", "Show which version was live at this clock time (UTC).")] = None,
    as_of: Annotated[str | None, option("--as-of TIME", "The same by as-of date, for releases of a replay.")] = None,
    verify: Annotated[
        bool, option("--verify", "Check that no row was altered: each is signed together with the row before it.")
    ] = False,
    head: Annotated[
        str | None, option("--head HEX", "With --verify: a digest saved earlier, which must be in the log.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List every release, or show what was live at a time.

    A release made with --now or --as-of, as in a replay, has two times: a clock time, which you select with --at, and
    an as-of date, which you select with --as-of. The exit code is 1 if no version was live then.

    A copy of each row is stored in git as the tag retrim/MODEL/log/N. If --verify finds an altered row, it names the
    first one and the exit code is 1. Push the tags, or save the last digest elsewhere and pass it with --head later.
    """
    import pandas as pd

    from retrim.release.versions import find_live_version, judged_loss, live_at, release_log, verify_log

    if (at is not None) + (as_of is not None) + verify > 1 or (head is not None and not verify):
        raise BadInputError("pass one of --at (clock time), --as-of (as-of date), --verify; --head only with --verify")
    workspace = workspace_here()
    if verify:
        log = verify_log(workspace, kept=head)
        in_git = "copies of all" if log.in_git == log.rows else f"copies of {log.in_git}"
        last = f", with {in_git} in git; the last digest is {log.head}" if log.head else ""
        render.show(log, f"{log.rows} rows, none altered{last}", as_json=as_json)
    elif at is not None or as_of is not None:
        then = (
            find_live_version(workspace, before=as_time(as_of) + pd.Timedelta("1s"))
            if at is None
            else live_at(workspace, as_time(at))
        )
        since = "" if then is None else f"since {render.moment(then.since)}, by {then.by}: {then.reason}"
        line = "no version was live" if then is None else f"version {then.version}, {since}"
        render.show(then, line, as_json=as_json)
        raise typer.Exit(0 if then is not None else 1)
    else:
        moves = release_log(workspace)
        losses = {row.version: judged_loss(row) for row in workspace.store.versions(workspace.model)}
        rows = [
            (
                render.moment(move.as_of),
                move.version,
                "" if (loss := losses.get(move.version)) is None else render.figure(loss),
                move.action,
                move.by,
                move.reason,
            )
            for move in moves
        ]
        none = "no version has been released yet; train version 1: retrim retrain"
        heads = ("as of", "version", "loss", "action", "by", "reason")
        render.show_list(moves, heads, rows, none=none, as_json=as_json)


@versions_app.command(epilog=example("retrim versions approve 3 --reason 'looked at the slices with Ines'"))
def approve(
    version: Version,
    reason: Why,
    by: By,
    key: Annotated[
        Path | None, option("--key FILE", "Your SSH key, if the workspace has a file `approvers`; names you.")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Approve a version that waits for approval, so that it goes live.

    The release checks run, and the champion must still be the version that the new version was judged against. If the
    version does not go live, the exit code is 1 and the reason is printed. If the command is killed, run it again.
    """
    from retrim.release.approval import approve as op

    workspace = workspace_here()
    answer = op(workspace, version, by=by, reason=reason, now=past_time(now), key=key)
    render.show(answer, f"version {answer.version} is live: {answer.words}", as_json=as_json)


@versions_app.command(epilog=example("retrim versions reject 3 --reason 'the north is worse'"))
def reject(version: Version, reason: Why, by: By, now: Now = None, as_json: AsJson = False) -> None:
    """Reject a version that waits for approval.

    The live version stays live. A rejection counts like a refusal by the gate. A version that nobody approves or
    rejects by the date that `retrim status` shows is refused too.
    """
    from retrim.release.approval import reject as op

    answer = op(workspace_here(), version, by=by, reason=reason, now=past_time(now))
    render.show(answer, f"version {answer.version} is refused: {answer.words}", as_json=as_json)


@versions_app.command("export", epilog=example("retrim versions export 3 --to bike-v3.tar"))
def export(
    version: AnyVersion = None,
    to: Annotated[
        Path | None, option("--to FILE", "Where to write the file. Default: var/exports/<model>-v<N>.tar.")
    ] = None,
    key: Annotated[
        bool, option("--key", "Print the public key that others need to import what this workspace exports.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a version into one signed file.

    The file contains the registered model with its verdict and reference rows, its lineage and its requirements.lock.
    It is signed with the key of this workspace. The same version in the same state gives the same bytes. If you prove
    the version before you export it, the file says so.

    The key that signs exports and the release log is var/keys/signing.key, which is created on first use. To import an
    export elsewhere, save the output of --key to a file there and pass that file with --key.
    """
    from retrim.retraining.exchange import export as op

    workspace = workspace_here()
    if key:
        public = workspace.keys.public
        if as_json:
            render.show_json({"public": str(public), "fingerprint": public.fingerprint})
        else:
            render.print_now(public)
            render.ERR.print(f"fingerprint (SHA-256): {public.fingerprint}")
        return
    if version is None:
        raise BadInputError("which version? pass its number, or --key for the public key; list them: `retrim versions`")
    outcome = op(workspace, version, to=to)
    if as_json:
        render.show_json(outcome)
    else:
        render.print_now(outcome.file)


@versions_app.command("import", epilog=example("retrim versions import bike-v3.tar --key staging.pub"))
def import_(
    file: Annotated[Path, argument("FILE", "A file that `retrim versions export` wrote in another workspace.")],
    by: By,
    key: Annotated[
        Path | None, option("--key FILE", "File with the public key of the workspace that exported the version.")
    ] = None,
    reason: Annotated[
        str | None,
        option("--reason", "Why you approve the version, if release.approval requires a person to approve it."),
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Import a version that another workspace exported.

    The file must be signed with the key in --key, which `retrim versions export --key` printed in the other workspace.
    Signature, hashes and reference rows are checked. Then the gate judges the version against the champion of this
    workspace, on rows that neither has seen. The version goes live only if it passes. If there are too few such rows,
    the import is deferred and nothing is stored. Import the file again when more rows have landed. The exit code is 1
    unless the version went live.
    """
    from retrim.adapters.signing import read_public_key
    from retrim.retraining.exchange import import_version

    signer = None if key is None else read_public_key(key)
    done = import_version(workspace_here(), file, key=signer, by=by, approval=reason, now=past_time(now))
    what = "" if done.version is None else f" as version {done.version}"
    lines = [f"{done.state}{what}: {done.reason}", *(f"  {line}" for line in done.environment)]
    render.show(done, "\n".join(lines), as_json=as_json)
    raise typer.Exit(0 if done.state == "promoted" else 1)


@versions_app.command(epilog=example("retrim versions gc --dry-run"))
def gc(
    dry_run: Annotated[bool, option("--dry-run", "Show what would be removed, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove files that no version needs.

    Removes the run directories of ended runs, trial logs, environments that no version uses, failed MLflow runs, and
    files of the DVC cache to which no version, branch, tag or run directory refers. Landing zone, store and all files
    that a rebuild needs stay. The command is refused while a run or a rebuild is in progress.
    """
    from retrim.retraining.gc import prune

    done = prune(workspace_here(), dry=dry_run, now=as_time(None))
    tables = []
    for title, pieces in (("Would be removed" if dry_run else "Removed", done.removed), ("Kept", done.kept)):
        groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for piece in pieces:
            groups.setdefault((piece.what, piece.why), []).append((piece.name, piece.frees))
        rows = tuple(
            (what, freed[0][0] if len(freed) == 1 else len(freed), render.size(sum(size for _, size in freed)), why)
            for (what, why), freed in groups.items()
        )
        if rows:
            tables.append(Table(title, ("what", "which or how many", "size", "why"), rows, brief_last=True))
    total = f"\n{render.size(done.freed)} {'would be freed' if dry_run else 'freed'}"
    render.show(done, (*tables, total), as_json=as_json)


@versions_app.command(epilog=example("retrim versions canary 4 --share 0.1 --reason 'the new recipe'"))
def canary(
    reason: Reason,
    by: By,
    version: AnyVersion = None,
    share: Annotated[
        float, option("--share", "Share of the entities for which the version predicts, at most 0.5.")
    ] = 0.1,
    entity: Annotated[
        str | None,
        option(
            "--entity COLUMN",
            "Request column that contains the entity, such as a customer. Default: the column in "
            "data.history.entity or, if there is none, the key of the row.",
        ),
    ] = None,
    steps: Annotated[
        str | None,
        option("--steps SHARES", "Shares in ascending order, such as 0.01,0.1,0.5; used one after the other."),
    ] = None,
    promote: Annotated[bool, option("--promote", "Make the version live if the test confirms it.")] = False,
    stop: Annotated[bool, option("--stop", "End the running canary.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a version as a canary: it predicts a share of the rows.

    The entity of a row decides which version predicts the row, so the same customer always gets the same version. The
    canary ends automatically if the version fails, is slow, or is worse once labels arrive. It ends at the latest after
    the maximum duration of a probation. It never restarts automatically. `retrim status` shows its state. With
    `--steps`, the share rises after each 100 rows that have a label.
    """
    from retrim.release.canary import start_canary, stop_canary

    if stop == (version is not None):
        raise BadInputError("pass either the version to run as a canary, or --stop")
    workspace, now = workspace_here(), as_time(None)
    if version is None:
        canary, note = stop_canary(workspace, by=by, reason=reason, now=now), "ended"
    else:
        try:
            shares = [share] if steps is None else [float(step) for step in steps.split(",")]
        except ValueError as error:
            raise BadInputError(f"--steps {steps}: not a list of numbers; write --steps 0.01,0.1,0.5") from error
        canary = start_canary(
            workspace, version, shares=shares, by=by, reason=reason, now=now, entity=entity, promotes=promote
        )
        note = f"serves {canary.share:.0%} of the rows instead of version {canary.against}"
    render.show(canary, f"canary: version {canary.version} {note}", as_json=as_json)

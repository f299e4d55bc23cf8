"""MLflow's registry: versions of a model, their pages, their aliases. The store says what is live; this mirrors it."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from retrim.adapters.exhibits import Exhibits
from retrim.adapters.mlflow_package import calendar_of, save_model
from retrim.adapters.mlflow_tracking import (
    BUNDLES,
    NOTE,
    PUBLISHED,
    RUN,
    Experiment,
    all_pages,
    artifact_folder,
    quotable,
)
from retrim.decision.release_checks import ReleaseCheck, ReleaseChecks
from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.files import flush_all, read_folder
from retrim.gate.verdict import Check, VerdictRecord, mark_of
from retrim.stats.codec import to_json, to_record
from retrim.table.lags import HistoryParams
from retrim.training.bundle import CALENDAR, DIGESTS, HISTORY, VERDICT, digests_of

# Markdown, and HTML in it, begins with one of these; the slash ends a protocol that would become a link by itself.
SPECIAL = re.compile(r"[&<>\[\]`*_|\\~]|(?<=:)//")


def verdict_note(verdict: VerdictRecord) -> str:
    """A verdict in Markdown: what the gate decided, then one line per check."""
    word = "Passed" if verdict.promote else "Refused by"
    lines = check_lines(verdict.checks)
    seen = verdict.detectable
    lines += [] if seen is None else [f"- detectable gain: {escape(seen.text)}"]
    lines += [f"- note: {escape(text)}" for text in verdict.notes]
    lines += [] if verdict.final is None else [f"- final fit: {escape(verdict.final.reason)}"]
    sentence = f"{word} the gate: challenger {escape(verdict.winner)} on {verdict.rows} holdout rows."
    where = "The model card is card/model_card.html in the run's artifacts; `retrim versions card` writes it again."
    return f"{sentence} {where}\n\n" + "\n".join(lines)


def check_lines(checks: Sequence[Check | ReleaseCheck]) -> list[str]:
    """A line a check of a verdict or of the release checks."""
    marks = ((mark_of(check), escape(check.text)) for check in checks)
    return [f"- {'**failed**' if mark == 'failed' else mark}: {text}" for mark, text in marks]


def escape(text: str) -> str:
    """The text on one line, so that Markdown shows it as it is: special characters as numeric entities."""
    return SPECIAL.sub(lambda match: "".join(f"&#{ord(sign)};" for sign in match[0]), " ".join(text.split()))


if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True)
class Version:
    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run: str


class ModelRegistry(Experiment):
    """The versions of one model, beside its runs."""

    def publish(
        self,
        parent: str,
        bundle: Path,
        *,
        bundle_id: str,
        lineage: Mapping[str, Any],
        params: Mapping[str, Any],
        example: pd.DataFrame,
    ) -> int:
        """Logs a bundle to its run and registers its winner; gives the version, after a kill the same."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        shown = Exhibits(bundle)
        with self.wrapped(f"publish bundle {bundle_id}"):
            run = self.client.get_run(parent)
            number = self._published(bundle_id)
            if number is not None and run.data.tags.get(PUBLISHED) == bundle_id:
                return number
            given = {name: str(value) for name, value in params.items()}
            self.log_trials(parent, shown.trials(), None)
            self.log_figures(run, bundle_id, shown.parameters() | given, shown.points())
            self.log_lineage(parent, lineage)
            # Beside the bundle: in a run directory, or in a copy, which go when their processes are dead.
            with TemporaryDirectory(prefix="retrim-publish-", dir=bundle.parent) as temporary:
                self._lay_out(Path(temporary), shown, lineage, example)
                self.client.log_artifacts(parent, temporary)
            if run.data.tags.get(BUNDLES, bundle_id) != bundle_id:  # files of another bundle lie there
                delete: Callable[[str], None] = get_artifact_repository(run.info.artifact_uri).delete_artifacts
                delete("bundle")
            self.client.log_artifacts(parent, str(bundle), "bundle")
            here = artifact_folder(run)
            if here is not None:  # what a version stands for survives a power cut before it has a number
                flush_all(filter(Path.is_file, here.rglob("*")), below=here.parents[2])
            self.client.set_tag(parent, NOTE, verdict_note(shown.verdict))
            self.list_model(run)
            if number is None:
                number = self._register(parent, run.data.tags.get(RUN, parent), bundle_id, shown.verdict)
            self.client.set_tag(parent, PUBLISHED, bundle_id)
            return number

    def add_to_note(self, parent: str, version: int, verdict: VerdictRecord, checks: ReleaseChecks) -> None:
        """Lists the release checks below the gate's, in the notes of a run and of its version; twice is once."""
        word = "Passed" if checks.passed else "Refused by"
        note = f"{verdict_note(verdict)}\n\n{word} the release checks:\n\n" + "\n".join(check_lines(checks.checks))
        with self.wrapped(f"add the release checks to the note of version {version}"):
            self.client.set_tag(parent, NOTE, note)
            self.client.update_model_version(self.model, str(version), note)

    def _lay_out(self, folder: Path, shown: Exhibits, lineage: Mapping[str, Any], example: pd.DataFrame) -> None:
        """Writes what a run keeps beside its bundle: pictures, verdict, lineage, model."""
        (folder / "pictures").mkdir()
        for name, content in shown.pictures().items():
            (folder / "pictures" / name).write_bytes(content)
        for name, record in (("verdict.json", shown.read(VERDICT)), ("lineage.json", dict(lineage))):
            (folder / name).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        part = folder / "bundle"
        for name in shown.predicting:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shown.bundle / name, part / name)
        calendar = calendar_of(shown, example)
        if calendar is not None:
            (part / CALENDAR).write_bytes(to_json(to_record(calendar)))
        (part / DIGESTS).write_bytes(to_json(digests_of(read_folder(part))))
        history = HistoryParams.model_validate(shown.optional(HISTORY) or {})
        save_model(folder / "model", part, shown.predicting_view, example, history.columns, calendar)

    def _published(self, bundle_id: str) -> int | None:
        registered = self._search_versions(f"name = '{self.model}' and tag.bundle = '{quotable(bundle_id)}'")
        return min((int(version.version) for version in registered), default=None)

    def _register(self, parent: str, run_id: str, bundle_id: str, verdict: VerdictRecord) -> int:
        from mlflow.exceptions import MlflowException

        try:
            note = (
                f"Versions of the model {self.model}. The alias champion marks the live version. The alias previous "
                "marks the version to which a rollback returns."
            )
            self.client.create_registered_model(self.model, description=note)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {
            "bundle": bundle_id,
            "run": run_id,
            "verdict": "passed the gate" if verdict.promote else "refused by the gate",
        }
        root = self.client.get_run(parent).info.artifact_uri
        registered = self.client.create_model_version(
            self.model, source=f"{root}/model", run_id=parent, tags=tags, description=verdict_note(verdict)
        )
        return int(registered.version)

    def versions(self) -> list[Version]:
        """Every version, oldest first; none before the first was published."""
        with self.wrapped("list versions"):
            registered = self._search_versions(f"name = '{self.model}'")
            aliases = self.aliases()
        versions = [
            Version(
                number=int(version.version),
                aliases=tuple(sorted(name for name, number in aliases.items() if number == int(version.version))),
                tags=dict(version.tags),
                run=str(version.run_id),
            )
            for version in registered
        ]
        return sorted(versions, key=lambda version: version.number)

    def aliases(self) -> dict[str, int]:
        """Alias to version number."""
        from mlflow.exceptions import MlflowException

        with self.wrapped("read aliases"):
            try:
                aliases = self.client.get_registered_model(self.model).aliases
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
        return {name: int(number) for name, number in aliases.items()}

    def tag_version(self, version: int, name: str, value: str) -> None:
        """Notes a fact with a version, for whoever looks at it in MLflow."""
        with self.wrapped(f"tag version {version}"):
            self.client.set_model_version_tag(self.model, str(version), name, value)

    def set_alias(self, alias: str, version: int) -> None:
        """Points an alias at a version; the caller holds the lock of a promotion."""
        self.run_of(version)
        with self.wrapped(f"set alias {alias}"):
            self.client.set_registered_model_alias(self.model, alias, str(version))

    def drop_alias(self, alias: str) -> None:
        """Removes an alias, if it is there."""
        if alias in self.aliases():
            with self.wrapped(f"remove alias {alias}"):
                self.client.delete_registered_model_alias(self.model, alias)

    def bundle_folder(self, version: int, *, run: str | None = None) -> Path:
        """The folder of a version's bundle: the very one where artifacts are local, else a download.

        Raises:
            BadInputError: The version does not exist.
            RetrimError: Its bundle is gone.
        """
        here = None if run is None else self.usual_folder(run, "bundle")
        folder = self._folder(version, "bundle") if here is None else here
        if not (folder / "verdict").is_dir():
            raise RetrimError(
                f"the bundle of version {version} is incomplete in {folder}; restore MLflow's artifacts from a backup"
            )
        return folder

    def pictures(self, version: int) -> dict[str, bytes]:
        """The pictures beside a version's bundle, by name; none where the run has none."""
        with self.wrapped(f"list the pictures of version {version}"):
            listed = self.client.list_artifacts(self.run_of(version), "pictures")
        return read_folder(self._folder(version, "pictures")) if listed else {}

    def add_files(self, version: int, files: Mapping[str, bytes]) -> None:
        """Lays files by place beside a version's bundle, in the artifacts of its run; again, it changes nothing."""
        run = self.run_of(version)
        with self.wrapped(f"store files of version {version}"), TemporaryDirectory(prefix="retrim-files-") as temporary:
            for name, content in files.items():
                path = Path(temporary) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(run, temporary)

    def log_check(self, version: int, figures: Mapping[str, float], *, step: int, at: pd.Timestamp) -> None:
        """Adds the figures of a check to the run of the version that it looked at; the same again changes nothing."""
        with self.wrapped(f"log the figures of check {step}"):
            from mlflow.entities import Metric

            moment = int(at.timestamp() * 1000)
            metrics = [Metric(f"check/{name}", float(value), moment, step) for name, value in figures.items()]
            self.client.log_batch(self.run_of(version), metrics)

    def _folder(self, version: int, name: str) -> Path:
        """A folder of a version's run: the very one where artifacts are local, else a download."""
        run = self.run_of(version)
        with self.wrapped(f"find the {name} of version {version}"):
            here = artifact_folder(self.client.get_run(run))
            return Path(self.client.download_artifacts(run, name)) if here is None else here / name

    def load(self, which: int | str) -> "PyFuncModel":
        """The model behind a version number or an alias, as MLflow's users get it.

        Raises:
            BadInputError: The version does not exist.
            UnknownNameError: The alias does not exist.
        """
        if isinstance(which, str):
            aliases = self.aliases()
            if which not in aliases:
                raise UnknownNameError(f"alias of {self.model}:", which, aliases)
            which = aliases[which]
        self.run_of(which)
        from mlflow.pyfunc import load_model

        self.be_default()
        with self.wrapped(f"load version {which}"), _no_bytecode():
            return load_model(f"models:/{self.model}/{which}")

    def run_of(self, number: int) -> str:
        """MLflow's id of the run that made a version.

        Raises:
            BadInputError: The version does not exist.
        """
        from mlflow.exceptions import MlflowException

        with self.wrapped(f"find version {number}"):
            try:
                return str(self.client.get_model_version(self.model, str(number)).run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        known = ", ".join(str(version.number) for version in self.versions())
        cure = f"name one of: {known}" if known else "none has been trained yet"
        raise BadInputError(f"{self.model} has no version {number}; {cure}")

    def _search_versions(self, condition: str) -> list[Any]:
        return all_pages(lambda token: self.client.search_model_versions(condition, page_token=token))


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """Lets Python write nothing beside the code it imports: a stored model stays as it was stored."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before

"""MLflow's registry: versions of a model and their aliases. Our own store says what is live; this mirrors it."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from retrim.adapters.exhibits import Exhibits
from retrim.adapters.notes import check_lines, verdict_note
from retrim.adapters.packaging import save_model
from retrim.adapters.tracking import BUNDLES, NOTE, PUBLISHED, RUN, Tracking, all_pages, artifact_folder, quotable
from retrim.core.bundle import DIGESTS, digests_of
from retrim.core.bundle_format import VIEW
from retrim.core.canonical import to_json
from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.files import flush_all, read_folder

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel


@dataclass(frozen=True)
class Version:
    """One registered version: its number, what points at it, our tags, MLflow's id of its run."""

    number: int
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run: str


class Registry(Tracking):
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
        """Logs a bundle to its run and registers its winner. Again, or after a kill, it goes on to the same version.

        Args:
            parent: MLflow's id of the run.
            bundle: Folder of the bundle.
            bundle_id: Its digest.
            lineage: What it was made from.
            params: Logged beside those that the bundle holds.
            example: A few rows of the table, as the input example.

        Returns:
            Number of the version.
        """
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
            with TemporaryDirectory(prefix="retrim-publish-") as made:
                self._lay_out(Path(made), shown, lineage, example)
                self.client.log_artifacts(parent, made)
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

    def add_to_note(self, parent: str, version: int, verdict: Mapping[str, Any], checks: Mapping[str, Any]) -> None:
        """Lists the release checks below the gate's, in the notes of a run and of its version; twice is once.

        Args:
            parent: MLflow's id of the run.
            version: Number of the version.
            verdict: Record of the gate's verdict.
            checks: Record of the release checks.
        """
        word = "Passed" if checks["passed"] else "Refused by"
        note = f"{verdict_note(verdict)}\n\n{word} the release checks:\n\n" + "\n".join(check_lines(checks))
        with self.wrapped(f"note the release checks of version {version}"):
            self.client.set_tag(parent, NOTE, note)
            self.client.update_model_version(self.model, str(version), note)

    def _lay_out(self, folder: Path, shown: Exhibits, lineage: Mapping[str, Any], example: pd.DataFrame) -> None:
        """Writes what a run keeps beside its bundle: pictures, verdict, lineage, model."""
        (folder / "pictures").mkdir()
        for name, content in shown.pictures().items():
            (folder / "pictures" / name).write_bytes(content)
        for name, record in (("verdict.json", shown.verdict), ("lineage.json", dict(lineage))):
            (folder / name).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        part = folder / "bundle"  # in the model it lies in artifacts/bundle
        for name in shown.predicting:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shown.bundle / name, part / name)
        (part / DIGESTS).write_bytes(to_json(digests_of(read_folder(part))))
        save_model(folder / "model", part, shown.read(VIEW), example)
        shutil.rmtree(part)

    def _published(self, bundle_id: str) -> int | None:
        found = self._search_versions(f"name = '{self.model}' and tag.bundle = '{quotable(bundle_id)}'")
        return min((int(version.version) for version in found), default=None)

    def _register(self, parent: str, run_id: str, bundle_id: str, verdict: Mapping[str, Any]) -> int:
        from mlflow.exceptions import MlflowException

        try:
            note = f"The model {self.model}. The alias champion is live; previous is what a rollback goes back to."
            self.client.create_registered_model(self.model, description=note)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {"bundle": bundle_id, "run": run_id, "verdict": "promote" if verdict["promote"] else "refuse"}
        root = self.client.get_run(parent).info.artifact_uri
        made = self.client.create_model_version(
            self.model, source=f"{root}/model", run_id=parent, tags=tags, description=verdict_note(verdict)
        )
        return int(made.version)

    def versions(self) -> list[Version]:
        """Every version, oldest first; none before the first was published."""
        with self.wrapped("list versions"):
            found = self._search_versions(f"name = '{self.model}'")
            aliases = self.aliases()
        made = [
            Version(
                number=int(each.version),
                aliases=tuple(sorted(name for name, number in aliases.items() if number == int(each.version))),
                tags=dict(each.tags),
                run=str(each.run_id),
            )
            for each in found
        ]
        return sorted(made, key=lambda each: each.number)

    def aliases(self) -> dict[str, int]:
        """Alias to version number."""
        from mlflow.exceptions import MlflowException

        with self.wrapped("read aliases"):
            try:
                found = self.client.get_registered_model(self.model).aliases
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return {}
                raise
        return {name: int(number) for name, number in found.items()}

    def tag_version(self, version: int, name: str, value: str) -> None:
        """Notes a fact with a version, for whoever looks at it in MLflow."""
        with self.wrapped(f"tag version {version}"):
            self.client.set_model_version_tag(self.model, str(version), name, value)

    def set_alias(self, alias: str, version: int) -> None:
        """Points an alias at a version; the caller holds the lock of a promotion.

        Raises:
            BadInputError: There is no such version.
        """
        self.run_of(version)
        with self.wrapped(f"set alias {alias}"):
            self.client.set_registered_model_alias(self.model, alias, str(version))

    def drop_alias(self, alias: str) -> None:
        """Takes an alias away; one that is not there is no error."""
        if alias in self.aliases():
            with self.wrapped(f"drop alias {alias}"):
                self.client.delete_registered_model_alias(self.model, alias)

    def bundle_folder(self, version: int, *, run: str | None = None) -> Path:
        """The folder of a version's bundle: the very one where artifacts are local, else a download.

        Args:
            version: Its number.
            run: MLflow's id of its run, where it is known: if its files lie where they belong, MLflow is not loaded.

        Raises:
            BadInputError: There is no such version.
            RetrimError: Its bundle is gone.
        """
        here = None if run is None else self.usual_folder(run, "bundle")
        folder = self._folder(version, "bundle") if here is None else here
        if not (folder / "verdict").is_dir():
            raise RetrimError(f"the bundle of version {version} is not whole in {folder.name}; restore the artifacts")
        return folder

    def pictures(self, version: int) -> dict[str, bytes]:
        """The pictures beside a version's bundle, by name; none where the run has none.

        Raises:
            BadInputError: There is no such version.
        """
        with self.wrapped(f"list the pictures of version {version}"):
            listed = self.client.list_artifacts(self.run_of(version), "pictures")
        return read_folder(self._folder(version, "pictures")) if listed else {}

    def add_files(self, version: int, files: Mapping[str, bytes]) -> None:
        """Lays files beside a version's bundle, in the artifacts of its run; the same again changes nothing.

        Args:
            version: Its number.
            files: Content by place, such as `card/model_card.md`.
        """
        run = self.run_of(version)
        with self.wrapped(f"keep files of version {version}"), TemporaryDirectory(prefix="retrim-files-") as made:
            for name, content in files.items():
                path = Path(made) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            self.client.log_artifacts(run, made)

    def _folder(self, version: int, name: str) -> Path:
        """A folder of a version's run: the very one where artifacts are local, else a download."""
        run = self.run_of(version)
        with self.wrapped(f"find the {name} of version {version}"):
            here = artifact_folder(self.client.get_run(run))
            return Path(self.client.download_artifacts(run, name)) if here is None else here / name

    def load(self, which: int | str) -> "PyFuncModel":
        """The model behind a version number or an alias, as MLflow's users get it.

        Raises:
            BadInputError: There is no such version.
            UnknownNameError: There is no such alias.
        """
        if isinstance(which, str):
            aliases = self.aliases()
            if which not in aliases:
                raise UnknownNameError(f"alias of {self.model}", which, aliases)
            which = aliases[which]
        self.run_of(which)
        from mlflow.pyfunc import load_model

        self.be_default()
        with self.wrapped(f"load version {which}"), _no_bytecode():
            return load_model(f"models:/{self.model}/{which}")

    def run_of(self, number: int) -> str:
        """MLflow's id of the run that made a version.

        Raises:
            BadInputError: There is no such version.
        """
        from mlflow.exceptions import MlflowException

        with self.wrapped(f"find version {number}"):
            try:
                return str(self.client.get_model_version(self.model, str(number)).run_id)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
        known = ", ".join(str(each.number) for each in self.versions()) or "none yet"
        raise BadInputError(f"{self.model} has no version {number}; versions: {known}")

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


__all__ = ["Registry", "Version"]

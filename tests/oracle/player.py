"""Commands of one installation in workspaces of its own, and what can be seen of each: exit code, answer, files.

An answer is compared as *facts*: the leaves of its JSON by their path. Sentences are left out, as wording may change;
so are clock times, durations, paths and ids that differ from run to run.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.builders.wheels import environment_of

Fact = str | int | float | bool | None
QUIET = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "COLUMNS": "120"}
STAGE_SECONDS = 300  # until a stage has begun
RANDOM_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}")
DIFFERS = frozenset(
    {
        "seconds", "cpu_seconds", "bytes", "took", "path", "file", "folder", "url", "address", "commit", "run",
        "mlflow_run", "by", "actor", "host", "key", "signature", "signer", "digest", "code", "lock", "python",
        "retrim", "request", "request_id", "hours", "new_bytes",
    }
)  # fmt: skip
"""Names of fields whose value is of the machine, the clock or the code, not of the data."""
TIMED = ("loads", "latency")  # how the name of a check begins whose figure is a time
CLOCK_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]+.*")  # of a backup
LAST_MADE_YEAR = 2025  # the tables end before; a later moment was read from a clock


def facts_of(answer: Any, path: str = "") -> Iterator[tuple[str, Fact]]:
    """The leaves of an answer that another run of the same life must give too, by their path."""
    if isinstance(answer, dict):
        is_timed = str(answer.get("name", "")).startswith(TIMED)
        for name, value in sorted(answer.items()):
            if name not in DIFFERS and not (is_timed and name == "figure"):
                yield from facts_of(value, f"{path}.{name}" if path else name)
    elif isinstance(answer, list):
        yield f"{path}#", len(answer)
        keys = [str(value["key"]) for value in answer if isinstance(value, dict) and "key" in value]
        places = keys if len(keys) == len(set(keys)) == len(answer) else range(len(answer))  # settings go by name
        for place, value in zip(places, answer, strict=True):
            yield from facts_of(value, f"{path}[{place}]")
    elif not isinstance(answer, str):
        yield path, answer
    elif MOMENT.match(answer):
        yield path, answer if int(answer[:4]) <= LAST_MADE_YEAR else "a moment of the clock"
    elif not (" " in answer or "/" in answer or RANDOM_ID.fullmatch(answer) or CLOCK_NAME.fullmatch(answer)):
        yield path, answer


@dataclass(frozen=True)
class Act:
    """A command, and what came of it.

    Args:
        words: The command, without moments of the clock.
        code: Its exit code; negative: the signal that ended it.
        facts: Of its answer.
    """

    words: str
    code: int
    facts: dict[str, Fact]


@dataclass
class Player:
    """Plays a life in a folder, with one installation.

    Args:
        python: Interpreter of the installation.
        folder: Of the life; the workspace is made in it.
        is_frozen: Whether it is that of the frozen wheel, in whose words lives are written.
        acts: What was done so far.
    """

    python: Path
    folder: Path
    is_frozen: bool
    acts: list[Act] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        """Where the commands run, once it is made."""
        return self.folder / "model"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a command; the home is empty but for a name for git."""
        home = self.folder / "home"
        if not home.exists():
            home.mkdir(parents=True)
            (home / ".gitconfig").write_text("[user]\n\tname = oracle\n\temail = oracle@example.org\n")
        return {**environment_of(self.python), **QUIET, "HOME": str(home)}

    def start(self, *words: str, folder: Path | None = None) -> "subprocess.Popen[str]":
        """Starts a command in a process group of its own."""
        return subprocess.Popen(
            [self.python.parent / "retrim", *words],
            cwd=folder or (self.workspace if self.workspace.exists() else self.folder),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def do(self, *words: str, folder: Path | None = None, keep: bool = True) -> Any:
        """Runs a command with `--json`, keeps what can be seen of it, and gives its answer; None: it printed none.

        The words are those of the frozen wheel, under which both sides' answers are compared.
        """
        process = self.start(*(words if self.is_frozen else words_now(words)), "--json", folder=folder)
        out, err = process.communicate()
        try:
            answer = json.loads(out) if out.strip() else None
        except json.JSONDecodeError:
            answer = None
        if keep:
            self.note(" ".join(words), process.returncode, answer)
        if process.returncode not in (0, 1, 2):
            print(f"{' '.join(words)}: exit code {process.returncode}\n{err[-2000:]}", flush=True)
        return answer

    def note(self, words: str, code: int, answer: Any) -> None:
        """Keeps an act; folders of the life are written as `LIFE`."""
        text = words.replace(str(self.folder), "LIFE")
        self.acts.append(Act(text, code, dict(facts_of(answer))))

    def kill_in_stage(self, stage: str, *words: str) -> None:
        """Starts a command and kills it with all that it started, as soon as a stage runs."""
        process = self.start(*words)
        deadline = time.monotonic() + STAGE_SECONDS
        while process.poll() is None and not runs_stage(process.pid, stage) and time.monotonic() < deadline:
            time.sleep(0.02)
        began = process.poll() is None and time.monotonic() < deadline
        kill_tree(process.pid)
        process.communicate()
        self.note(f"{' '.join(words)}, killed in {stage}", process.returncode, {"began": began})


def words_now(words: Sequence[str]) -> tuple[str, ...]:
    """A command of the frozen wheel, as it is called now."""
    match list(words):
        case ["batch", "audit", *rest]:
            return ("check", "--audit", *rest)
        case ["batch", "list", *rest]:
            return ("batch", "show", *rest)
        case ["restore", place, folder, *rest]:
            return ("backup", place, "--restore", folder, *rest)
    return tuple(words)


def kill_tree(number: int) -> None:
    """Kills a process and its descendants, whatever session they are in."""
    try:
        root = psutil.Process(number)
    except psutil.NoSuchProcess:
        return
    for process in (root, *root.children(recursive=True)):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def runs_stage(number: int, stage: str) -> bool:
    """Whether a stage is a descendant of a process."""
    try:
        return any(is_stage(process, stage) for process in psutil.Process(number).children(recursive=True))
    except psutil.NoSuchProcess:
        return False


def is_stage(process: psutil.Process, stage: str) -> bool:
    try:
        return any(word == f"retrim.stages.{stage}" for word in process.cmdline())
    except psutil.Error:
        return False


def differences(before: Sequence[Act], now: Sequence[Act]) -> Iterator[str]:
    """What another playing of a life showed otherwise, a line each: act, path, both values."""
    for number, (old, new) in enumerate(zip(before, now, strict=False), 1):
        where = f"{number} {old.words}"
        if old.words != new.words:
            yield f"{where}: the act is now {new.words}"
        if old.code != new.code:
            yield f"{where}: exit code: {old.code} -> {new.code}"
        for path in sorted({*old.facts, *new.facts}):
            pair = [str(side.facts.get(path, "absent")) for side in (old, new)]
            if pair[0] != pair[1]:
                yield f"{where}: {path}: {pair[0]} -> {pair[1]}"
    if len(before) != len(now):
        yield f"acts: {len(before)} -> {len(now)}"


def work_folder(name: str) -> Path:
    """A folder for lives: in memory where there is room."""
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(os.environ.get("TMPDIR", "/tmp"))  # noqa: S108
    return base / name

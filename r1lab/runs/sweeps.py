"""`sweep.json`: what a sweep's command said, and what became of runs that had to be tried again."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1lab.errors import ResumeError
from r1lab.runs.ledger import Ledger
from r1lab.runs.outcome import Outcome

FILE = "sweep.json"
MOVE = "move that file away, and its sweep is no longer gone on with; or put it back as it was"
ASIDE = ".tries"  # of a sweep's folder: what a try left whose run began anew
PLACE = ("cluster", "outputs", "debug", "dry_run", "sweep", "tracker", "hydra/launcher")
HYDRAS = ("hydra.sweep.dir", "hydra.launcher.", "hydra.sweeper.trials")


class SweepLedger:
    """The notes of a sweep in its folder.

    Args:
        folder: the sweep's; each run's stands in it.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.ledger = Ledger(folder / FILE, fix=MOVE)

    def read(self) -> dict[str, Any]:
        """What is noted; empty where nothing is.

        Raises:
            ResumeError: the file is broken.
        """
        found = self.ledger.read()
        if not _is_sweep(found):
            file = self.ledger.path
            raise ResumeError(f"{file} cannot be read: it holds no sweep's notes", MOVE)
        return found

    def begin(self, words: Sequence[str], command: str) -> None:
        """Note which command the sweep is of."""
        with self.ledger.changing() as content:
            content.update(words=list(words), command=command)

    @property
    def words(self) -> list[str] | None:
        """What `identity` says of the sweep's command; None where none is noted."""
        return self.read().get("words")

    def tries(self, run: str) -> list[dict[str, Any]]:
        """The earlier tries of a run, the first one first."""
        return list(self.read().get("tries", {}).get(run, []))

    def changes(self, run: str) -> list[str]:
        """The words that the run's last try took beside those typed: those of a smaller batch."""
        tries = self.tries(run)
        return list(tries[-1]["next"]) if tries else []

    def note(self, run: str, ended: Outcome, batch: dict[str, int], words: Sequence[str]) -> None:
        """Note how a try ended, its batch, and the words that the next one takes beside those typed."""
        time = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        entry = {"time": time, "kind": ended.fault, "cause": ended.cause, **batch, "next": list(words)}
        with self.ledger.changing() as content:
            content.setdefault("tries", {}).setdefault(run, []).append(entry)

    def set_aside(self, run: str) -> None:
        """Move what a try left out of the way of one that begins anew."""
        if not (self.folder / run).exists():
            return
        aside = self.folder / ASIDE
        aside.mkdir(exist_ok=True)
        number = sum(path.name.startswith(f"{run}-") for path in aside.iterdir())
        shutil.move(self.folder / run, aside / f"{run}-{number}")

    def pick(self, best: dict[str, Any]) -> None:
        """Note the best run, for scripts."""
        with self.ledger.changing() as content:
            content["best"] = best


def _is_sweep(found: dict[str, Any]) -> bool:
    """Whether a JSON object holds what `begin` and `note` write."""
    words, tries = found.get("words", []), found.get("tries", {})
    if not isinstance(words, list) or not isinstance(tries, dict):
        return False
    entries = [entry for of_run in tries.values() for entry in (of_run if isinstance(of_run, list) else [None])]
    return all(isinstance(entry, dict) and isinstance(entry.get("next"), list) for entry in entries)


def identity(words: Sequence[str], swept: Sequence[str] = ()) -> list[str]:
    """The words of a command that say what its sweep computes, and not where or how far.

    Args:
        words: as typed.
        swept: the keys with several values, which count wherever they belong.
    """
    kept = []
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        of_place = key.partition(".")[0] in (*PLACE, "accelerator") or key.startswith(HYDRAS)
        if key in swept or not of_place:
            kept.append(word)
    return kept


@dataclass(frozen=True)
class Seen:
    """What stood beside a sweep's new folder when it was planned.

    Attributes:
        folder: the new one, which was not there.
        words: what `identity` says of the command; None where it begins a new sweep whatever there is.
        before: the newest sweep of the same words.
    """

    folder: Path
    words: Sequence[str] | None
    before: Path | None

    def overtaken(self) -> bool:
        """Whether another command has begun the folder since, or a sweep of the same words."""
        if self.folder.exists():
            return True
        return self.words is not None and earlier(self.folder.parent, self.words) != self.before


def earlier(beside: Path, words: Sequence[str]) -> Path | None:
    """The newest sweep among those in a folder that is of the same words.

    Raises:
        ResumeError: a newer one does not say of which words it is.
    """
    if not beside.is_dir():
        return None
    folders = sorted((file.parent for file in beside.glob(f"*/{FILE}")), key=lambda path: path.name, reverse=True)
    return next((folder for folder in folders if SweepLedger(folder).words == list(words)), None)

"""How a run stands: the words, and what a folder alone says."""

from __future__ import annotations

import ast
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import r1lab
from r1lab.runs.folder import RunFolder
from r1lab.runs.states import COLOURS, STATES, coloured, state_from_here, state_of
from r1lab.slurm.commands import UNDER_WAY
from r1lab.slurm.states import ENDED, OURS

PACKAGE = Path(r1lab.__file__).parent


@pytest.mark.parametrize(
    ("manifest", "held", "state", "cause"),
    [
        ({}, False, "waiting", ""),
        ({}, True, "running", ""),
        ({"status": "running"}, True, "running", ""),
        ({"status": "running"}, False, "interrupted", "no end was recorded: it was killed, or runs on another machine"),
        ({"status": "interrupted", "cause": None}, False, "interrupted", "it was interrupted"),
        ({"status": "interrupted", "cause": "its time was up"}, False, "interrupted", "its time was up"),
        ({"status": "interrupted"}, True, "running", ""),  # a start goes on with it
        ({"status": "failed", "cause": "the loss is gone", "exit": 1}, True, "failed", "the loss is gone"),
        ({"status": "failed", "cause": None, "exit": 137}, False, "failed", "exit code 137, no cause was recorded"),
        ({"status": "failed"}, False, "failed", "no cause was recorded"),
        ({"status": "finished", "cause": "of an earlier try"}, True, "finished", ""),
    ],
)
def test_what_a_folder_says(manifest: dict[str, Any], held: bool, state: str, cause: str) -> None:
    assert state_of(manifest, held) == (state, cause)


def test_a_run_of_another_machine_is_not_called_interrupted(tmp_path: Path) -> None:
    folder, here = RunFolder(tmp_path), socket.gethostname()
    folder.write_json("manifest.json", {})
    folder.append("metrics.jsonl", [{"step": 1}])
    os.utime(tmp_path / "manifest.json", (0, 0))
    os.utime(
        tmp_path / "metrics.jsonl", (86_400 * 365.25 * 30,) * 2
    )  # the newer of the two: of 2000-01-01, at noon UTC
    state, why = state_from_here(folder, {"status": "running", "host": f"{here}-2"})
    assert state == "running"
    assert re.fullmatch(
        rf"on {here}-2 by its last word of (1999-12-31|2000-01-01) \d\d:\d\d; "
        "whether it goes on cannot be seen from this machine",
        why,
    )
    killed = ("interrupted", "no end was recorded: it was killed, or runs on another machine")
    assert state_from_here(folder, {"status": "running"}) == killed  # nobody knows where
    assert state_from_here(folder, {"status": "running", "host": here}) == ("interrupted", killed[1].split(",")[0])
    ended = {"status": "interrupted", "cause": "its time was up", "host": "elsewhere"}
    assert state_from_here(folder, ended) == ("interrupted", "its time was up")
    with folder.locked():
        assert state_from_here(folder, {"status": "running", "host": "elsewhere"}) == ("running", "")


def test_every_state_of_slurm_s_that_speaks_of_a_run_has_its_word() -> None:
    assert OURS["RUNNING"] == OURS["COMPLETING"] == "running"
    assert OURS["PENDING"] == OURS["REQUEUED"] == OURS["SUSPENDED"] == "queued"
    assert (OURS["CANCELLED"], OURS["TIMEOUT"], OURS["OUT_OF_MEMORY"]) == ("cancelled", "failed", "failed")
    assert OURS.keys() == {*UNDER_WAY, *ENDED, "CANCELLED"} and "COMPLETED" not in OURS and "FAILED" not in OURS
    assert set(OURS.values()) <= set(STATES)


def test_only_a_run_that_goes_on_has_no_colour() -> None:
    assert set(STATES) - set(COLOURS) == {"running"}
    assert (coloured("running"), coloured("failed")) == ("running", "[red]failed[/]")


def test_the_words_stand_in_one_place() -> None:
    """Those that mean nothing else; "failed" and "running" are words of other things too."""
    words = {"finished", "interrupted", "queued", "cancelled", "unfinished", "unreadable"}
    found = {}
    for file in PACKAGE.rglob("*.py"):
        texts = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        if file != PACKAGE / "runs/states.py" and (said := words & {text for text in texts if isinstance(text, str)}):
            found[str(file.relative_to(PACKAGE))] = said
    assert found == {"launch/worker.py": {"interrupted"}}  # a cause in one word

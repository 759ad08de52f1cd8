"""task=doctor: a table of what this machine has of what the chosen config needs, and what to do about the rest."""

from __future__ import annotations

import json
from dataclasses import asdict

from omegaconf import DictConfig
from rich.markup import escape
from rich.table import Table

from r1lab.doctor.check import MISSING, Check
from r1lab.doctor.examine import examine
from r1lab.errors import UserError
from r1lab.terminal import terminal

COLOURS = {"ok": "green", "warning": "yellow", "missing": "bold red"}


def run(cfg: DictConfig) -> None:
    """Print the checks, as a table or, with `task.json=true`, as JSON.

    Raises:
        UserError: something that the config needs is missing.
    """
    checks = examine(cfg)
    missing = [check for check in checks if check.state == MISSING]
    if cfg.task.json:
        print(json.dumps({"missing": len(missing), "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        console = terminal()
        console.print(table(checks))
    if missing:
        names = ", ".join(check.name for check in missing)
        raise UserError(f"missing of what this config needs: {names}")


def table(checks: list[Check]) -> Table:
    """The checks as a table: what, state, what is there, what to do."""
    rows = Table("check", "state", "found", "what to do", box=None, padding=(0, 2, 0, 0))
    for check in checks:
        colour = COLOURS[check.state]
        rows.add_row(escape(check.name), f"[{colour}]{check.state}[/]", escape(check.found), escape(check.todo))
    return rows

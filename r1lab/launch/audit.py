"""The audit of a run on its own, `python -m r1lab.launch.audit run.yaml`: what `dry_run=full` starts."""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from r1lab.runs.folder import RunFolder

AUDIT = "r1lab.tasks.audit"  # by name, as the worker finds a task


def main() -> None:
    """Write the findings about a `run.yaml` into `audit.json` beside it."""
    folder = RunFolder(Path(sys.argv[1]).parent)
    findings = import_module(AUDIT).audit(folder.read_config())
    folder.write_json("audit.json", {"findings": [asdict(finding) for finding in findings]})


if __name__ == "__main__":
    main()

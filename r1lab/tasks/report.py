"""task=report: write the page of a run or of a pipeline again, or the table and the page of a sweep."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from r1lab.errors import ReportError
from r1lab.report.page import write_page
from r1lab.report.pipeline import is_pipeline, write_pipeline
from r1lab.report.sweep import best_of, read_sweep, record_of, said_of, sweep_table, write_sweep
from r1lab.runs.sweeps import SweepLedger
from r1lab.terminal import terminal


def run(cfg: DictConfig) -> None:
    """Write the page of `task.run`, the folder of a run, a pipeline or a sweep.

    Raises:
        ReportError: it is none of them, or no run of the sweep has `task.metric`.
        ResumeError: the sweep's notes cannot be read.
    """
    target = Path(cfg.task.run)
    console = terminal()
    if (target / "run.yaml").is_file():
        console.print(str(write_page(target)), markup=False)
        return
    if is_pipeline(target):
        console.print(str(write_pipeline(target)), markup=False)
        return
    if not any((path / "run.yaml").is_file() for path in target.glob("*")):
        raise ReportError(f"{target} holds neither a run (run.yaml), a pipeline (pipeline.json) nor a sweep of runs")
    notes = SweepLedger(target)
    notes.read()  # before anything is written: the best run is noted there
    page = write_sweep(target, cfg.task.metric, cfg.task.direction)
    rows = read_sweep(target, cfg.task.metric, cfg.task.direction)
    console.print(sweep_table(rows))
    if best := best_of(rows):
        notes.pick(record_of(best, rows))
        console.print(said_of(best, rows), markup=False)
    console.print(str(page), markup=False)

"""What a person at a terminal reads: plans, findings, how a run or a sweep ended. One line each when not a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from r1lab.errors import ConfigError, Finding, R1labError
from r1lab.plan.checks import Plan
from r1lab.terminal import terminal
from r1lab.wording import display, plural

out = terminal()
err = terminal(stderr=True)


def show_error(error: R1labError) -> None:
    """Print an error as its message; findings one after another."""
    if not isinstance(error, ConfigError):
        err.print(f"[bold red]r1lab:[/] {escape(str(error))}")
        return
    count = len(error.findings)
    err.print(f"[bold red]r1lab:[/] {count} problem{'s' if count > 1 else ''}; nothing was started")
    for number, finding in enumerate(error.findings, 1):
        err.print(f"\n[bold]{number}[/]  {escape(finding.text())}")


def announce(plan: Plan) -> None:
    """Say what starts where."""
    cfg = plan.cfg
    rewards = ", ".join(cfg.reward) if cfg.reward else ""
    model = [] if "subject" in cfg.task else [f"model={cfg.model.name}"]  # a task about something else needs none
    words = [f"task={cfg.task.name}", *model]
    if cfg.get("benchmark"):
        words += [f"benchmark=[{', '.join(map(str, cfg.benchmark))}]", f"evaluator={cfg.evaluator.name}"]
    else:
        words += [f"dataset={cfg.dataset.name}", *([f"reward=[{rewards}]"] if rewards else [])]
    out.print(f"[bold]r1lab[/]  {escape('  '.join(words))}\n       {escape(str(plan.run_dir))}")
    for finding in plan.findings:
        out.print(f"[yellow]note[/]   {escape(finding.text())}")


def say_notes(plan: Plan) -> None:
    """Say what is worth saying of a task that runs here, beside what it prints itself."""
    for finding in plan.findings:
        err.print(f"[yellow]note[/]   {escape(finding.text())}")


def note(run_dir: Path, text: str) -> None:
    """Say what becomes of a sweep's run that was tried before."""
    out.print(f"[bold]{escape(run_dir.name)}[/]      {escape(text)}")


def say_again(folder: Path, runs: int) -> None:
    """Say that a command goes on with a sweep that an earlier one began."""
    out.print(f"[bold]r1lab[/]  goes on with the sweep {escape(display(folder))}, which this command began before")
    out.print(f"       {plural(runs, 'run')}; sweep.new=true begins another")


def say_twins(said: list[str]) -> None:
    """Say which runs of a sweep are one run made twice."""
    for text in said:
        out.print(f"[yellow]note[/]   {escape(text)}; another seed makes another run")


def show_end(plan: Plan, metrics: dict[str, Any]) -> None:
    """Say how a run ended and where to look."""
    objective = str(metrics.get("objective") or plan.cfg.objective)
    for note in metrics.get("notes", []):
        out.print(f"       {escape(note)}")
    if metrics.get(objective) is not None:
        before = metrics.get(f"{objective}_before")
        was = f" (before: {before:.3f})" if before is not None else ""
        out.print(f"[bold green]done[/]   {objective} {metrics[objective]:.3f}{was}")
    if (plan.run_dir / "report.html").is_file():
        out.print(f"       {escape(str(plan.run_dir / 'report.html'))}")


def show_plans(plans: list[Plan], as_json: bool) -> None:
    """Print plans, as tables or as JSON (an object for one run, a list for a sweep)."""
    if as_json:
        texts = [plan.json() for plan in plans]
        print(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        return
    for plan in plans:
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for section, rows in plan.facts.items():
            for number, (name, value) in enumerate(rows.items()):
                table.add_row(f"[bold]{section}[/]" if number == 0 else "", name, escape(str(value)))
        out.print(table)
        for finding in plan.findings:
            out.print(f"[yellow]{finding.severity}[/] {escape(finding.text())}")
    runs = "nothing speaks against it" if len(plans) == 1 else f"nothing speaks against these {len(plans)} runs"
    out.print(f"[bold]plan[/]  {runs}; dry_run=true started nothing")


def show_audit(findings: list[Finding]) -> None:
    """Print what the audit has to say beside errors, and that it is done."""
    for finding in findings:
        out.print(f"[yellow]{finding.severity}[/] {escape(finding.text())}")
    out.print("[bold]audit[/] tokenizer, template, data and rewards were looked at")


def show_sweep(folder: Path) -> dict[str, Any] | None:
    """Print the table of a sweep, its best run and where its page is; the best run for scripts."""
    from r1lab.report import sweep  # matplotlib: only a finished sweep needs it

    if not folder.is_dir():
        return None
    page = sweep.write_sweep(folder)
    rows = sweep.read_sweep(folder)
    out.print(sweep.sweep_table(rows))
    best = sweep.best_of(rows)
    if best:
        out.print(f"[bold green]best[/]   {escape(sweep.said_of(best, rows))}")
    out.print(f"       {escape(str(page))}")
    return sweep.record_of(best, rows) if best else None

"""A run's page: one self-contained report.html that says in ten seconds what was run, how it ended and what came
out."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from r1lab.report.charts import sections
from r1lab.report.diagnosis import findings, plain_words, reward_health
from r1lab.report.generation import made
from r1lab.report.records import Run, read_run
from r1lab.report.rendering import render, write
from r1lab.report.rescore import compared
from r1lab.report.samples import Pair, pairs
from r1lab.report.score import Estimate, Score, as_number, score
from r1lab.report.words import cut, duration, joined, number, percent, value_of

_ROWS, _CELL, _NOTES = 200, 300, 12


@dataclass(frozen=True)
class Side:
    """An estimate as the headline shows it; `bar` holds left, width and mark in percent of the track, for shares
    only."""

    value: str
    interval: str
    when: str
    bar: tuple[float, float, float] | None


def write_page(run_dir: Path) -> Path:
    """Read a run's folder and write its report.html, also for a run that failed, was killed or is still going.

    Returns the page's path. Raises ReportError when the folder cannot be read or written; files that are missing or
    torn are no error, the page names them.
    """
    run = read_run(run_dir)
    result = score(run)
    notes = run.summary.get("notes")
    own_notes = [str(note) for note in notes[:_NOTES]] if isinstance(notes, list) else []
    parts, generated, beside = sections(run), made(run), compared(run)
    needless = {"steps", "model", "dataset"} if beside else {"steps"} if generated else set()
    page = render(
        "page.html.j2",
        run=run,
        facts=[fact for fact in _facts(run) if fact[0] not in needless],
        score=result,
        before=_side(result, result.before) if result else None,
        after=_side(result, result.after) if result else None,
        change=_change(result),
        notes=[cut(note, 1000) for note in own_notes] or plain_words(run, result),
        own_notes=bool(own_notes),
        findings=findings(run),
        made=generated,
        compared=beside,
        sections=[part for part in parts if part.title != "Other"],
        other=next((part for part in parts if part.title == "Other"), None),
        samples=[(title, _samples(run, kind)) for kind, title in (("eval", "Evaluation"), ("train", "Training"))],
        rewards=reward_health(run),
        summary=_rows({key: value for key, value in run.summary.items() if key != "notes"}),
        manifest=_manifest(run),
        versions=_rows(_mapping(run.manifest, "versions")),
        command=cut(_command(run.manifest.get("command")), 4000),
        folder=str(Path(run_dir).absolute()),
    )
    return write(Path(run_dir) / "report.html", page)


def option(run: Run, group: str) -> str | None:
    """The name of the option chosen in a group: `task: {name: grpo}`, or `task: grpo`."""
    chosen = run.config.get(group)
    name = chosen.get("name") if isinstance(chosen, dict) else chosen
    return None if name is None else cut(str(name), 80)


def _samples(run: Run, kind: str) -> list[Pair]:
    return pairs(run.completions.get(kind, []))


def _facts(run: Run) -> list[tuple[str, str]]:
    """The line under the name: what was run, on what, for how long."""
    facts = [(group, option(run, group)) for group in ("task", "model", "dataset")]
    rewards = run.config.get("reward")
    if isinstance(rewards, dict) and rewards:
        weighted = []
        for name, settings in list(rewards.items())[:8]:
            weight = settings.get("weight") if isinstance(settings, dict) else None
            weighted.append(cut(str(name), 40) + (f" × {number(weight)}" if weight is not None else ""))
        facts.append(("rewards", joined(weighted)))
    facts.append(("steps", None if run.last_step is None else number(run.last_step)))
    time = None if run.seconds is None else ("" if run.seconds_known else "at least ") + duration(run.seconds)
    resumed = run.manifest.get("resumed")
    if time and isinstance(resumed, list) and resumed:
        time += f", resumed {len(resumed)} time{'s' if len(resumed) > 1 else ''}"
    facts.append(("wall time", time))
    return [(name, value) for name, value in facts if value]


def _side(result: Score, estimate: Estimate | None) -> Side | None:
    if estimate is None:
        return None
    low, high, bar = estimate.low, estimate.high, None
    interval = ""
    if low is not None and high is not None:
        interval = f"95 % interval {value_of(result.key, low)} to {value_of(result.key, high)}"
    if 0 <= estimate.value <= 1 and "%" in value_of(result.key, estimate.value):
        left, right = (min(max(end if end is not None else estimate.value, 0.0), 1.0) for end in (low, high))
        bar = (round(100 * left, 2), round(100 * (right - left), 2), round(100 * estimate.value, 2))
    when = "" if estimate.step is None else f"at step {estimate.step:,}"
    return Side(value_of(result.key, estimate.value), interval, when, bar)


def _change(result: Score | None) -> str:
    """ "+43.0 points, the intervals are apart"."""
    if result is None or result.change is None or result.before is None:
        return ""
    if "%" in value_of(result.key, result.before.value):
        text = percent(result.change, signed=True).replace("%", "points")
    else:
        text = ("+" if result.change > 0 else "") + number(result.change)
    if result.apart is None:
        return text
    return f"{text}: {'the intervals are apart' if result.apart else 'the intervals overlap, it may be chance'}"


def _mapping(values: dict[str, Any], key: str) -> dict[str, Any]:
    inner = values.get(key)
    return inner if isinstance(inner, dict) else {}


def _rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [(cut(str(key), _CELL), _cell(value)) for key, value in list(values.items())[:_ROWS]]
    return rows + ([("…", f"{len(values) - _ROWS:,} more")] if len(values) > _ROWS else [])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return repr(value)  # in full: this is where a figure is copied from
    if isinstance(value, list | tuple):
        return cut(", ".join(str(part) for part in value[:20]), _CELL)
    return "–" if value is None else cut(str(value), _CELL)


def _command(argv: object) -> str:
    return shlex.join(str(part) for part in argv) if isinstance(argv, list) else str(argv or "")


def _manifest(run: Run) -> list[tuple[str, str]]:
    """What is needed to run it again elsewhere, in the order one asks for it."""
    manifest = run.manifest
    git, data, model, machine = (_mapping(manifest, key) for key in ("git", "dataset", "model", "hardware"))
    commit = str(git.get("commit", "")) + (" with uncommitted changes" if git.get("dirty") else "")
    parameters = as_number(model.get("parameters"))
    memory = as_number(machine.get("memory_gb"))
    rows = {
        "seed": manifest.get("seed", run.config.get("seed")),
        "git commit": commit or ("none: not run from a repository" if manifest else ""),
        "dataset": joined(_present(data.get("fingerprint"), _counted(data.get("rows"), "rows"))),
        "model": joined(_present(model.get("name"), model.get("revision"), _counted(parameters, "parameters"))),
        "hardware": joined(
            _present(
                machine.get("cpu"),
                _counted(machine.get("cores"), "cores"),
                f"{memory:.0f} GB memory" if memory is not None else None,
                _gpus(machine["gpus"]) if "gpus" in machine else None,
            )
        ),
        "python": manifest.get("python"),
        "platform": manifest.get("platform"),
        "started": manifest.get("started"),
        "resumed": manifest.get("resumed") or None,
        "ended": manifest.get("ended"),
        "exit code": manifest.get("exit"),
    }
    return [(name, _cell(value)) for name, value in rows.items() if value not in (None, "")]


def _gpus(gpus: object) -> str:
    """Their names, or only how many there were."""
    if isinstance(gpus, list) and gpus:
        return joined([str(gpu) for gpu in gpus[:16]])
    return (_counted(gpus, "GPU" if gpus == 1 else "GPUs") if gpus else None) or "no GPU"


def _present(*parts: object) -> list[str]:
    return [str(part) for part in parts if part not in (None, "")]


def _counted(value: object, unit: str) -> str | None:
    counted = as_number(value)
    return None if counted is None else f"{number(counted)} {unit}"

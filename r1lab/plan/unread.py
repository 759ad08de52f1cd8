"""Words of the command line that the task never reads: they would have no effect, and whoever typed them thinks so."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from r1lab.errors import Finding
from r1lab.plan.words import parse
from r1lab.runs.config import PARTS
from r1lab.wording import some

ALWAYS = ("task", "cluster", "sweep")  # hold for every task
ASKED = tuple(part for part in PARTS if part not in ALWAYS)  # what a task file's `reads` lists


def check_unread(cfg: DictConfig, words: Sequence[str]) -> list[Finding]:
    """A warning for each part that was typed and that the task's `reads` does not list; none of what files say.

    Args:
        cfg: the composed config; a task file without `reads` may read anything.
        words: as typed.
    """
    if (listed := cfg.task.get("reads")) is None:
        return []
    reads = {str(part) for part in listed}
    if cfg.cluster.kind != "local":
        reads.add("accelerator")  # a job asks for its GPUs
    typed: dict[str, list[Override]] = {}
    for override in parse(words)[0]:
        typed.setdefault(override.key_or_group.partition("@")[0].partition(".")[0], []).append(override)
    findings = []
    for part in ASKED:
        said = typed.get(part, [])
        if (
            part == "model"
            and "dataset" in reads
            and not any(item.key_or_group == "dataset" for item in typed.get("dataset", []))
        ):
            said = [item for item in said if item.key_or_group != part]  # a model may bring its dataset along
        if part not in reads and said:
            place = ", ".join(f"override {item.input_line}" for item in said)
            what = f"task={cfg.task.name} reads no {part}: {'it has' if len(said) == 1 else 'they have'} no effect"
            fix = f"leave it out; of these it reads {some(reads)}" if reads else "leave it out"
            findings.append(Finding(what, place, fix=fix, severity="warning"))
    return findings

"""What speaks against a benchmark's number: each doubt is a count with a sentence, printed beside it.

None of them changes the number; each says what it may hide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from r1lab.evaluation.records import Problem, Record, Sample
from r1lab.wording import plural

LONG = 200  # characters from which two equal completions are no coincidence
SOME = 8  # characters below which a completion is an answer alone, which may well come twice


@dataclass(frozen=True)
class Doubt:
    """One doubt.

    Attributes:
        name: a word for scripts.
        share: of samples, or of problems where it is about those.
        text: to be read.
    """

    name: str
    share: float
    text: str


def doubts(record: Record) -> list[Doubt]:
    """Every doubt about a record, the gravest first."""
    samples = list(chain.from_iterable(problem.samples for problem in record.problems))
    there = [sample for sample in samples if not unmade(sample)]
    unjudged = [sample for sample in samples if sample.score is None and sample.finish != "overflow"]
    cut = [sample for sample in there if sample.finish == "length"]
    found = [
        _of_problems(record),
        _fewer(record),
        _of(samples, [s for s in samples if s.finish == "overflow"], "overflow", BEYOND.format(record.context)),
        _context(record, there),
        _of(samples, unjudged, "not_judged", _reasons(samples)),
        _of(there, cut, "truncated", "cut at the most tokens; they count as they are"),
        _of(
            there, [s for s in there if s.answer is None and s.finish != "length"], "no_answer", "end without an answer"
        ),
        _of(there, [s for s in cut if s.answer is None], "no_answer_cut", NO_ANSWER_CUT),
        _endless(there),
        _same_seed(record),
        _copies(record),
    ]
    return [doubt for doubt in found if doubt is not None]


BEYOND = "not sampled: prompt and new tokens would be more than the context of {}"
NO_ANSWER_CUT = "cut before an answer; more tokens may give one"


def unmade(sample: Sample) -> bool:
    """Whether there is no completion at all."""
    return sample.finish in ("overflow", "refusal") or (not sample.text and bool(sample.reason))


def _of(whole: list[Sample], some: list[Sample], name: str, text: str) -> Doubt | None:
    if not some:
        return None
    return Doubt(name, len(some) / len(whole), f"{len(some):,} of {len(whole):,} completions {text}")


def _reasons(samples: list[Sample]) -> str:
    causes = Counter(s.reason for s in samples if s.score is None and s.reason and s.finish != "overflow")
    return "were not judged" + (f", most often: {causes.most_common(1)[0][0]}" if causes else "")


def _of_problems(record: Record) -> Doubt | None:
    """Problems that the number does not contain."""
    unjudged = [p for p in record.problems if all(s.score is None for s in p.samples)]
    count, whole = len(record.missing) + len(unjudged), len(record.missing) + len(record.problems)
    if not count:
        return None
    first = f"{record.missing[0][0]}: {record.missing[0][1]}" if record.missing else unjudged[0].id
    return Doubt("skipped", count / whole, f"{count:,} of {plural(whole, 'problem')} are not in the number ({first})")


def _fewer(record: Record) -> Doubt | None:
    short = [p for p in record.problems if len(p.samples) < record.asked]
    if not short:
        return None
    least = min(len(p.samples) for p in short)
    text = f"{len(short):,} of {plural(len(record.problems), 'problem')} have fewer than the {record.asked} samples"
    return Doubt("fewer_samples", len(short) / len(record.problems), f"{text} asked for, one of them {least}")


def _context(record: Record, there: list[Sample]) -> Doubt | None:
    """Completions that the context cut before the tokens that were asked for."""
    most = (record.made_by.get("sampling") or {}).get("max_tokens")
    if record.context is None or most is None:
        return None
    over = [s for s in there if s.prompt_tokens is not None and s.prompt_tokens + most > record.context]
    if not over:
        return None
    longest = max(s.prompt_tokens or 0 for s in over)
    text = f"{len(over):,} of {len(there):,} completions are of prompts of up to {longest:,} tokens: with {most:,} new "
    text += f"ones that is beyond the context of {record.context:,}, which cuts them before"
    return Doubt("beyond_context", len(over) / len(there), text)


def _endless(there: list[Sample]) -> Doubt | None:
    """A model whose completions all run to the limit has most likely no end token."""
    known = [s for s in there if s.finish in ("stop", "length")]
    if len(known) < 2 or any(s.finish == "stop" for s in known):
        return None
    text = "no completion ended by itself: the end token may be missing (model.eos_token), or max_tokens far too small"
    return Doubt("no_end", 1.0, text)


def _same_seed(record: Record) -> Doubt | None:
    """Problems of which several samples were drawn with one seed."""
    twice = [p for p in record.problems if repeats([s.seed for s in p.samples if s.seed is not None])]
    if not twice or _temperature(record) == 0:
        return None
    text = f"{len(twice):,} of {plural(len(record.problems), 'problem')} have samples drawn with the same seed"
    return Doubt("same_seed", len(twice) / len(record.problems), f"{text}: they are one sample, counted several times")


def _copies(record: Record) -> Doubt | None:
    """Completions that are copies: long ones are no coincidence, nor is one completion alone for every problem."""
    several = [p for p in record.problems if len(p.samples) > 1]
    whole = sum(len(p.samples) for p in several)
    same = [p for p in several if copies(p, SOME) == len(p.samples) - 1]
    if len(several) > 1 and len(same) == len(several):
        why = "at temperature 0 they are one sample" if _temperature(record) == 0 else "were they drawn with one seed?"
        text = f"all samples of a problem are copies of one, in every one of {len(several):,} problems: {why}"
        return Doubt("copies", sum(copies(p, SOME) for p in same) / whole, text)
    count = sum(copies(p, LONG) for p in several)
    if not count:
        return None
    text = (
        f"{count:,} of {whole:,} completions are copies of another one of their problem, of {LONG} characters or more"
    )
    return Doubt("copies", count / whole, text)


def copies(problem: Problem, least: int) -> int:
    """How many completions of a problem, of so many characters or more, are copies of an earlier one."""
    return repeats([s.text for s in problem.samples if len(s.text) >= least])


def repeats(values: Sequence[object]) -> int:
    """How many values stand further front already."""
    return len(values) - len(set(values))


def _temperature(record: Record) -> float | None:
    found = (record.made_by.get("sampling") or {}).get("temperature")
    return None if found is None else float(found)

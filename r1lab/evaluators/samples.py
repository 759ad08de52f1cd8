"""A completion and what was said of it, as records keep it."""

from __future__ import annotations

from r1lab.engines.base import Completion, Sampling, seed_of
from r1lab.evaluation.judging import Judged
from r1lab.evaluation.questions import Question
from r1lab.evaluation.records import Sample
from r1lab.rewards.answers import final_answer
from r1lab.rewards.code import last_block

LANGUAGES = {"program": "python", "contest": "cpp"}  # by the benchmark's form


def sample_of(form: str, question: Question, item: Completion, mark: Judged, sampling: Sampling, index: int) -> Sample:
    """A completion with its score; `index` is its place among those of its question."""
    answer = last_block(item.text, LANGUAGES[form]) if form in LANGUAGES else final_answer(item.text)
    return Sample(
        text=item.text,
        score=mark[0],
        answer=answer,
        finish="" if item.finish == "error" else item.finish,
        tokens=item.tokens or (None if item.text else 0),
        prompt_tokens=item.prompt_tokens,
        seed=seed_of(sampling.seed, question.prompt, index),
        reason=mark[1],
    )

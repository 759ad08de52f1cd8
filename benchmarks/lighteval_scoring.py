"""lighteval's own scoring of stored completions, timed; runs in lighteval's environment, beside benchmarks/scoring.py.

python benchmarks/lighteval_scoring.py WORK.json RESULT.json [PART]

WORK has `math`: [[gold, [texts]], …] and `code`: [[tests, [texts]], …]; RESULT gets seconds and a verdict of each text.
Each document is scored by the metric of lighteval's task as its pipeline does it: one document after another.
"""

import json
import sys
import time
from importlib import import_module
from pathlib import Path

from lighteval.metrics.metrics import Metrics
from lighteval.models.model_output import ModelResponse
from lighteval.tasks.requests import Doc
from lighteval.utils.utils import remove_reasoning_tags

TAGS = [("<think>", "</think>")]


def response(text):
    """A completion as lighteval's pipeline hands it to a metric."""
    return ModelResponse(text=[text], text_post_processed=[remove_reasoning_tags(text, TAGS)])


def math(work):
    """Seconds and verdicts of MATH-500's and AIME's metric: pass@k of one sample each."""
    metric = Metrics.pass_at_k_math(sample_params={"k": 1, "n": 1})
    verdicts, began = [], time.perf_counter()
    for gold, texts in work:
        for text in texts:
            doc = Doc(query="", choices=[f"$\\boxed{{{gold}}}$"], gold_index=0)
            verdicts.append(float(metric.sample_level_fn.compute(doc=doc, model_response=response(text))))
    return time.perf_counter() - began, verdicts


def code(work):
    """Seconds and verdicts of LiveCodeBench's metric: the samples of a problem together, as its task has them."""
    lcb = import_module("lighteval.tasks.tasks.lcb.main")
    stock, seen = lcb.codegen_metrics, []

    def kept(*args, **options):
        metrics, results = stock(*args, **options)
        seen.append(results)
        return metrics, results

    lcb.codegen_metrics = kept
    metric, verdicts, began = lcb.CodegenMetric(), [], time.perf_counter()
    for tests, texts in work:
        doc = Doc(query="", choices=[""], gold_index=0, specific=tests)
        final = [remove_reasoning_tags(text, TAGS) for text in texts]
        metric.compute(ModelResponse(text=texts, text_post_processed=final), doc)
        verdicts += [float(all(outcome is True or outcome > 0 for outcome in outcomes)) for outcomes in seen[-1][0]]
    return time.perf_counter() - began, verdicts


def main():
    """Score both parts."""
    work = json.loads(Path(sys.argv[1]).read_text())
    parts = {"math": math, "code": code}
    result = {}
    for name in sys.argv[3:] or parts:
        seconds, verdicts = parts[name](work[name])
        result[name] = {"seconds": seconds, "verdicts": verdicts}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()

"""The process that runs lighteval, in its own environment: `python lighteval_worker.py TASKS.json READ WRITE`.

It builds lighteval's prompts, asks for their completions, scores them by lighteval's metrics and tells each verdict.
READ and WRITE are file descriptors with a line of JSON for each step:

    → {"asked": NAME, "rows": [{"row": 0, "prompt": [turns], "gold": "…"}, …]}
    ← {"completions": FILE}                 a JSON mapping of rows to lists of texts
    → {"scored": NAME, "rows": [{"row": 0, "scores": [1.0, …], "answers": ["…", …]}, …], "results": {metric: value}}

It imports nothing of r1lab. Of lighteval's tasks it loads those that are asked for alone: others download at import.
Source: https://github.com/huggingface/lighteval (0.13.0).
"""

import json
import logging
import os
import sys
from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

# lighteval's own model classes, which none of this needs, take half of its imports' time
sys.modules["lighteval.models.model_loader"] = UNUSED = ModuleType("model_loader")
UNUSED.TransformersModel = UNUSED.load_model = None

from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.metrics.metrics import Metrics
from lighteval.metrics.metrics_sample import PassAtK, SampleLevelComputation
from lighteval.metrics.utils.metric_utils import SampleLevelMetric
from lighteval.models.abstract_model import LightevalModel, ModelConfig
from lighteval.models.model_output import ModelResponse
from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.prompt_manager import PromptManager
from lighteval.tasks.registry import Registry
from lighteval.tasks.requests import Doc, SamplingMethod

STOCK = "lighteval.tasks.tasks"
LIVECODE = "lcb.main/lcb:codegeneration"
METRIC = "pass@1"
PROGRAMS = "CodegenMetric"  # LiveCodeBench's
ONE = {"k": 1, "n": 1}
OF_FORM = {  # the metric of prompts that lighteval has no task for
    "text": lambda: Metrics.pass_at_k_math(sample_params=ONE),
    "choices": lambda: Metrics.gpqa_instruct_pass_at_k(sample_params=ONE),
    "program": lambda: judge_of(stock(LIVECODE)),
}


def stock(spec):
    """lighteval's own task, from its module and its name: "aime/aime24"."""
    module, _, name = spec.partition("/")
    found = {task.name: task for task in import_module(f"{STOCK}.{module}").TASKS_TABLE}
    if name not in found:
        raise LookupError(f"lighteval's module {module} has no task {name!r}; it has {', '.join(sorted(found))}")
    return found[name]


def judge_of(task):
    """The metric of lighteval's task that judges single completions."""
    for metric in task.metrics:
        if isinstance(metric.sample_level_fn, PassAtK) or type(metric.sample_level_fn).__name__ == PROGRAMS:
            return metric
    names = ", ".join(type(metric.sample_level_fn).__name__ for metric in task.metrics)
    raise LookupError(f"lighteval's task {task.name} judges by {names}; r1lab takes tasks with PassAtK or {PROGRAMS}")


class Each(SampleLevelComputation):
    """lighteval's metric, of each completion by itself: verdicts, not only their mean.

    Args:
        metric: PassAtK, or LiveCodeBench's.
        heard: row → verdicts and answers, filled here.
        processes: that run programs at once.
    """

    def __init__(self, metric, heard, processes):
        self.metric, self.heard, self.processes = deepcopy(metric), heard, processes
        self.answers = []
        if isinstance(self.metric, PassAtK):
            self.metric.k = self.metric.n = 1
            self.score = self.metric.compute_score
            self.metric.compute_score = self.listen

    def __deepcopy__(self, memo):
        """Itself: lighteval copies a task's config, and what is heard is read here."""
        return self

    def listen(self, doc, model_response):
        """The metric's own scoring; what it extracted is kept."""
        score = self.score(doc=doc, model_response=model_response)
        found = (doc.specific or {}).get("extracted_predictions") or [None]
        self.answers.append(found[-1])
        return score

    def compute(self, model_response, doc, **_):
        """See lighteval's SampleLevelComputation."""
        texts = list(zip(model_response.text, model_response.final_text, strict=True))
        if isinstance(self.metric, PassAtK):
            self.answers = []
            parts = [ModelResponse(text=[text], text_post_processed=[final]) for text, final in texts]
            scores = [float(self.metric.compute(doc=doc, model_response=part)) for part in parts]
            answers = self.answers
        else:
            answers, scores = self.programs([final for _, final in texts], doc)
            doc.specific = None  # the tests: as large as the benchmark itself
        self.heard[int(doc.id)] = {"scores": scores, "answers": answers}
        return float(np.mean(scores)) if scores else 0.0

    def programs(self, texts, doc):
        """Programs and verdicts by LiveCodeBench's metric, each program as a problem of its own, side by side."""
        lcb = import_module(f"{STOCK}.lcb.codegen_metrics")
        programs = [lcb.extract_code(text) for text in texts]
        if not programs:
            return [], []
        test = {"input_output": json.dumps({key: doc.specific[key] for key in ("inputs", "outputs", "fn_name")})}
        pairs = ([test] * len(programs), [[program] for program in programs])
        metrics, _ = lcb.codegen_metrics(*pairs, k_list=[1], num_process_evaluate=self.processes)
        verdicts = metrics["detail"]["pass@1"]
        return [program or None for program in programs], [float(verdicts[i]) for i in range(len(programs))]


def config_of(task, heard, processes):
    """lighteval's task for one of ours: its stock task on our rows, or our prompts with the metric of their form."""
    spec, form = task["task"], task["form"]
    model = stock(spec) if spec else None
    metric = judge_of(model) if model else OF_FORM[form]()
    each = SampleLevelMetric(
        metric_name=METRIC,
        sample_level_fn=Each(metric.sample_level_fn, heard, processes),
        category=SamplingMethod.GENERATIVE,
        corpus_level_fn=np.mean,
        higher_is_better=True,
    )
    ours = {"name": task["name"], "hf_repo": task["rows"], "hf_subset": "default", "metrics": [each]}
    if model:
        splits = {"hf_avail_splits": ["test"], "evaluation_splits": ["test"]}
        return replace(model, **ours, **splits, hf_revision=None, hf_filter=None, num_samples=None)
    return LightevalTaskConfig(
        prompt_function=OWN_PROMPTS[form],
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        stop_sequence=[],
        **ours,
    )


def text_prompt(line, task_name=None):
    """Our prompt with a gold answer, boxed: lighteval reads bare LaTeX nowhere, not even in a gold answer."""
    gold = line["r1lab_gold"].strip().strip("$")
    return Doc(task_name=task_name, query=line["r1lab_prompt"], choices=[f"$\\boxed{{{gold}}}$"], gold_index=0)


def choices_prompt(line, task_name=None):
    """Our prompt with a letter as its gold answer."""
    letters = list(line["r1lab_letters"])
    gold = letters.index(line["r1lab_gold"])
    return Doc(task_name=task_name, query=line["r1lab_prompt"], choices=letters, gold_index=gold)


def program_prompt(line, task_name=None):
    """Our prompt with LiveCodeBench's tests."""
    doc = stock(LIVECODE).prompt_function(line, task_name)
    doc.query, doc.instruction = line["r1lab_prompt"], None
    return doc


OWN_PROMPTS = {"text": text_prompt, "choices": choices_prompt, "program": program_prompt}


class Asking(LightevalModel):
    """A model of lighteval's whose completions come from the process that started this one."""

    tokenizer = None
    add_special_tokens = False
    max_length = None

    def __init__(self, task, model_name, lines):
        self.task, self.lines = task, lines
        self.config = ModelConfig(model_name=model_name, system_prompt=task["system_prompt"])
        self._cache = SimpleNamespace(_init_registry=lambda registry: None)  # completions are kept where they are made
        self.prompts = PromptManager(use_chat_template=True, tokenizer=None, system_prompt=task["system_prompt"])

    def greedy_until(self, docs):
        """The completions of prompts, however they are sampled."""
        prompts = [self.prompts.prepare_prompt_api(doc) for doc in docs]
        program = self.task["form"] == "program"
        rows = [
            {"row": int(doc.id), "prompt": prompt, "gold": None if program else doc.get_golds()[0]}
            for doc, prompt in zip(docs, prompts, strict=True)
        ]
        self.lines.tell({"asked": self.task["name"], "rows": rows})
        texts = json.loads(Path(self.lines.hear()["completions"]).read_text(encoding="utf-8"))
        return [ModelResponse(input=prompt, text=texts[doc.id]) for doc, prompt in zip(docs, prompts, strict=True)]

    def loglikelihood(self, docs):
        """None of these tasks asks for it."""
        raise NotImplementedError("evaluator=lighteval samples completions; it has no log-likelihoods")

    loglikelihood_rolling = loglikelihood


class Lines:
    """The other process: a line of JSON to it, a line from it."""

    def __init__(self, read, write):
        self.source = os.fdopen(read, encoding="utf-8")
        self.sink = os.fdopen(write, "w", encoding="utf-8")

    def tell(self, message):
        """Write a line."""
        self.sink.write(json.dumps(message) + "\n")
        self.sink.flush()

    def hear(self):
        """Read a line; the end of the pipe ends this process."""
        line = self.source.readline()
        if not line:
            sys.exit("the process that asked is gone")
        return json.loads(line)


def evaluate(task, work, lines):
    """One task, from its rows to its verdicts."""
    heard = {}
    table = ModuleType("r1lab_tasks")
    table.TASKS_TABLE = [config_of(task, heard, work["processes"])]
    tracker = EvaluationTracker(output_dir=task["out"], save_details=True)
    pipeline = Pipeline(
        tasks=f"{task['name']}|0",
        pipeline_parameters=PipelineParameters(ParallelismManager.CUSTOM, custom_tasks_directory=table),
        evaluation_tracker=tracker,
        model=Asking(task, work["model"], lines),
    )
    pipeline.evaluate()
    pipeline.save_and_push_results()
    results = next(value for key, value in pipeline.get_results()["results"].items() if key != "all")
    rows = [{"row": row, **heard[row]} for row in sorted(heard)]
    lines.tell({"scored": task["name"], "rows": rows, "results": {key: float(value) for key, value in results.items()}})


def main():
    """Evaluate every task of the file, in its order."""
    logging.basicConfig(level=logging.INFO)
    Registry._load_from_files = staticmethod(lambda files, prefix: {})
    Registry._load_from_subdirs = staticmethod(lambda folders: {})
    work = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines = Lines(int(sys.argv[2]), int(sys.argv[3]))
    for task in work["tasks"]:
        evaluate(task, work, lines)


if __name__ == "__main__":
    main()

"""What is wrong with a dataset's words is said before a run: mixtures, forms, lengths and splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from r1lab.launch.environment import on_a_hub
from tests.command_line import CommandLine

Write = Callable[[str, str | bytes], Path]
ROW = '{"problem": "1 + 1?", "answer": "2"}\n'


def mixture(*entries: str) -> list[str]:
    return ["dataset=mixture", f"dataset.datasets=[{','.join(entries)}]"]


@pytest.mark.parametrize(
    ("entries", "what", "nearest"),
    [
        (["{path: x.jsn}"], "x.jsn does not exist", "x.jsonl"),
        (["{path: x.jsonl, weight: 1.5}"], "dataset.datasets[0].weight=1.5 is not the share of a dataset's rows", ""),
        (["{path: x.jsonl, splti: a}"], "dataset.datasets[0].splti is not a field of a mixture's entry", "split"),
        (["{name: openr1-math}"], "dataset.datasets[0]: there is no dataset 'openr1-math'", "openr1-math-220k"),
        (
            ["{path: x.jsonl}", "{path: y.jsonl}"],
            "dataset.datasets[1] (y.jsonl) has other columns than dataset.datasets[0] (x.jsonl): it lacks answer and "
            "has gold besides",
            "",
        ),
        (["{path: y.jsonl, columns: [problem, glod]}"], "dataset.datasets[0] (y.jsonl) has no column 'glod'", "gold"),
        (["{path: null.jsonl}"], "null.jsonl:2 has no prompt (column problem is null)", ""),
        (
            ["{path: y.jsonl}"],
            "dataset.answer=answer: dataset.datasets[0] (y.jsonl) has no such column; reward accuracy compares with it",
            "",
        ),
        (
            ["{name: mixture-of-thoughts}"],
            "dataset.datasets[0] (mixture-of-thoughts) has no column that the mixture names by dataset.prompt",
            "",
        ),
    ],
)
def test_an_entry_of_a_mixture(entries: list[str], what: str, nearest: str, r1lab: CommandLine, write: Write) -> None:
    write("x.jsonl", ROW)
    write("y.jsonl", ROW.replace("answer", "gold"))
    write("null.jsonl", ROW + '{"problem": null, "answer": "2"}\n')
    found = r1lab.all(*mixture(*entries))
    assert found[0]["what"].startswith(what)
    assert found[0].get("nearest", "") == nearest or not nearest
    assert len(found) == 1


def test_a_mixture_that_fits(r1lab: CommandLine, write: Write) -> None:
    write("x.jsonl", ROW)
    write("y.jsonl", ROW.replace("answer", "gold"))
    entries = ["{path: x.jsonl}", "{path: y.jsonl, columns: {problem: problem, answer: gold}, weight: 0.5}"]
    assert len(r1lab.accepts(*mixture(*entries)).dataset.datasets) == 2
    cfg = r1lab.accepts(*mixture("{path: x.jsonl}", "{id: a/b, columns: [problem, answer]}"))
    assert on_a_hub(cfg.dataset)
    assert not on_a_hub(r1lab.accepts(*mixture(*entries)).dataset)
    assert on_a_hub(r1lab.accepts("dataset=openr1-numina").dataset)


def test_words_with_a_few_values(r1lab: CommandLine, write: Write) -> None:
    write("x.jsonl", ROW)
    words = ["dataset=local", "dataset.path=x.jsonl"]
    finding = r1lab.one(*words, "dataset.too_long=dorp")
    assert (finding["what"], finding["nearest"]) == ("dataset.too_long does not know 'dorp'", "dataset.too_long=drop")
    assert r1lab.one(*words, "dataset.own_system=replaced")["nearest"] == "dataset.own_system=replace"
    finding = r1lab.one(*words, "dataset.too_long=truncate")
    assert finding["what"] == "dataset.too_long=truncate would cut problems, and a cut problem has another answer"
    assert r1lab.accepts("task=sft", *words, "dataset.too_long=truncate").dataset.too_long == "truncate"
    assert r1lab.one(*words, "dataset.max_prompt_tokens=0")["what"] == "dataset.max_prompt_tokens=0 is out of range"
    assert r1lab.one(*words, "dataset.use=prompts")["what"].startswith("dataset.use is not a field of")


def test_what_is_held_out_is_said(r1lab: CommandLine, write: Write) -> None:
    write("x.jsonl", ROW)
    words = ["dataset=local", "dataset.path=x.jsonl"]
    assert r1lab.plan(*words).facts["run"]["held out"] == "up to 400 rows"
    none = r1lab.plan(*words, "dataset.test=0").facts["run"]["held out"]
    assert none == "nothing (dataset.test=0): no evaluation"
    assert r1lab.plan("dataset=math-lighteval").facts["run"]["held out"] == "test"
    assert r1lab.one("task=eval", *words, "dataset.test=0")["fix"] == "dataset.test=NUMBER"


def test_a_dataset_to_evaluate_on_is_not_trained_on(r1lab: CommandLine) -> None:
    finding = r1lab.one("dataset=math-500")
    assert finding["what"] == "dataset math-500 is only there to be evaluated on: it has no rows for task=grpo"
    assert finding["nearest"] == "task=eval"


def test_the_forms_of_sft(r1lab: CommandLine, write: Write) -> None:
    write("x.jsonl", '{"problem": "a", "said": "b", "page": "c"}\n')
    words = ["task=sft", "reward=[format]", "dataset=local", "dataset.path=x.jsonl"]
    assert r1lab.one(*words)["what"] == "dataset.answer=answer: x.jsonl has no such column"
    assert r1lab.accepts(*words, "dataset.completion=said").dataset.completion == "said"
    assert r1lab.accepts(*words, "dataset.text=page").dataset.text == "page"
    finding = r1lab.one(*words, "dataset.completion=sad")
    assert finding["nearest"] == "dataset.completion=said"
    write("x.jsonl", '{"problem": "a", "said": "b"}\n{"problem": "a", "said": ""}\n')
    assert r1lab.one(*words, "dataset.completion=said")["what"] == "x.jsonl:2 has an empty completion (column said)"


def test_answers_that_a_dataset_does_not_have(r1lab: CommandLine) -> None:
    finding = r1lab.one("dataset=codeforces", "reward=[accuracy]")
    assert (
        finding["what"] == "dataset codeforces has no answer (dataset.answer is null); reward accuracy compares with it"
    )
    assert finding["fix"].endswith("or leave accuracy out of reward=[…]")


def test_a_share_of_rows_held_out(r1lab: CommandLine) -> None:
    words = ("model=qwen2.5-1.5b", "accelerator=single", "dry_run=true")
    assert r1lab.plan(*words, "dataset.test=0.1").facts["run"]["held out"] == "0.1 of the rows"
    assert r1lab.plan(*words, "dataset.test=300.0").facts["run"]["held out"] == "up to 300 rows"
    finding = r1lab.one(*words, "dataset.test=2.5")
    assert finding["what"] == "dataset.test=2.5 is neither a number of rows nor a share of them"

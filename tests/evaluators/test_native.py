"""task=eval with a server that completes as prescribed: the numbers are known, to the last digit."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from r1lab.engines.base import seed_of
from r1lab.errors import ConfigError, EngineError
from r1lab.evaluation.result import kept_records
from r1lab.notebook import compose, run
from r1lab.remote import pool, retrying
from r1lab.rewards.base import Failure
from tests.engines.chat_server import ChatServer, completion
from tests.lighteval import miniatures
from tests.rewards.test_contests import CHECKER, GRADER, HEADER

AIME, GPQA = miniatures.AIME[:3], miniatures.GPQA[:3]
LCB = [row for row in miniatures.LCB if row["question_id"] in ("double", "lines", "square")]
SEED, Z = 42, 1.959963984540054
needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
BOX = "It is \\boxed{{{}}}."
MATHS = {  # the problem → its four completions
    AIME[0]["problem"]: [BOX.format(42)] * 4,
    AIME[1]["problem"]: [BOX.format(64), BOX.format(63), BOX.format(64), BOX.format(65)],
    AIME[2]["problem"]: ["Let me think", BOX.format(5), BOX.format(6), BOX.format(6)],
}
LETTERS = [4, 1, 0]  # right ones of four, for each question
DOUBLE = "```python\nprint(int(input()) * {})\n```"
SQUARE = "```python\nclass Solution:\n    def square(self, n: int) -> int:\n        return {}\n```"
PROGRAMS = {
    LCB[0]["question_content"]: [DOUBLE.format(2), DOUBLE.format(3)],
    LCB[1]["question_content"]: ["I would print them.", "```python\n1 / 0\n```"],
    LCB[2]["question_content"]: [SQUARE.format("n * n"), SQUARE.format("float(n) ** 2")],
}
Evaluate = Callable[..., dict[str, Any]]


def answer(body: dict[str, Any], _place: int) -> Any:
    """The prescribed completion of a request, by its problem and by the sample whose seed it has."""
    messages = body["messages"]
    text = messages[-1]["content"]
    index = next(i for i in range(8) if seed_of(SEED, messages, i) == body["seed"])
    for asked, said in {**MATHS, **PROGRAMS}.items():
        if asked in text:
            return completion(said[index], "length" if said[index] == "Let me think" else "stop", tokens=10 + index)
    for row, right in zip(GPQA, LETTERS, strict=True):
        if row["Question"] in text:
            letters = {said: letter for letter, said in re.findall(r"^([A-D])\) (.*)$", text, re.MULTILINE)}
            chosen = row["Correct Answer" if index < right else "Incorrect Answer 1"]
            return completion(BOX.format(letters[chosen]), tokens=5)
    return 400, {"error": {"message": "no such problem"}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setattr(retrying, "FIRST", 0.01)
    monkeypatch.setattr(pool, "REST", 0.05)
    running = ChatServer(answer)
    yield running
    running.close()


@pytest.fixture
def evaluate(server: ChatServer, tmp_path: Path) -> Evaluate:
    """Runs an evaluation of the miniatures on the server; its metrics."""

    def go(*words: str, folder: str = "run") -> dict[str, Any]:
        files = {"aime24": AIME, "gpqa-diamond": GPQA, "lcb": LCB}
        chosen = next(word for word in words if word.startswith("benchmark="))[11:-1].split(",")
        paths = []
        for name in chosen:
            file = tmp_path / f"{name}.jsonl"
            if name in files and not file.exists():
                file.write_text("".join(json.dumps(row) + "\n" for row in files[name]))
            paths += [f"benchmark.{name}.path={file}", f"benchmark.{name}.samples=4", f"benchmark.{name}.k=[1,2,4]"]
        at = ("accelerator=cpu", "debug=true", "engine=server", f"engine.urls=[{server.url}]", "engine.tries=2")
        model = ("model=deepseek-r1-distill-qwen-1.5b", "engine.patience=2", f"seed={SEED}")
        return run(compose("task=eval", *at, *model, *paths, *words), tmp_path / folder)

    return go


def wilson(share: float, size: float) -> tuple[float, float]:
    """Wilson's interval, written as its two roots of (p̂ − p)² = z² p (1 − p) / n."""
    a, b, c = 1 + Z**2 / size, -(2 * share + Z**2 / size), share**2
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def test_pass_at_k_majority_and_intervals_are_the_known_ones(evaluate: Evaluate, tmp_path: Path) -> None:
    found = evaluate("benchmark=[aime24,gpqa-diamond]")
    known = {  # right of four: 4, 2, 0 and 4, 1, 0
        "aime24/pass@1": (1 + 1 / 2 + 0) / 3,
        "aime24/pass@2": (1 + 5 / 6 + 0) / 3,
        "aime24/pass@4": 2 / 3,
        "aime24/maj@4": (1 + 1 + 0) / 3,  # two right ones against 63 and 65
        "aime24/avg@4": 1 / 2,
        "gpqa-diamond/pass@1": (1 + 1 / 4 + 0) / 3,
        "gpqa-diamond/pass@2": (1 + 1 / 2 + 0) / 3,
        "gpqa-diamond/pass@4": 2 / 3,
        "gpqa-diamond/maj@4": 1 / 3,
    }
    for name, value in known.items():
        assert found[f"eval/{name}"] == pytest.approx(value, abs=1e-12), name
    scores = [1.0, 0.5, 0.0]
    variance = sum((score - 0.5) ** 2 for score in scores) / 2 / 3  # of the mean over three problems
    size = max(3.0, 0.25 / variance)
    low, high = wilson(0.5, size)
    assert (found["eval/aime24/pass@1_low"], found["eval/aime24/pass@1_high"]) == (
        pytest.approx(low),
        pytest.approx(high),
    )
    assert found["eval/aime24/length"] == pytest.approx((10 + 11 + 12 + 13) / 4)
    doubts = {name.rpartition("/")[2]: value for name, value in found.items() if "aime24/doubt/" in name}
    assert doubts == {"truncated": pytest.approx(1 / 12), "no_answer_cut": pytest.approx(1 / 12)}
    assert found["objective"] == "eval/aime24/pass@1"
    result = json.loads((tmp_path / "run/evaluation/aime24.json").read_text())
    assert result["made_by"]["sampling"] == {
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 0,
        "min_p": 0.0,
        "max_tokens": 32768,
        "seed": SEED,
        "samples": 4,
    }
    assert {item["verdict"] for item in result["published"]} == {"no verdict"} and len(result["published"]) >= 4
    record = kept_records(tmp_path / "run")["aime24"]
    assert [[s.score for s in p.samples] for p in record.problems] == [[1.0] * 4, [1.0, 0.0, 1.0, 0.0], [0.0] * 4]
    assert len({s.seed for p in record.problems for s in p.samples}) == 12
    assert "aime24" in (tmp_path / "run/report.html").read_text()


@needs_bwrap
def test_programs_are_judged_on_all_their_tests(evaluate: Evaluate) -> None:
    found = evaluate("benchmark=[lcb]", "benchmark.lcb.samples=2", "benchmark.lcb.k=[1,2]")
    assert found["eval/lcb/pass@1"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert found["eval/lcb/pass@2"] == pytest.approx(2 / 3)
    assert "eval/lcb/maj@2" not in found
    assert found["eval/lcb/doubt/no_answer"] == pytest.approx(1 / 6)


def test_more_samples_make_only_what_is_missing(evaluate: Evaluate, server: ChatServer, tmp_path: Path) -> None:
    shared = f"task.store={tmp_path / 'store'}"
    evaluate("benchmark=[aime24]", "benchmark.aime24.samples=2", "benchmark.aime24.k=[1]", shared)
    assert len(server.requests) == 6
    found = evaluate("benchmark=[aime24]", shared, folder="more")
    assert len(server.requests) == 12 and found["eval/aime24/pass@4"] == pytest.approx(2 / 3)
    again = evaluate("benchmark=[aime24]", shared, folder="again")
    assert len(server.requests) == 12 and again["eval/aime24/pass@1"] == found["eval/aime24/pass@1"]


def test_an_evaluation_that_broke_goes_on_where_it_was(evaluate: Evaluate, server: ChatServer, tmp_path: Path) -> None:
    shared = f"task.store={tmp_path / 'store'}"
    whole, server.answer = server.answer, lambda body, place: answer(body, place) if place < 5 else "drop"
    with pytest.raises(EngineError):
        evaluate("benchmark=[aime24]", "engine.in_flight=1", "engine.patience=0.3", shared)
    assert not (tmp_path / "run/evaluation/aime24.json").exists()
    server.answer, server.requests = whole, []
    found = evaluate("benchmark=[aime24]", shared, folder="more")
    assert len(server.requests) == 7 and found["eval/aime24/pass@1"] == pytest.approx(1 / 2)


def test_a_failure_is_no_wrong_answer(evaluate: Evaluate, server: ChatServer) -> None:
    server.answer = lambda body, place: (
        (500, {"error": "x"}) if "5!" in body["messages"][-1]["content"] else answer(body, place)
    )
    with pytest.raises(EngineError, match=r"4 of 12 completions of aime24 could not be made"):
        evaluate("benchmark=[aime24]")


def failing_once(completions: list[str], solution: list[str], *, told: str) -> list[float | Failure]:
    """A scorer whose machinery fails on one completion in its first call."""
    first = not Path(told).exists()
    Path(told).touch()
    return [Failure("no process") if first and not place else 1.0 for place in range(len(completions))]


def test_where_a_scorer_failed_it_is_asked_once_more(evaluate: Evaluate, tmp_path: Path) -> None:
    scorer = f"benchmark.aime24.scorer={{_target_: {__name__}.failing_once, told: {tmp_path / 'told'}}}"
    found = evaluate("benchmark=[aime24]", "plugins=[tests]", scorer)
    assert found["eval/aime24/pass@1"] == 1.0 and "eval/aime24/doubt/not_judged" not in found


def test_a_prompt_without_room_is_left_out_and_told(evaluate: Evaluate, server: ChatServer, tmp_path: Path) -> None:
    long = (400, {"error": {"message": "This model's maximum context length is 100 tokens"}})
    server.answer = lambda body, place: long if "5!" in body["messages"][-1]["content"] else answer(body, place)
    found = evaluate("benchmark=[aime24]")
    assert found["eval/aime24/pass@1"] == pytest.approx(3 / 4)
    assert found["eval/aime24/doubt/skipped"] == pytest.approx(1 / 3)
    assert found["eval/aime24/doubt/overflow"] == pytest.approx(1 / 3)
    assert any("1 of 3 problems are not in the number" in note for note in found["notes"])


def test_words_that_do_not_fit_are_refused_before_anything_starts(evaluate: Evaluate, server: ChatServer) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(
            "benchmark=[aime24]", "benchmark.aime24.k=[8]", "benchmark.aime24.top_p=0", "benchmark.aime24.form=txt"
        )
    said = [finding.what for finding in caught.value.findings]
    assert said == [
        "benchmark.aime24.top_p=0 is out of range",
        "pass@8 needs as many samples per problem; benchmark.aime24.samples is 4",
        "benchmark.aime24.form does not know 'txt'",
    ]
    assert server.requests == []


SMALLEST = json.dumps({"task_type": "Batch", "code": "sums", "time_limit": 1.0, "memory_limit": 1 << 28})
GRADERS = [
    ["graders/sums.h", HEADER],
    ["graders/grader.cpp", GRADER],
    ["graders/grader_config.json", SMALLEST],
    ["checker/checker.cpp", CHECKER.replace("0.555", "0.5")],  # full marks, half of them where it is off by one, none
]
SUBTASKS = {  # of the contest's one problem: what it is worth, and its tests
    "01-small": (20, [["1 2", "3"], ["2 3", "5"]]),
    "02-signed": (30, [["-4 2", "-2"], ["5 5", "10"]]),
    "03-huge": (50, [["3000000000 1", "3000000001"]]),
}


def program(body: str) -> str:
    return f"```cpp\n#include <vector>\nlong long total(long long a, long long b) {{ {body} }}\n```"


SUBMISSIONS = {  # for each subtask's prompt two, and what they are worth on the three subtasks
    "01-small": [
        (program("return a < 0 || a > 9 ? 7 : a + b;"), [1.0, 0.0, 0.0]),
        (program("while (a) b++; return b;"), [0.0, 0.0, 0.0]),
    ],
    "02-signed": [
        (program("return a + b + (a < 0);"), [1.0, 0.5, 1.0]),
        ("```cpp\nthis is no program\n```", [0.0, 0.0, 0.0]),
    ],
    "03-huge": [
        (program("return int(a + b);"), [1.0, 1.0, 0.0]),
        ("I have no idea.", [0.0, 0.0, 0.0]),
    ],
}


@needs_bwrap
@pytest.mark.slow
def test_a_contest_s_submissions_are_compiled_and_judged(
    evaluate: Evaluate, server: ChatServer, tmp_path: Path
) -> None:
    """By hand: every subtask counts the best of all submissions, whichever subtask they were made for."""
    rows = [
        {
            "id": "sums",
            "year": 2024,
            "subtask": part,
            "score": points,
            "problem": f"Add two numbers ({part}).",
            "test_names": [f"{part}-{number}" for number in range(len(tests))],
            "test_cases": tests,
            "grader_files": GRADERS,
            "time_limit": 1.0,
            "memory_limit": 1 << 28,
        }
        for part, (points, tests) in SUBTASKS.items()
    ]
    (tmp_path / "ioi24.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def submitted(body: dict[str, Any], _place: int) -> Any:
        messages = body["messages"]
        index = next(i for i in range(2) if seed_of(SEED, messages, i) == body["seed"])
        part = next(part for part in SUBMISSIONS if f"({part})" in messages[-1]["content"])
        return completion(SUBMISSIONS[part][index][0])

    server.answer = submitted
    found = evaluate("benchmark=[ioi24]", "benchmark.ioi24.samples=6", "benchmark.ioi24.k=[]")
    assert len(server.requests) == 6 and found["eval/ioi24/points"] == 1.0
    (problem,) = kept_records(tmp_path / "run")["ioi24"].problems
    known = {text: marks for row in SUBMISSIONS.values() for text, marks in row}
    assert {sample.text: list(sample.parts.values()) for sample in problem.samples} == known
    result = json.loads((tmp_path / "run/evaluation/ioi24.json").read_text())
    assert (result["points"], result["points_of"]) == (100.0, 100.0)
    assert "sandbox" not in result["made_by"]["scorer"]
    server.answer = lambda body, place: (  # without the third subtask's programs, the second has half its points
        completion("Pass.") if "(03-huge)" in body["messages"][-1]["content"] else submitted(body, place)
    )
    found = evaluate("benchmark=[ioi24]", "benchmark.ioi24.samples=6", "benchmark.ioi24.k=[]", folder="half")
    assert found["eval/ioi24/points"] == pytest.approx((20 + 30 / 2 + 50) / 100)

"""task=generate: what it asks for, what it leaves, and what of it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, load_dataset

from r1lab.engines.base import seed_of
from r1lab.errors import ConfigError, DataError, EngineError, StorageError
from r1lab.generation.prompts import Prompts
from r1lab.notebook import compose, run
from tests.engines.chat_server import completion
from tests.generation.conftest import ROWS, Generate, right_when_even


def rows_of(folder: Path, part: str = "all") -> list[dict[str, Any]]:
    return list(load_dataset(str(folder / "dataset"), part, split="train"))


def expected(row: int, sample: int, seed: int = 42) -> tuple[str, int, bool]:
    """Text, tokens and whether it is right, worked out from the seed that this completion must have."""
    own = seed_of(seed, [{"role": "user", "content": ROWS[row]["problem"]}], sample)
    right = own % 2 == 0
    return f"<answer>{2 * row if right else 2 * row + 1}</answer>", 3 + own % 50, right


def test_everything_that_was_asked_for_is_there_once(serve: Any, generate: Generate, tmp_path: Path) -> None:
    metrics = generate(serve(), "task.temperature=0.6", "task.top_p=0.95", "task.top_k=20", "task.min_p=0.05")
    rows = rows_of(tmp_path / "run")
    assert [(row["row"], row["sample"]) for row in rows] == [(i, j) for i in range(12) for j in range(3)]
    for row in rows:
        text, tokens, right = expected(row["row"], row["sample"])
        assert (row["completion"], row["tokens"], row["finish"], row["prompt_tokens"]) == (text, tokens, "stop", 7)
        assert row["rewards"] == {"accuracy": float(right)}
        asked = {"role": "user", "content": ROWS[row["row"]]["problem"]}
        assert row["messages"] == [asked, {"role": "assistant", "content": text}]
        assert (row["problem"], row["answer"], row["level"]) == tuple(ROWS[row["row"]].values())
    every = [expected(i, j) for i in range(12) for j in range(3)]
    assert metrics["rows"] == 36 and metrics["failures"] == 0
    assert metrics["tokens"] == sum(tokens for _, tokens, _ in every)
    assert metrics["generate/accuracy"] == pytest.approx(sum(right for _, _, right in every) / 36)
    record = json.loads((tmp_path / "run/generation.json").read_text())
    assert record["finishes"] == {"stop": 36} and sum(record["lengths"]["stop"]) == 36
    assert record["bin_width"] == 3  # 64 tokens at most, in 24 bins
    assert record["lengths"]["stop"][0] == sum(tokens <= 3 for _, tokens, _ in every)
    page = (tmp_path / "run/report.html").read_text()
    assert "Completions made" in page and "ended by itself" in page


def test_the_request_says_what_the_config_says(serve: Any, generate: Generate) -> None:
    server = serve()
    words = ("task.temperature=0.6", "task.top_p=0.95", "task.top_k=20", "task.min_p=0.05", "task.max_tokens=99")
    generate(server, *words, "task.problems=1", "task.n=1", "engine.model=tiny")
    (body,) = server.requests
    assert {name: body[name] for name in ("temperature", "top_p", "top_k", "min_p", "max_tokens", "model")} == {
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 20,
        "min_p": 0.05,
        "max_tokens": 99,
        "model": "tiny",
    }


def test_a_template_and_a_system_prompt(serve: Any, generate: Generate, tmp_path: Path) -> None:
    server = serve(lambda body, place: completion("x"))
    template = "Level {{ level }}.\nAnswer in a box: {{ prompt }} ({{ problem }})"
    generate(server, "task.problems=2", "task.n=1", template=template, system_prompt="Be brief.")
    assert [body["messages"] for body in server.requests] == [
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"Level easy.\nAnswer in a box: {row['problem']} ({row['problem']})"},
        ]
        for row in ROWS[:2]
    ]
    file = tmp_path / "template.txt"
    file.write_text("Solve: {{ problem }}\n")
    generate(server, "task.problems=1", "task.n=1", folder="other", template=str(file))
    assert server.requests[-1]["messages"] == [{"role": "user", "content": f"Solve: {ROWS[0]['problem']}"}]


@pytest.mark.parametrize(("order", "most"), [("first", 1), ("shortest", 1), ("shortest", 2), ("first", None)])
def test_rejection_sampling(serve: Any, generate: Generate, tmp_path: Path, order: str, most: int | None) -> None:
    keep = (f"task.keep.order={order}", f"task.keep.most={'null' if most is None else most}")
    metrics = generate(serve(), "task.n=6", "task.keep.reward=accuracy", *keep)
    wanted = []
    for i in range(12):
        right = [(j, expected(i, j)[1]) for j in range(6) if expected(i, j)[2]]
        if order == "shortest":
            right = sorted(right, key=lambda item: (item[1], item[0]))
        wanted += [(i, j) for j, _ in sorted(right[:most])]
    kept = rows_of(tmp_path / "run", "sft")
    assert [(row["row"], row["sample"]) for row in kept] == wanted and metrics["kept"] == len(wanted)
    assert set(kept[0]) == {"row", "sample", "prompt", "messages", "solution", "rewards"}


def test_lengths_that_a_server_does_not_tell_choose_nothing(serve: Any, generate: Generate, tmp_path: Path) -> None:
    """All would be equally short, and the first be kept as the shortest."""
    server = serve(lambda body, place: {**right_when_even(body, place), "usage": None})
    with pytest.raises(EngineError, match=r"does not say how many tokens[\s\S]*task.keep.order=first task.store="):
        generate(server, "task.keep.order=shortest", "task.keep.most=1")
    asked = len(server.requests)
    metrics = generate(server, f"task.store={tmp_path / 'run/store'}", "task.keep.most=1", folder="first")
    assert (len(server.requests), metrics["rows"], metrics["kept"]) == (asked, 36, 12)
    assert "The server does not say how many tokens they have" in " ".join(metrics["notes"])


def test_cut_completions_are_kept_only_by_choice(serve: Any, generate: Generate, tmp_path: Path) -> None:
    server = serve(lambda body, place: completion("x", "length"))
    metrics = generate(server, "task.n=1", "reward=[]")
    assert metrics["kept"] == 0
    told = "are kept for SFT; none was checked: task.keep.reward=accuracy reward=[accuracy] keeps right ones."
    assert any(note.endswith(told) for note in metrics["notes"])
    assert generate(server, "task.n=1", "reward=[]", "task.keep.truncated=true", folder="other")["kept"] == 12


def test_reasoning_that_a_server_keeps_apart_goes_back_between_its_tags(
    serve: Any, generate: Generate, tmp_path: Path
) -> None:
    server = serve(lambda body, place: completion("4", reasoning_content="2 and 2"))
    generate(server, "task.n=1", "task.problems=1", "reward=[]")
    (row,) = rows_of(tmp_path / "run")
    assert (row["completion"], row["reasoning"]) == ("4", "2 and 2")
    assert row["messages"][-1]["content"] == "<think>\n2 and 2\n</think>\n\n4"


def test_a_run_in_a_shared_store_makes_only_what_is_missing(serve: Any, generate: Generate, tmp_path: Path) -> None:
    server = serve()
    store = f"task.store={tmp_path / 'store'}"
    generate(server, store, "task.n=2")
    assert len(server.requests) == 24
    generate(server, store, "task.n=4", folder="more")
    assert len(server.requests) == 48
    assert len(rows_of(tmp_path / "more")) == 48
    generate(server, store, "task.n=2", "task.temperature=0.5", folder="cooler")
    assert len(server.requests) == 72
    generate(server, store, "task.n=1", folder="mapped", template="{{ prompt }} Think.")
    assert len(server.requests) == 84


def test_a_second_run_in_the_folder_goes_on(serve: Any, generate: Generate, tmp_path: Path) -> None:
    broken: set[str] = set()

    def fails_at_first(body: dict[str, Any], place: int) -> Any:
        if body["seed"] % 3 == 0 and place < 36:  # of the first run
            broken.add(str(body["seed"]))
            return 500, {"error": "boom"}
        return completion(str(body["seed"]))

    server = serve(fails_at_first)
    first = generate(server, "engine.in_flight=2", "reward=[]", "engine.tries=1")
    assert first["failures"] == len(broken) > 0 and first["rows"] == 36 - len(broken)
    assert f"{len(broken):,} could not be made, most often: HTTP …: " in " ".join(first["notes"])
    asked = len(server.requests)
    second = generate(server, "engine.in_flight=2", "reward=[]", "engine.tries=1")
    assert second["failures"] == 0 and second["rows"] == 36
    assert len(server.requests) == asked + len(broken)


def test_a_dataset_for_sft_is_ready_for_it(serve: Any, generate: Generate, small: Any, tmp_path: Path) -> None:
    generate(serve(), "task.n=2")
    words = [word for word in small if not word.startswith("dataset.")]
    columns = ("dataset=local", "dataset.messages=messages", "dataset.prompt=prompt", "dataset.answer=solution")
    cfg = compose(
        "task=sft", *words, "debug=true", *columns, "dataset.test=2", "trainer.max_steps=1", "eval.problems=0"
    )
    cfg.dataset.path = str(tmp_path / "run/dataset/sft")
    assert run(cfg, tmp_path / "trained")["steps"] == 1


@pytest.mark.parametrize("garbage", ["no json", '{"choices": [{"message": {"content": "half', {"choices": []}, "{}"])
def test_a_server_that_answers_garbage(serve: Any, generate: Generate, tmp_path: Path, garbage: Any) -> None:
    def answer(body: dict[str, Any], place: int) -> Any:
        return garbage if body["messages"][-1]["content"] == ROWS[3]["problem"] else right_answer(body)

    metrics = generate(serve(answer), "task.n=1", "reward=[]")
    rows = rows_of(tmp_path / "run")
    assert metrics["failures"] == 1 and [row["row"] for row in rows] == [i for i in range(12) if i != 3]
    record = json.loads((tmp_path / "run/generation.json").read_text())
    assert record["finishes"] == {"stop": 11, "error": 1}
    assert next(iter(record["causes"])).startswith("the answer is no completion")


def right_answer(body: dict[str, Any]) -> dict[str, Any]:
    return completion("fine")


def test_a_server_that_gives_nothing_ends_the_run_with_its_words(
    serve: Any, generate: Generate, tmp_path: Path
) -> None:
    with pytest.raises(EngineError, match=r"no completion could be made: HTTP … *: .*boom"):
        generate(serve(lambda body, place: (400, {"error": "boom"})), "task.n=1", "reward=[]")
    assert (tmp_path / "run/store/store.json").is_file()


def test_a_column_that_is_not_there(serve: Any, generate: Generate) -> None:
    server = serve()
    with pytest.raises((ConfigError, DataError), match="problm") as error:
        generate(server, "task.prompt=problm")
    assert "problem" in str(error.value) and not server.requests


def test_a_row_without_a_prompt(serve: Any, generate: Generate, problems: Path) -> None:
    rows = [*ROWS[:2], {"problem": None, "answer": "1", "level": "hard"}]
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    server = serve()
    with pytest.raises((ConfigError, DataError), match=r"has no prompt \(column problem is null\)"):
        generate(server)
    assert not server.requests


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ problm }}", r"task.template names {{ problm }}, which is no column[\s\S]*{{ problem }}"),
        ("no name at all", "has no {{ COLUMN }} in it, and is no file"),
        ("{{ problem", "task.template cannot be read"),
        ("{% for x in %}", "task.template cannot be read"),
    ],
)
def test_a_template_that_cannot_be_filled_in(serve: Any, generate: Generate, template: str, words: str) -> None:
    server = serve()
    with pytest.raises(ConfigError, match=words):
        generate(server, template=template)
    assert not server.requests


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ problem }} {{ hint }}", r"row 2: task.template cannot be filled in: .* is null there"),
        ("{{ problem + level }}", "row 1: task.template cannot be filled in: "),
        ("{{ level // 0 }} {{ problem }}", "row 1: task.template cannot be filled in: "),
        ("{{ problem.nosuch }}", "row 1: task.template cannot be filled in: "),
    ],
)
def test_a_row_that_a_template_cannot_be_filled_in_from(template: str, words: str) -> None:
    rows = [
        {"prompt": [{"role": "user", "content": text}], "problem": text, "level": i, "hint": hint}
        for i, (text, hint) in enumerate([("a", "b"), ("c", None)])
    ]
    prompts = Prompts(Dataset.from_list(rows), template)
    with pytest.raises(DataError, match=words):
        list(prompts)
    kind = Prompts(Dataset.from_list(rows), "{{ problem }}{% if hint %} ({{ hint }}){% endif %}{{ hint or '' }}")
    assert [turns[-1]["content"] for turns in kind] == ["a (b)b", "c"]


def test_a_store_of_a_newer_version(serve: Any, generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "run/store").mkdir(parents=True)
    (tmp_path / "run/store/store.json").write_text('{"version": 99}')
    with pytest.raises(StorageError, match=r"written by a newer r1lab \(version 99"):
        generate(serve())


def test_a_reward_of_tokens_is_refused_before_anything_is_asked(serve: Any, generate: Generate) -> None:
    server = serve()
    with pytest.raises(ConfigError, match="soft_overlong_punishment reads tokens"):
        generate(server, "reward=[soft_overlong_punishment]")
    assert not server.requests


def test_a_full_disk_is_said_and_what_was_made_stays(
    serve: Any, generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from r1lab.engines import store as module

    written = module.Store._append
    calls = 0

    def full(self: Any, *args: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 10:
            raise StorageError(f"{self.folder}: No space left on device")
        written(self, *args, **more)

    monkeypatch.setattr(module.Store, "_append", full)
    with pytest.raises(StorageError, match="No space left on device"):
        generate(serve(), "engine.in_flight=1")
    monkeypatch.setattr(module.Store, "_append", written)
    server = serve()
    generate(server)
    assert len(rows_of(tmp_path / "run")) == 36
    assert len(server.requests) == 36 - 9


def test_an_evaluation_asks_a_server_and_measures_no_failure(serve: Any, problems: Path, tmp_path: Path) -> None:
    def evaluate(answer: Any, folder: str) -> dict[str, Any]:
        cfg = compose(
            "task=eval", "accelerator=cpu", "debug=true", "engine=server", "dataset=local", "reward=[accuracy]"
        )
        cfg.engine.urls, cfg.dataset.path, cfg.dataset.test = [serve(answer).url], str(problems), 5
        cfg.task.n, cfg.task.k, cfg.engine.tries = 4, [1, 4], 2
        return run(cfg, tmp_path / folder)

    metrics = evaluate(right_when_even, "run")
    kept = [json.loads(line) for line in (tmp_path / "run/completions/eval.jsonl").read_text().splitlines()]
    assert len(kept) == 20
    right = [record["completion"] == f"<answer>{record['solution']}</answer>" for record in kept]
    assert metrics["eval/accuracy"] == pytest.approx(sum(right) / 20)
    with pytest.raises(EngineError, match=r"4 of 20 completions could not be made: HTTP 500"):
        evaluate(lambda body, place: (500, {}) if "2 + 2" in str(body) else right_when_even(body, place), "failed")

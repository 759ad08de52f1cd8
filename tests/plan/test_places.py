"""Where a word was said, and which word was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.config.compose import session
from r1lab.config.experiments import CONF
from r1lab.config.groups import composed_files, groups, is_group, options_of
from r1lab.plan.places import line_of, where
from r1lab.wording import display, nearest, plural, some


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("# about\ntrainer:\n  beta: 0.1\n  nested: {deep: 1}\nseed: 3\n")
    (tmp_path / "grpo.yaml").write_text("beta: 0.0\n\nloss_type: dapo\nlist:\n- a: 1\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    return [
        ("", tmp_path / "mine.yaml"),
        ("trainer", tmp_path / "broken.yaml"),
        ("trainer", tmp_path / "grpo.yaml"),
        ("trainer", tmp_path / "gone.yaml"),
    ]


@pytest.mark.parametrize(
    ("key", "overrides", "place"),
    [
        ("seed", ["seed=1"], "override seed=1"),
        ("seed", ["seed=1", "seed=2"], "override seed=2"),
        ("seed", ["+seed=1"], "override +seed=1"),
        ("trainer.beta", ["trainer=grpo", "trainer.beta=1"], "override trainer.beta=1"),
        ("trainer.beta", ["trainer.beta=1", "trainer=grpo"], "override trainer.beta=1"),
        ("trainer.beta", ["trainer.beta2=1"], "mine.yaml:3"),
        ("trainer.beta", ["trainer=grpo"], "mine.yaml:3"),
        ("trainer.nested.deep", [], "mine.yaml:4"),
        ("trainer.nested.deep", ["trainer.nested={deep: 2}"], "override trainer.nested={deep: 2}"),
        ("trainer.loss_type", ["task=grpo"], "grpo.yaml:3"),
        ("trainer.list.0.a", [], "trainer.list.0.a"),
        ("trainer.other", ["trainer=grpo"], "override trainer=grpo"),
        ("trainer.other", [], "trainer.other"),
        ("seed", [], "mine.yaml:5"),
        ("trainer", ["trainer=grpo", "trainer.beta=1"], "override trainer=grpo"),
        ("reward", ["reward.accuracy.weight=0"], "override reward.accuracy.weight=0"),
        ("model", ["model@model=tiny"], "override model@model=tiny"),
    ],
)
def test_where(key: str, overrides: list[str], place: str, files: list[tuple[str, Path]]) -> None:
    assert where(key, overrides, lambda: files) == place


def test_files_are_only_asked_for_when_needed() -> None:
    def never() -> list[tuple[str, Path]]:
        raise AssertionError

    assert where("seed", ["seed=1"], never) == "override seed=1"


def test_line_of_a_key(files: list[tuple[str, Path]], tmp_path: Path) -> None:
    assert line_of(tmp_path / "mine.yaml", "trainer") == 2
    assert line_of(tmp_path / "mine.yaml", "trainer.alpha") is None
    assert line_of(tmp_path / "mine.yaml", "seed.deeper") is None
    assert line_of(tmp_path / "broken.yaml", "a") is None
    assert line_of(tmp_path / "gone.yaml", "a") is None
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    assert line_of(tmp_path / "latin.yaml", "a") is None


def test_the_files_of_a_composition_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    mine = tmp_path / "experiments" / "mine.yaml"
    mine.write_text("defaults:\n  - override /reward: [format]\nseed: 1\n")
    with session():
        found = composed_files(["experiment=mine", "model=tiny", "task=sft"])
        assert composed_files(["model=nowhere"]) == []
    names = [(package, str(file.relative_to(CONF) if file.is_relative_to(CONF) else file)) for package, file in found]
    assert names == [
        ("", str(mine)),
        ("trainer", "trainer/for/tiny-sft.yaml"),
        ("trainer", "trainer/sft.yaml"),
        ("cluster", "cluster/local.yaml"),
        ("accelerator", "accelerator/auto.yaml"),
        ("hub", "hub/none.yaml"),
        ("generator", "generator/own.yaml"),
        ("engine", "engine/transformers.yaml"),
        ("adapter", "adapter/none.yaml"),
        ("sandbox", "sandbox/local.yaml"),
        ("evaluator", "evaluator/native.yaml"),
        ("reward", "reward/format.yaml"),
        ("model", "model/tiny.yaml"),
        ("dataset", "dataset/arithmetic.yaml"),
        ("task", "task/sft.yaml"),
        ("", "config.yaml"),
    ]


def test_groups_and_their_options() -> None:
    with session():
        assert groups() == sorted([*(item.name for item in CONF.iterdir() if item.is_dir()), "experiment"])
        assert options_of("task") == [
            *(
                "cancel",
                "compare",
                "decontaminate",
                "doctor",
                "eval",
                "filter",
                "generate",
                "grpo",
                "import_recipe",
                "leaderboard",
                "model_card",
                "pipeline",
                "push",
                "ray",
            ),
            *("report", "rescore", "rft", "sandbox_server", "sft", "status"),
        ]
        assert is_group("hydra/launcher")
        assert is_group("model@model")
        assert not is_group("model.repo")
        assert not is_group("seed")


@pytest.mark.parametrize(
    ("word", "valid", "found"),
    [
        ("acuracy", ["format", "accuracy"], "accuracy"),
        ("beta1", ["adam_beta1", "beta"], "beta"),
        ("save", ["save_total_limit", "save_steps"], "save_steps"),
        ("xyzzy", ["format", "accuracy"], ""),
        ("x", ["xylophone"], ""),
        ("a", [], ""),
    ],
)
def test_nearest(word: str, valid: list[str], found: str) -> None:
    assert nearest(word, valid) == found


def test_lists_in_messages() -> None:
    assert some(["b", "a", "b"]) == "a, b"
    assert some([]) == ""
    assert some([f"w{i:02}" for i in range(20)], most=2, like="w07") == "w07, w00, … (20 in all)"


def test_counts_in_messages() -> None:
    assert [plural(n, "process") for n in (0, 1, 1200)] == ["0 processes", "1 process", "1,200 processes"]
    assert [plural(n, "step") for n in (1, 2)] == ["1 step", "2 steps"]


def test_paths_in_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert display(tmp_path / "a" / "b") == "a/b"
    assert display(tmp_path.parent) == str(tmp_path.parent)
    assert display(Path("a")) == "a"

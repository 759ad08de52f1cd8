"""Names, types and requiredness read from source text are those that importing gives."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from r1lab.config.annotations import accepts, in_words
from r1lab.config.experiments import CONF
from r1lab.config.source import class_members, defined_in, exists, locate, parameters
from r1lab.plan.fields import ENUMS, RENAMED, enum_values

FIELDS = """
import dataclasses, enum, json
from transformers.trainer_utils import SaveStrategy, SchedulerType, HubStrategy, IntervalStrategy
from transformers.training_args import OptimizerNames
from trl import GRPOConfig, SFTConfig
missing = dataclasses.MISSING
print(json.dumps({
    **{kind.__name__: {item.name: item.default is missing and item.default_factory is missing
                       for item in dataclasses.fields(kind)} for kind in (GRPOConfig, SFTConfig)},
    **{kind.__name__: [item.value for item in kind]
       for kind in (SaveStrategy, SchedulerType, HubStrategy, IntervalStrategy, OptimizerNames)},
}))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    """TRL's and transformers' own word, from a process that imports them."""
    result = subprocess.run([sys.executable, "-c", FIELDS], capture_output=True, text=True, check=True)
    content = yaml.safe_load(result.stdout.splitlines()[-1])
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", ["GRPOConfig", "SFTConfig"])
def test_fields_are_those_of_the_dataclass(name: str, imported: dict[str, Any]) -> None:
    read = parameters(f"trl.{name}")
    assert read is not None
    assert {key: item.required for key, item in read.items()} == imported[name]
    assert len(read) > 100


@pytest.mark.parametrize("name", sorted(set(ENUMS.values())))
def test_enum_values_are_those_of_the_enum(name: str, imported: dict[str, Any]) -> None:
    assert enum_values(name) == set(imported[name])


def test_new_names_of_old_words_are_fields(imported: dict[str, Any]) -> None:
    known = {*imported["GRPOConfig"], *imported["SFTConfig"]}
    assert set(RENAMED.values()) <= known
    assert set(ENUMS) <= known


def test_types_of_fields_are_read_through_the_bases() -> None:
    read = parameters("trl.GRPOConfig") or {}
    assert read["learning_rate"].annotation == "float"
    assert accepts(read["warmup_steps"].annotation, 0.1)
    assert accepts(read["num_generations"].annotation, 8)
    assert not accepts(read["num_generations"].annotation, "8")


def shipped_targets() -> list[str]:
    targets = []
    for file in CONF.glob("*/*.yaml"):
        content = yaml.safe_load(file.read_text())
        for node in [content, *(value for value in content.values() if isinstance(value, dict))]:
            if str(node.get("_target_", "")).startswith("r1lab.rewards"):
                targets.append(node["_target_"])
    return sorted(targets)


@pytest.mark.parametrize("target", shipped_targets())
def test_signatures_are_those_of_inspect(target: str) -> None:
    module, _, name = target.rpartition(".")
    assert_same_signature(target, getattr(import_module(module), name))


def test_signatures_of_every_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def f(a, /, b: int, c='x', *args, d, e: list[str] = (), **columns):\n    ...\n"
    (tmp_path / "kinds_of_signature.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert_same_signature("kinds_of_signature.f", import_module("kinds_of_signature").f)
    assert list(parameters("kinds_of_signature.f") or {}) == ["a", "b", "c", "d", "e"]


def assert_same_signature(target: str, function: Callable[..., Any]) -> None:
    read = parameters(target)
    assert read is not None
    variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    declared = [item for item in inspect.signature(function).parameters.values() if item.kind not in variadic]
    assert list(read) == [item.name for item in declared]
    for item in declared:
        assert read[item.name].required == (item.default is item.empty)
        assert read[item.name].keyword == (item.kind is item.KEYWORD_ONLY)
        assert bool(read[item.name].annotation) == (item.annotation is not item.empty)


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        ("int", [0, -3], [True, 1.0, "1", None, [1]]),
        ("float", [1, 1.5, float("inf")], [True, "1e-4", None]),
        ("str", ["", "a"], [1, None, ["a"]]),
        ("bool", [True, False], [0, "true", None]),
        ("int | None", [None, 3], [1.5, "x"]),
        ("Optional[float]", [None, 3, 0.5], ["x", False]),
        ("typing.Optional[int]", [None, 3], ["x"]),
        ("Union[str, dict, None]", ["a", {"a": 1}, None], [1, ["a"]]),
        ("'int | str'", [1, "a"], [None, 1.5]),
        ("list[str]", [[], ["a"]], ["a", [1], ["a", 1]]),
        ("list[str] | None", [None, ["a"]], [[1]]),
        ("Sequence[int]", [[1, 2]], [1, ["a"]]),
        ("list[list[int]]", [[[1], []]], [[1]]),
        ("tuple", [[1]], []),
        ("dict[str, Any]", [{}, {"a": 1}], [[], "a"]),
        ("dict", [{}], [1]),
        ("Literal['a', 'b']", ["a", "b"], ["c", None, 1]),
        ("Optional[Literal['a']]", ["a", None], ["b"]),
        ("Literal['a'] | int", ["a", 3], ["b"]),
        ("SchedulerType", ["anything", 3, None], []),
        ("", ["anything", None], []),
    ],
)
def test_accepts(annotation: str, right: list[Any], wrong: list[Any]) -> None:
    assert [value for value in right if not accepts(annotation, value)] == []
    assert [value for value in wrong if accepts(annotation, value)] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int", "a whole number"),
        ("float | None", "a number or null"),
        ("dict[str, Any] | None", "a mapping or null"),
        ("list[str]", "a list"),
        ("Optional[int]", "a whole number or null"),
        ("Union[str, None]", "text or null"),
        ("int | float", "a whole number or a number"),
        ("SchedulerType | str", "SchedulerType or text"),
        ("Literal['a', 'b']", "'a' or 'b'"),
    ],
)
def test_a_type_in_words(annotation: str, words: str) -> None:
    assert in_words(annotation) == words


def test_what_is_there_and_what_is_not() -> None:
    assert exists("r1lab.rewards.math.accuracy")
    assert not exists("r1lab.rewards.math.acuracy")
    assert not exists("r1lab.nothing.here")
    assert not exists("accuracy")
    assert parameters("r1lab.nothing.here") is None
    assert locate("r1lab.rewards") == Path(import_module("r1lab.rewards").__file__ or "")
    assert locate("no_such_package.inner") is None
    assert locate("math") is None
    assert "accuracy" in defined_in("r1lab.rewards.math")
    assert defined_in("no_such_package") == []
    assert class_members("r1lab.nothing.Here") == {}


def test_locating_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "explodes").mkdir()
    (tmp_path / "explodes" / "__init__.py").write_text("raise RuntimeError\nfrom explodes.inner import f\n")
    (tmp_path / "explodes" / "inner.py").write_text("def f(completions, *, p: float = 0.5): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(parameters("explodes.f") or {}) == ["completions", "p"]
    assert "explodes" not in sys.modules

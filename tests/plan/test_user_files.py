"""What is wrong in a user's own config file is told with its name and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command_line import CommandLine

Write = Callable[[str, str | bytes], Path]


@pytest.mark.parametrize(
    ("text", "what", "line", "nearest"),
    [
        ("seeed: 1\n", "seeed is not a field", 1, "seed"),
        (
            "# about\ntrainer:\n  beta: 0.1\n  learning_rte: 1\n",
            "trainer.learning_rte is not a field of trl.GRPOConfig",
            4,
            "trainer.learning_rate",
        ),
        ("model:\n  contxt: 12\n", "model.contxt is not a field of model", 2, "model.context"),
        ("\nseed: many\n", "seed takes a whole number, not 'many'", 2, None),
        ("trainer:\n  learning_rate: high\n", "trainer.learning_rate takes a number, not 'high'", 2, None),
        (
            "trainer:\n  lr_scheduler_type: cosin\n",
            "trainer.lr_scheduler_type does not know 'cosin'",
            2,
            "trainer.lr_scheduler_type=cosine",
        ),
        (
            "reward:\n  accuracy:\n    wait: 2\n",
            "reward.accuracy.wait is not a field of r1lab.rewards.math.accuracy",
            3,
            None,
        ),
        ("eval:\n  every: 7\n", "eval.every=7 is out of range", 2, None),
        (
            "trainer:\n  num_generations: 7\n",
            "trainer.num_generations=7 does not divide",
            2,
            None,
        ),
        ("trainer:\n  output_dir: x\n", "trainer.output_dir is set by r1lab", 2, None),
        ("name: ${model.nme}\n", "name cannot be resolved: Interpolation key 'model.nme' not found", 1, None),
    ],
)
def test_in_an_experiment(
    text: str, what: str, line: int, nearest: str | None, r1lab: CommandLine, write: Write
) -> None:
    folder = "experiments" if line < 3 else "my_conf/experiment"
    write(f"{folder}/mine.yaml", text)
    finding = r1lab.one("--config-dir", folder.partition("/")[0], "experiment=mine")
    assert finding["what"].startswith(what)
    assert finding["where"] == f"{folder}/mine.yaml:{line}"
    if nearest:
        assert finding["nearest"] == nearest


@pytest.mark.parametrize(
    ("name", "text", "words", "what", "line"),
    [
        (
            "model/mine.yaml",
            "name: mine\nrepo: a/b\nlayer: 3\n",
            ["model=mine"],
            "model.layer is not a field of model",
            3,
        ),
        (
            "model/mine.yaml",
            "name: mine\nrepo: a/b\nlayers: '3'\n",
            ["model=mine"],
            "model.layers takes a whole number",
            3,
        ),
        (
            "reward/mine.yaml",
            "mine:\n  _target_: r1lab.rewards.text.coin_flip\n  q: 3\n",
            ["reward=[accuracy,mine]"],
            "reward.mine.q is not a field of r1lab.rewards.text.coin_flip",
            3,
        ),
        (
            "reward/mine.yaml",
            "mine:\n  _target_: r1lab.rewards.text.coinflip\n",
            ["reward=[mine]"],
            "reward.mine._target_=r1lab.rewards.text.coinflip: r1lab.rewards.text defines no coinflip",
            2,
        ),
        (
            "dataset/mine.yaml",
            "name: mine\n_target_: r1lab.data.hub.load\nrepo: a/b\nspilt: train\n",
            ["dataset=mine"],
            "dataset.spilt is not a field of r1lab.data.hub.load",
            4,
        ),
        ("trainer/for/tiny-grpo.yaml", "beta: none\n", ["model=tiny"], None, 0),
    ],
)
def test_in_an_option(
    name: str, text: str, words: list[str], what: str | None, line: int, r1lab: CommandLine, write: Write
) -> None:
    write(f"my_conf/{name}", text)
    if what is None:  # what r1lab ships under a name is not replaced by accident
        assert r1lab.accepts(*words, config_dir=Path("my_conf")).trainer.beta == 0.0
        return
    finding = r1lab.one("--config-dir", "my_conf", *words)
    assert finding["what"].startswith(what)
    assert finding["where"] == f"my_conf/{name}:{line}"


def test_a_reward_without_a_target(r1lab: CommandLine, write: Write) -> None:
    write("my_conf/reward/mine.yaml", "mine:\n  target: my_pkg.f\n  weight: 2\n")
    finding = r1lab.one("--config-dir", "my_conf", "reward=[accuracy,mine]")
    assert finding["what"] == "reward.mine names no function"
    assert finding["where"] == "my_conf/reward/mine.yaml:1"
    assert finding["fix"] == "_target_: PACKAGE.MODULE.FUNCTION"


@pytest.mark.parametrize("folder", ["experiments/", "my_conf/experiment/", "my_conf/reward/"])
def test_a_file_that_is_not_yaml(folder: str, r1lab: CommandLine, write: Write) -> None:
    write(f"{folder}mine.yaml", "mine:\n  weight: 1\n   p: 2\n")
    (Path.cwd() / "my_conf").mkdir(exist_ok=True)
    group = "reward" if "reward" in folder else "experiment"
    finding = r1lab.one("--config-dir", "my_conf", f"{group}=mine")
    assert finding["what"] == "not valid YAML: mapping values are not allowed here"
    assert finding["where"] == f"{folder}mine.yaml:3"


def test_a_file_that_chooses_what_is_not_there(r1lab: CommandLine, write: Write) -> None:
    write("experiments/mine.yaml", "defaults:\n  - override /model: tinny\n")
    finding = r1lab.one("experiment=mine")
    assert finding.pop("fix").startswith("one of: tiny, ")
    assert finding == {
        "what": "model has no option 'tinny'",
        "where": "the defaults list of a chosen file",
        "nearest": "model: tiny",
    }


def test_an_override_says_more_than_the_file(r1lab: CommandLine, write: Write) -> None:
    write("experiments/mine.yaml", "eval:\n  every: 7\n")
    assert r1lab.one("experiment=mine", "eval.every=8")["where"] == "override eval.every=8"
    assert r1lab.accepts("experiment=mine", "eval.every=0.5").eval.every == 0.5


NOT_UTF_8 = [
    ("# Ma\u00dfe\n# Gr".encode() + b"\xf6\xdfe\n", 2, "0xf6 is byte 13, on line 2 after 4 bytes"),
    (b"\xff\xfe#\x00\n\x00", 1, "0xff is byte 1, on line 1 after 0 bytes"),  # UTF-16
    (b"# " + b"x" * 20000 + b"\n" * 3 + b"\xe9", 4, "0xe9 is byte 20,006, on line 4 after 0 bytes"),
]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("experiments/mine.yaml", ["experiment=mine"]),
        ("conf/experiment/mine.yaml", ["--config-dir", "conf", "experiment=mine"]),
        ("conf/model/mine.yaml", ["--config-dir", "conf", "model=mine"]),
        ("conf/reward/mine.yaml", ["--config-dir", "conf", "reward=[accuracy,mine]"]),
        ("conf/cluster/mine.yaml", ["--config-dir", "conf", "cluster=mine"]),
        ("conf/task/mine.yaml", ["-m", "--config-dir", "conf", "task=mine", "seed=1,2"]),
    ],
)
def test_a_file_that_is_not_utf_8(file: str, words: list[str], r1lab: CommandLine, write: Write) -> None:
    write("conf/model/whole.yaml", "repo: a/b\n# \u00df\n")
    for content, line, said in NOT_UTF_8:
        write(file, content)
        assert r1lab.one(*words) == {
            "what": f"mine.yaml is not UTF-8: {said}",
            "where": f"{file}:{line}",
            "fix": "save it as UTF-8; of a file in Latin-1: iconv -f latin1 -t utf-8 FILE",
        }


def test_a_place_to_go_on_in_that_is_not_utf_8_or_not_yaml(r1lab: CommandLine, write: Write) -> None:
    r1lab("hydra.run.dir=runs/a")
    file = write("conf/cluster/mine.yaml", b"\xe9\n")
    words = ("--config-dir", "conf", "resume=runs/a", "cluster=mine")
    assert r1lab.one(*words)["where"] == "conf/cluster/mine.yaml:1"
    file.write_text("a: [\n")
    assert r1lab.one(*words)["where"].startswith("conf/cluster/mine.yaml:")

"""What the words of a command compose: lists of rewards, what a model brings, what follows a task, whose word wins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import open_dict

from r1lab.config.compose import compose_words, mode, run_dir, session
from r1lab.errors import ConfigError
from r1lab.notebook import compose
from tests.command_line import CommandLine

Write = Callable[[str, str | bytes], Path]


def rewards(*words: str) -> dict[str, float]:
    return {str(name): reward.weight for name, reward in compose(*words).reward.items()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {"accuracy": 1.0, "format": 1.0}),
        (["reward=[accuracy]"], {"accuracy": 1.0}),
        (["reward=accuracy"], {"accuracy": 1.0}),
        (["reward=[format,coin_flip]"], {"format": 1.0, "coin_flip": 1.0}),
        (["reward.format.weight=0.2"], {"accuracy": 1.0, "format": 0.2}),
        (["reward=[coin_flip]", "reward.coin_flip.weight=3"], {"coin_flip": 3}),
    ],
)
def test_rewards_are_a_list(words: list[str], expected: dict[str, float]) -> None:
    assert rewards(*words) == expected
    assert list(rewards(*words)) == list(expected)


def test_a_sweep_over_lists_of_rewards(r1lab: CommandLine) -> None:
    said = r1lab("-m", "reward=[accuracy],[accuracy,format]")
    assert said.code == 0
    assert [list(cfg.reward) for cfg in said.started.values()] == [["accuracy"], ["accuracy", "format"]]
    assert [path.name for path in said.started] == ["0", "1"]


@pytest.mark.parametrize(
    ("words", "dataset"),
    [
        ([], "arithmetic"),
        (["model=tiny"], "arithmetic"),
        (["model=qwen2.5-math-7b"], "openr1-math-220k"),
        (["model=hub", "model.repo=a/b"], "openr1-math-220k"),
        (["model=tiny", "dataset=openr1-math-220k"], "openr1-math-220k"),
        (["dataset=local", "model=tiny"], "local"),
        (["model=qwen2.5-math-7b", "dataset=arithmetic"], "arithmetic"),
    ],
)
def test_a_model_brings_its_dataset_unless_one_is_chosen(words: list[str], dataset: str) -> None:
    assert compose(*words).dataset.name == dataset


def test_what_has_no_file_of_its_own() -> None:
    cfg = compose("model=hub", "model.repo=a/b", "dataset=hub", "dataset.repo=c/d", "dataset.prompt=question")
    assert (cfg.model.repo, cfg.dataset.repo, cfg.dataset.prompt) == ("a/b", "c/d", "question")
    assert compose("dataset=local", "dataset.path=my.csv").dataset.path == "my.csv"


@pytest.mark.parametrize(
    ("task", "config"),
    [("grpo", "trl.GRPOConfig"), ("sft", "trl.SFTConfig"), ("rft", "trl.SFTConfig"), ("eval", None)],
)
def test_the_trainer_follows_the_task(task: str, config: str | None) -> None:
    trainer = compose(f"task={task}").get("trainer")
    assert (trainer._target_ if trainer else None) == config


def test_any_field_of_trl_can_be_set_without_plus() -> None:
    cfg = compose("trainer.vllm_mode=colocate", "trainer.top_k=7", "trainer.model_init_kwargs={a: 1}")
    assert (cfg.trainer.vllm_mode, cfg.trainer.top_k, cfg.trainer.model_init_kwargs) == ("colocate", 7, {"a": 1})
    assert compose("task=sft", "trainer.neftune_noise_alpha=5").trainer.neftune_noise_alpha == 5


@pytest.mark.parametrize(("wanted", "accumulation"), [(32, 1), (64, 2), (256, 8)])
def test_global_batch_size_becomes_accumulation(wanted: int, accumulation: int, r1lab: CommandLine) -> None:
    plan = r1lab.plan(
        f"global_batch_size={wanted}", "trainer.per_device_train_batch_size=32", "trainer.num_generations=8"
    )
    assert plan.findings == []
    assert plan.cfg.trainer.gradient_accumulation_steps == accumulation
    assert plan.facts["batch"]["per step"].startswith(f"{wanted} completions = 32 per device × 1 process ×")


def test_the_fields_that_follow_from_the_device(r1lab: CommandLine) -> None:
    names = ("bf16", "fp16", "gradient_checkpointing", "dataloader_pin_memory")
    words = ["model=hub", "model.repo=a/b", "dry_run=true"]  # planned for a GPU on a machine without one
    on = {device: r1lab.plan(*words, f"accelerator.device={device}").cfg.trainer for device in ("cpu", "cuda")}
    assert [on["cpu"][name] for name in names] == [True, False, False, False]
    assert [on["cuda"][name] for name in names] == [True, False, True, True]
    assert r1lab.plan(*words, "trainer.bf16=false", "accelerator.device=cuda").cfg.trainer.bf16 is False


def test_an_experiment_of_the_user(r1lab: CommandLine, write: Write) -> None:
    write("experiments/mine.yaml", "# python -m r1lab experiment=mine\nseed: 7\ntrainer:\n  learning_rate: 3e-4\n")
    cfg = r1lab.accepts("experiment=mine")
    assert (cfg.seed, cfg.trainer.learning_rate) == (7, 3e-4)
    cfg = r1lab.accepts("experiment=mine", "trainer.learning_rate=1e-5")
    assert (cfg.seed, cfg.trainer.learning_rate) == (7, 1e-5)


def test_an_experiment_chooses_options(r1lab: CommandLine, write: Write) -> None:
    write("experiments/mine.yaml", "defaults:\n  - override /task: sft\n  - override /reward: [format]\nname: x\n")
    cfg = r1lab.accepts("experiment=mine")
    assert (cfg.task.name, list(cfg.reward), cfg.name) == ("sft", ["format"], "x")
    assert cfg.trainer._target_ == "trl.SFTConfig"
    assert list(r1lab.accepts("experiment=mine", "reward=[accuracy]").reward) == ["accuracy"]


def test_choosing_rewards_drops_what_an_experiment_sets_of_another(r1lab: CommandLine, write: Write) -> None:
    text = "defaults:\n  - override /reward: [accuracy, format]\nreward:\n  format:\n    weight: 0.2\n"
    write("experiments/mine.yaml", text)
    assert r1lab.accepts("experiment=mine").reward.format.weight == 0.2
    said = r1lab("experiment=mine", "reward=[accuracy]")
    assert [list(cfg.reward) for cfg in said.started.values()] == [["accuracy"]]
    assert "note   reward.format is left out: that reward is not chosen" in said.out
    plan = r1lab.plan("experiment=mine", "reward=[accuracy]")
    assert plan.findings[0].where == "experiments/mine.yaml:4"


@pytest.fixture
def own(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's config folder with one option of every group they might add, and the package that it calls."""
    write("my_conf/model/small.yaml", "# A model\nname: small\nrepo: me/small\ncontext: 2048\n")
    write("my_conf/reward/brevity.yaml", "brevity:\n  _target_: my_pkg.rewards.brevity\n  weight: 0.5\n  most: 80\n")
    loader = "name: sums\n_target_: my_pkg.data.load\nprompt: q\nanswer: a\ncolumns: [q, a]\nrows: 9\n"
    write("my_conf/dataset/sums.yaml", loader)
    write("my_conf/task/count.yaml", "name: count\n_target_: my_pkg.tasks.run\nup_to: 3\n")
    write("my_conf/experiment/short.yaml", "# python -m r1lab experiment=short\nname: short\neval:\n  problems: 5\n")
    write("src/my_pkg/__init__.py", "raise RuntimeError('planning must not import the user')\n")
    rewards = "def brevity(completions, *, most: int = 100) -> list[float]:\n    return [0.0 for _ in completions]\n"
    write("src/my_pkg/rewards.py", rewards)
    write("src/my_pkg/data.py", "def load(*, rows: int = 3):\n    ...\n")
    write("src/my_pkg/tasks.py", "def run(cfg, folder):\n    ...\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "src"), *sys.path])
    return tmp_path / "my_conf"


def test_options_of_the_user(own: Path, r1lab: CommandLine) -> None:
    words = ("plugins=[my_pkg]", "model=small", "dataset=sums", "reward=[accuracy,brevity]", "reward.brevity.most=50")
    said = r1lab("--config-dir", str(own), *words)
    assert said.code == 0, said.err
    (cfg,) = said.started.values()
    assert (cfg.model.repo, cfg.model.context, cfg.model.dtype) == ("me/small", 2048, "bfloat16")
    assert (cfg.dataset.name, cfg.dataset.rows) == ("sums", 9)
    assert cfg.reward.brevity == {"_target_": "my_pkg.rewards.brevity", "weight": 0.5, "most": 50}
    cfg = r1lab.accepts("plugins=[my_pkg]", "task=count", "task.up_to=9", config_dir=own)
    assert (cfg.task.up_to, cfg.trainer) == (9, None)
    cfg = r1lab.accepts("experiment=short", config_dir=own)
    assert (cfg.name, cfg.eval.problems) == ("short", 5)


def test_options_of_the_user_are_held_to_their_signatures(own: Path, r1lab: CommandLine) -> None:
    words = ("--config-dir", str(own), "plugins=[my_pkg]", "reward=[accuracy,brevity]")
    finding = r1lab.one(*words, "reward.brevity.mots=50")
    assert finding["what"] == "reward.brevity.mots is not a field of my_pkg.rewards.brevity"
    assert finding["nearest"] == "reward.brevity.most"
    assert r1lab.one(*words, "reward.brevity.most=few")["what"] == (
        "reward.brevity.most takes a whole number, not 'few'"
    )
    assert r1lab.one(*words, "task=coumt")["nearest"] == "task=count"


def test_a_package_that_is_not_named_is_not_called(own: Path, r1lab: CommandLine) -> None:
    finding = r1lab.one("--config-dir", str(own), "reward=[accuracy,brevity]")
    assert finding["what"] == (
        "reward.brevity._target_=my_pkg.rewards.brevity lies outside the packages that may be called"
    )
    assert finding["where"] == "my_conf/reward/brevity.yaml:2"
    assert finding["fix"] == "plugins=[my_pkg] if that package is yours"


@pytest.mark.parametrize("key", ["reward.accuracy._target_", "dataset._target_", "task._target_", "dataset.diagnose"])
def test_only_known_packages_are_called(key: str, r1lab: CommandLine) -> None:
    assert r1lab.one(f"{key}=os.system") == {
        "what": f"{key}=os.system lies outside the packages that may be called",
        "where": f"override {key}=os.system",
        "fix": "plugins=[os] if that package is yours",
    }


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["seed=3", "trainer.top_k=5", "name='a b'"],
        ["model=qwen2.5-math-7b", "task=sft", "~trainer.packing", "+trainer.neftune_noise_alpha=5"],
        ["reward=[format]", "reward.format={weight: 2}", "++model.context=9", "hydra.run.dir=x/${seed}"],
        ["task=eval", "task.k=[1]", "hydra/launcher=submitit_local", "experiment=coin-flip"],
    ],
    ids=" ".join,
)
def test_words_compose_as_in_hydra(words: list[str]) -> None:
    with session():
        cfg, node = compose_words(words)
        whole = hydra_compose("config", overrides=words, return_hydra_config=True)
    assert node.mode == str(whole.hydra.mode)
    if whole.hydra.run.dir != "x/42":
        assert Path(node.run_dir).parent == Path(whole.hydra.run.dir).parent
    else:
        assert node.run_dir == "x/42"
    with open_dict(whole):
        del whole["hydra"]
    assert cfg == whole


def test_compositions_of_a_session_are_copies() -> None:
    with session():
        first = compose_words(["seed=1"])[0]
        first.trainer.learning_rate = 9
        second = compose_words(["seed=2"])[0]
    assert (first.seed, second.seed) == (1, 2)
    assert second.trainer.learning_rate < 1


def test_a_session_leaves_hydra_as_it_was() -> None:
    GlobalHydra.instance().clear()
    with session():
        inside = GlobalHydra.instance().hydra
        with session():
            assert compose_words(["seed=3"])[0].seed == 3
        assert GlobalHydra.instance().hydra is not None
        assert GlobalHydra.instance().config_loader() is not None
        assert compose_words([])[0].seed == 42
        assert inside is not None
    assert not GlobalHydra.instance().is_initialized()


def test_two_compositions_do_not_share(own: Path) -> None:
    assert compose("model=small", config_dir=own).model.repo == "me/small"
    with pytest.raises(ConfigError, match="model has no option 'small'"):
        compose("model=small")


def test_a_launcher_makes_a_multirun() -> None:
    assert mode("hydra._internal.core_plugins.basic_launcher.BasicLauncher") is None
    assert mode("hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher") == "MULTIRUN"


def test_the_folder_of_a_run() -> None:
    assert run_dir("old/run", "outputs", "grpo-tiny") == "old/run"
    assert run_dir(None, "outputs", "grpo-tiny").startswith("outputs/grpo-tiny/20")
    assert len(Path(run_dir(None, "o", "n")).name) == len("2026-01-31_23-59-59-123")

"""Words that do not fit: one finding each, with what, where, the nearest valid choice and the fix; nothing starts."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.command_line import CommandLine

Row = tuple[str, str, str | None]  # a word, what is wrong with it, the nearest choice (None: any or none)
WORDS: list[Row] = [  # faults of single words
    ("modell=tiny", "modell is neither a group nor a field", "model"),
    ("sed=4", "sed is neither a group nor a field", "seed"),
    ("tranier.learning_rate=1", "tranier is neither a group nor a field", "trainer.learning_rate"),
    ("+sede=4", "sede is neither a group nor a field", "seed"),
    ("hydra/lancher=basic", "hydra/lancher is neither a group nor a field", "hydra/launcher"),
    ("learning_rate=3e-4", "learning_rate is neither a group nor a field", "trainer.learning_rate"),
    ("max_steps=4", "max_steps is neither a group nor a field", "trainer.max_steps"),
    ("model=tinny", "model has no option 'tinny'", "model=tiny"),
    ("task=gpro", "task has no option 'gpro'", "task=grpo"),
    ("dataset=arithmetics", "dataset has no option 'arithmetics'", "dataset=arithmetic"),
    ("accelerator=gpu", "accelerator has no option 'gpu'", "accelerator=auto"),
    ("engine=tranformers", "engine has no option 'tranformers'", "engine=transformers"),
    ("hydra/launcher=slurm", "hydra/launcher has no option 'slurm'", "hydra/launcher=submitit_slurm"),
    ("reward=[acuracy]", "reward has no option 'acuracy'", "reward=[accuracy]"),
    ("reward=[acuracy,formt]", "reward has no option 'acuracy', 'formt'", "reward=[accuracy,format]"),
    ("reward=[accuracy,formt]", "reward has no option 'formt'", "reward=[accuracy,format]"),
    ("reward=acuracy", "reward has no option 'acuracy'", "reward=accuracy"),
    ("experiment=coinflip", "experiment has no option 'coinflip'", "experiment=coin-flip"),
    ("task=null", "task has no option null", None),
    ("experiment=null", "experiment has no option null", None),
    ("reward=null", "reward has no option null", None),
    ("model=[tiny,hub]", "model takes one option, not a list", None),
    ("~task", "task cannot be left out", None),
    ("~trainer", "trainer cannot be left out", None),
    ("trainer.learning_rte=1", "trainer.learning_rte is not a field of trl.GRPOConfig", "trainer.learning_rate"),
    ("trainer.lr=1", "trainer.lr is not a field of trl.GRPOConfig", "trainer.learning_rate"),
    ("trainer.warmup_ratio=1", "trainer.warmup_ratio is not a field of trl.GRPOConfig", "trainer.warmup_steps"),
    ("model.contxt=4", "model.contxt is not a field of model", "model.context"),
    ("model.build.step=4", "model.build.step is not a field of model.build", "model.build.steps"),
    ("task.foo=4", "task.foo is not a field of task=grpo", None),
    ("eval.problem=4", "eval.problem is not a field of eval", "eval.problems"),
    ("dataset.digitss=4", "dataset.digitss is not a field of r1lab.data.arithmetic.load", "dataset.digits"),
    (
        "reward.accuracy.wieght=2",
        "reward.accuracy.wieght is not a field of r1lab.rewards.math.accuracy",
        "reward.accuracy.weight",
    ),
    ("reward.coin_flip.p=0.2", "reward.coin_flip.p: reward 'coin_flip' is not chosen", None),
    ("hydra.sweep.dirr=x", "hydra.sweep.dirr is not a field of Hydra", "hydra.sweep.dir"),
    ("trainer.learning_rate=high", "trainer.learning_rate takes a number, not 'high'", None),
    ("trainer.max_steps=many", "trainer.max_steps takes a whole number, not 'many'", None),
    ("trainer.max_steps=1.5", "trainer.max_steps takes a whole number, not 1.5", None),
    ("seed=abc", "seed takes a whole number, not 'abc'", None),
    ("seed=null", "seed takes a whole number, not None", None),
    ("eval.problems=true", "eval.problems takes a whole number, not True", None),
    ("engine.shortcuts=maybe", "engine.shortcuts takes true or false, not 'maybe'", None),
    ("model.repo=5", "model.repo takes text or null, not 5", None),
    ("model.build.steps=few", "model.build.steps takes a whole number, not 'few'", None),
    ("dataset.digits=three", "dataset.digits takes a whole number, not 'three'", None),
    ("reward.format.weight=much", "reward.format.weight takes a number, not 'much'", None),
    ("reward.accuracy=3", "reward.accuracy takes a mapping, not 3", None),
    ("plugins=mine", "plugins takes a list, not 'mine'", None),
    (
        "trainer.lr_scheduler_type=cosin",
        "trainer.lr_scheduler_type does not know 'cosin'",
        "trainer.lr_scheduler_type=cosine",
    ),
]
MEANINGS: list[Row] = [  # faults that show once every word is one
    ("model.dtype=fp16", "model.dtype does not know 'fp16'", "model.dtype=float16"),
    ("model.attention=flash", "model.attention does not know 'flash'", "model.attention=flash_attention_2"),
    ("accelerator.device=tpu", "accelerator.device=tpu is not known", None),
    ("dry_run=maybe", "dry_run=maybe is not known", None),
    ("seed=-1", "seed=-1 is out of range", None),
    ("eval.every=3", "eval.every=3 is out of range", None),
    ("eval.batch=0", "eval.batch=0 is out of range", None),
    ("trainer.learning_rate=nan", "trainer.learning_rate=nan is out of range", None),
    ("trainer.max_steps=0", "trainer.max_steps=0 would train for whole epochs", None),
    ("accelerator.processes=0", "accelerator.processes=0 is out of range", "accelerator.processes=1"),
    ("trainer.output_dir=/tmp/x", "trainer.output_dir is set by r1lab", None),
    ("trainer.seed=1", "trainer.seed is set by r1lab", None),
]


@pytest.mark.parametrize("rows", [WORDS, MEANINGS], ids=["words", "meanings"])
def test_every_fault_is_told_once_with_its_place_and_a_way_out(rows: list[Row], r1lab: CommandLine) -> None:
    findings = r1lab.all(*(word for word, _, _ in rows))
    told = {finding["where"].removeprefix("override "): finding for finding in findings}
    assert {word: finding["what"] for word, finding in told.items()} == {word: what for word, what, _ in rows}
    assert len(findings) == len(rows)
    for word, _, nearest in rows:
        assert nearest in (None, told[word].get("nearest"))
        assert told[word].get("nearest") or told[word].get("fix")


@pytest.mark.parametrize(
    ("words", "what", "nearest"),
    [
        (
            ["task=sft", "trainer.max_seq_length=8"],
            "trainer.max_seq_length is not a field of trl.SFTConfig",
            "trainer.max_length",
        ),
        (["task=eval", "task.nn=4"], "task.nn is not a field of task=eval", "task.n"),
        (
            ["reward=[coin_flip]", "reward.coin_flip.pp=2"],
            "reward.coin_flip.pp is not a field of r1lab.rewards.text.coin_flip",
            "reward.coin_flip.p",
        ),
        (["task=eval", "task.k=8"], "task.k takes a list, not 8", None),
        (["task=rft", "task.n=0"], "task.n=0 is out of range", None),
        (["reward=[]"], "task=grpo needs at least one reward", "reward=[accuracy,format]"),
        (
            ["reward.accuracy.weight=0", "reward.format.weight=0"],
            "every reward has weight 0: there is nothing to learn",
            None,
        ),
        (["task=eval", "trainer.max_steps=4"], "task=eval trains nothing, so trainer.max_steps has no meaning", None),
        (["trainer=sft"], "task=grpo trains with trl.GRPOConfig, not trl.SFTConfig", "trainer=grpo"),
        (
            ["reward.accuracy._target_=r1lab.rewards.math.acuracy"],
            "reward.accuracy._target_=r1lab.rewards.math.acuracy: r1lab.rewards.math defines no acuracy",
            "r1lab.rewards.math.accuracy",
        ),
        (
            ["reward.accuracy._target_=r1lab.reward.x"],
            "reward.accuracy._target_=r1lab.reward.x: there is no module r1lab.reward",
            None,
        ),
        (["model=hub"], "model.repo has no value", None),
        (["dataset=hub"], "dataset.repo has no value", None),
        (["dataset=local"], "dataset.path has no value", None),
        (["task=report"], "task.run has no value", None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_do_not_fit_each_other(words: list[str], what: str, nearest: str | None, r1lab: CommandLine) -> None:
    finding = r1lab.one(*words)
    assert finding["what"] == what
    assert nearest in (None, finding.get("nearest"))
    assert finding.get("nearest") or finding.get("fix")


def test_where_and_fix_of_a_misspelt_option(r1lab: CommandLine) -> None:
    finding = r1lab.one("model=tinny")
    assert finding["where"] == "override model=tinny"
    assert finding["fix"].startswith("one of: tiny, ")
    assert finding["fix"].endswith("; or model=hub model.repo=ORG/NAME")


def test_a_long_list_of_fields_is_not_recited(r1lab: CommandLine) -> None:
    assert "fix" not in r1lab.one("trainer.learning_rte=1")
    assert r1lab.one("trainer.xyzzy=1")["fix"].endswith("in all)")
    assert len(r1lab.one("trainer.xyzzy=1")["fix"]) < 400


def test_everything_wrong_is_told_at_once_and_in_order(r1lab: CommandLine) -> None:
    words = ["modell=tiny", "trainer.learning_rte=1", "seed=abc", "reward=[acuracy,format]", "model=tinny", "[", "x"]
    whats = [finding["what"] for finding in r1lab.all(*words)]
    assert whats == [
        "in [, [ ] do not pair",
        "'x' is not key=value",
        "reward has no option 'acuracy'",
        "model has no option 'tinny'",
        "modell is neither a group nor a field",
        "trainer.learning_rte is not a field of trl.GRPOConfig",
        "seed takes a whole number, not 'abc'",
    ]


def test_combinations_are_told_at_once_too(r1lab: CommandLine) -> None:
    words = ["trainer.num_generations=7", "eval.every=2", "model.dtype=fp16", "dataset.answer=x", "outputs=/proc/x"]
    whats = [finding["what"] for finding in r1lab.all(*words)]
    assert len(whats) == 5


@pytest.mark.parametrize(
    ("word", "what", "nearest"),
    [
        ("reward=[accuracy", "in reward=[accuracy, [ ] do not pair", None),
        ("format]", "in format], [ ] do not pair", None),
        ("trainer.model_init_kwargs={a:1", "in trainer.model_init_kwargs={a:1, { } do not pair", None),
        ("name='abc", "in name='abc, ' is not closed", None),
        ('name="abc', 'in name="abc, " is not closed', None),
        ("trainer", "'trainer' is not key=value", "trainer=VALUE"),
        ("grpo", "'grpo' is not key=value", "task=grpo"),
        ("accuracy", "'accuracy' is not key=value", "reward=accuracy"),
        ("name=a:b:{", "in name=a:b:{, { } do not pair", None),
    ],
)
def test_a_word_that_cannot_be_read(word: str, what: str, nearest: str | None, r1lab: CommandLine) -> None:
    finding = r1lab.one(word)
    assert (finding["what"], finding.get("nearest")) == (what, nearest)
    assert finding["where"] == "command line"
    assert finding.get("fix") or nearest


def test_batches_that_do_not_divide(r1lab: CommandLine) -> None:
    words = ("trainer.per_device_train_batch_size=32", "trainer.steps_per_generation=4")
    assert r1lab.one(*words, "trainer.num_generations=7") == {
        "what": "trainer.num_generations=7 does not divide the 128 completions of one generation "
        "(32 per device × 1 process × 4 steps)",
        "where": "override trainer.num_generations=7",
        "nearest": "trainer.num_generations=4 or 8",
        "fix": "or make the 128 a multiple of 7",
    }
    finding = r1lab.one(*words, "global_batch_size=100")
    assert finding["what"] == "global_batch_size=100 is not a multiple of 32 (per device × processes)"
    assert finding["nearest"] == "global_batch_size=96 or 128"


def test_completions_longer_than_the_context(r1lab: CommandLine) -> None:
    finding = r1lab.one("trainer.max_completion_length=256")
    assert finding["what"] == (
        "trainer.max_completion_length=256 leaves no room for a prompt in a context of 256 tokens"
    )
    assert finding["fix"] == "trainer.max_completion_length=128 or less"
    places = [item["where"] for item in r1lab.all("model.context=32")]
    assert [place.rpartition("/conf/")[2].partition(":")[0] for place in places] == ["trainer/grpo.yaml", "config.yaml"]
    finding = r1lab.one("task=sft", "trainer.max_length=999")
    assert finding["what"] == "trainer.max_length=999 is beyond the model's context of 256 tokens"
    assert finding["nearest"] == "trainer.max_length=256"


def test_a_path_that_holds_no_model(r1lab: CommandLine) -> None:
    finding = r1lab.one("task=eval", "model.path=nowhere")
    assert finding["what"] == "model.path=nowhere holds no saved model (no config.json)"
    assert finding["where"] == "override model.path=nowhere"


def test_a_run_instead_of_its_model(r1lab: CommandLine) -> None:
    Path("run/model").mkdir(parents=True)
    Path("run/model/config.json").write_text("{}")
    assert r1lab.one("task=eval", "model.path=run")["nearest"] == "model.path=run/model"
    assert r1lab.accepts("task=eval", "model.path=run/model").model.path == "run/model"


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        (["task.n=4"], "pass@8 needs as many samples per problem; task.n is 4", "task.n=8 or task.k=[4]"),
        (["task.k=[1,16]"], "pass@16 needs as many samples per problem; task.n is 8", "task.n=16 or task.k=[8]"),
        (["task.k=[0]"], "task.k holds 0; k is a whole number, 1 or more", "task.k=[1,8]"),
        (["task.k=[two]"], "task.k holds 'two'; k is a whole number, 1 or more", "task.k=[1,8]"),
    ],
)
def test_pass_at_k_of_too_few_samples(words: list[str], what: str, fix: str, r1lab: CommandLine) -> None:
    finding = r1lab.one("task=eval", *words)
    assert (finding["what"], finding["fix"]) == (what, fix)


def test_an_objective_that_no_reward_is(r1lab: CommandLine) -> None:
    said = r1lab("objective=eval/acuracy")
    assert said.code == 0
    assert "note   objective=eval/acuracy is none of the rewards; the run may not measure it" in said.out
    assert "nearest  objective=eval/accuracy" in said.out
    assert "note" not in r1lab("objective=eval/format").out


def test_a_config_folder_that_is_not_there(r1lab: CommandLine) -> None:
    Path("my_conf").mkdir()
    finding = r1lab.one("--config-dir", "my_cnf", "seed=1")
    assert finding == {
        "what": "there is no folder my_cnf",
        "where": "--config-dir my_cnf",
        "nearest": "--config-dir my_conf",
    }


def test_a_value_that_needs_quotes_is_shown_in_them(r1lab: CommandLine) -> None:
    finding = r1lab.one("model=qwen2.5-1.5b", "model.eos_token=<|im_end|>")
    assert finding["fix"] == "quote it: 'model.eos_token=\"<|im_end|>\"'"
    words = ("model=qwen2.5-1.5b", shlex.split(finding["fix"].partition(": ")[2])[0], "outputs=out")
    assert r1lab.accepts(*words).model.eos_token == "<|im_end|>"


def test_a_key_inside_of_what_is_null(r1lab: CommandLine) -> None:
    finding = r1lab.one("model=hub", "model.repo=a/b", "model.build.steps=2")
    assert finding["what"] == "model.build.steps is inside of model.build, which is null here"
    whole = shlex.split(finding["fix"].partition(" sets")[0])[0].replace("VALUE", "2")
    assert r1lab.accepts("model=hub", "model.repo=a/b", whole, "dataset=arithmetic", "accelerator=cpu").model.build == {
        "steps": 2
    }

"""Words of the engine and of task=generate that do not fit, each one finding with its nearest choice."""

from __future__ import annotations

from pathlib import Path

import pytest

from r1lab.errors import ConfigError
from r1lab.plan import engine as module
from tests.command_line import CommandLine

HERE = ("engine=server", "engine.urls=[http://10.0.0.1:8000/v1]")
GRPO_HERE = ("engine=vllm", "engine.mode=server", "engine.urls=[http://h:8000]")
GENERATE = ("task=generate", "accelerator=cpu")
WORDS: list[tuple[tuple[str, ...], str, str | None]] = [
    (("task=generate", "engine=vlm"), "engine has no option 'vlm'", "engine=vllm"),
    (("task=generate", *HERE, "engine.urlz=1"), "engine.urlz is not a field", "engine.urls"),
    (("task=generate", "engine=server", "engine.urls=[10.0.0.1:8000]"), "is no address", "http://10.0.0.1:8000/v1"),
    (("task=generate", "engine=server", "engine.urls=[http://h:8000]"), "has no path", "http://h:8000/v1"),
    (
        ("task=generate", "engine=server", "engine.urls=[http://h:1/v1/chat/completions]"),
        "ends beyond the API's root",
        "http://h:1/v1",
    ),
    (("task=generate", "engine=server", "engine.urls=[]"), "engine.urls is empty", None),
    (("task=generate", "engine=server", "engine.urls=[http://user:pw@h:1/v1]"), "holds a secret", None),
    (("task=generate", *HERE, "engine.in_flight=0"), "engine.in_flight=0 is out of range", None),
    (("task=generate", *HERE, "engine.tensor_parallel=2"), "engine.tensor_parallel has no meaning", None),
    (("task=generate", *HERE, "engine.gpus=1"), "engine.gpus has no meaning", None),
    (("task=generate", *HERE, "engine.nodes=2"), "engine.nodes has no meaning", None),
    (("task=generate", *HERE, "engine.start_timeout=9"), "engine.start_timeout has no meaning", None),
    (("task=generate", "engine.start_timeout=9"), "engine.start_timeout has no meaning", None),
    (("task=generate", "engine=vllm", "engine.start_timeout=9"), "engine.start_timeout has no meaning", None),
    (("task=generate", "engine=vllm", "engine.nodes=2"), "engine.nodes has no meaning", None),
    (("engine.start_timeout=9",), "engine.start_timeout has no meaning", None),
    (("engine=vllm", "engine.start_timeout=9"), "engine.start_timeout has no meaning", None),
    (("engine=vllm", "engine.nodes=1"), "engine.nodes has no meaning", None),
    ((*GRPO_HERE, "engine.gpus=1"), "engine.gpus has no meaning", None),
    ((*GRPO_HERE, "engine.nodes=1"), "engine.nodes has no meaning", None),
    (("task=generate", "engine.max_model_len=99"), "engine.max_model_len has no meaning", None),
    (("task=grpo", "engine=server", "engine.urls=[http://h:1/v1]"), "GRPO's completions come from a server", None),
    (("task=sft", "engine=vllm"), "task=sft samples with the model that it trains", "engine=transformers"),
    (
        ("task=grpo", "engine=vllm", "engine.mode=colocated"),
        "engine.mode=colocated is not known",
        "engine.mode=colocate",
    ),
    (("task=grpo", "engine=vllm", "trainer.use_vllm=true"), "trainer.use_vllm is written by r1lab", "engine=vllm"),
    (("task=grpo", "trainer.use_vllm=true"), "trainer.use_vllm is written by r1lab", "engine=vllm"),
    (("task=grpo", "trainer.use_vllm=false"), "trainer.use_vllm is written by r1lab", "engine=transformers"),
    (("trainer.vllm_mode=servr",), "trainer.vllm_mode is written by r1lab", "engine=vllm engine.mode=server"),
    (
        ("trainer.vllm_server_base_url=http://h:8000",),
        "trainer.vllm_server_base_url is written by r1lab",
        "engine=vllm engine.mode=server engine.urls=[http://h:8000]",
    ),
    (
        ("trainer.vllm_enable_sleep_mode=true",),
        "trainer.vllm_enable_sleep_mode is written by r1lab",
        "engine=vllm engine.sleep=true",
    ),
    (("task=generate", *HERE, "task.keep.reward=acuracy"), "is none of the rewards", "task.keep.reward=accuracy"),
    (("task=generate", *HERE, "task.keep.order=shortes"), "is not known", "task.keep.order=shortest"),
    (("task=generate", *HERE, "task.keep.most=0"), "keeps nothing", None),
    (("task=generate", "model=qwen2.5-math-7b", "engine=server", "engine.nodes=-1"), "engine.nodes=-1 is out of", None),
    (("task=generate", *HERE, "task.keep.most=few"), "task.keep.most=few is no number", None),
    (
        ("task=generate", *HERE, "task.keep.least=0.5"),
        "no reward was chosen that must reach it",
        "task.keep.reward=accuracy",
    ),
    (("task=generate", *HERE, "task.template='{% if true %}a{% endif %}'"), "every prompt would be the same", None),
    (("task=generate", *HERE, "task.n=0"), "task.n=0 is out of range", None),
    (("task=generate", *HERE, "task.top_p=0"), "task.top_p=0 is out of range", None),
    (("task=generate", *HERE, "task.templat=x"), "task.templat is not a field", "task.template"),
    (("task=generate", *HERE, "generator=distilable"), "generator has no option 'distilable'", None),
    (("task=generate", *HERE, "task.template='{{ solutoin }}'"), "names {{ solutoin }}", "{{ solution }}"),
]


@pytest.mark.parametrize(("words", "what", "nearest"), WORDS, ids=[words[-1] for words, *_ in WORDS])
def test_one_finding_each(
    r1lab: CommandLine, words: tuple[str, ...], what: str, nearest: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "installed", lambda package: True)
    monkeypatch.setattr("r1lab.plan.packages.installed", lambda module: True)
    row = r1lab.one(*words, "accelerator=cpu")
    assert what in row["what"]
    assert nearest is None or row["nearest"] == nearest
    assert "pw" not in str(row)


def test_parallel_sizes_must_divide(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "executable", lambda engine: "/usr/bin/vllm")
    words = ("task=generate", "model=qwen2.5-math-7b", "dataset=hub", "dataset.repo=a/b", "engine=server")
    row = r1lab.one(*words, "engine.tensor_parallel=3")  # 28 heads
    assert row["nearest"] == "engine.tensor_parallel=2" and "28 attention heads" in row["what"]
    row = r1lab.one(*words, "engine.pipeline_parallel=29")
    assert row["nearest"] == "engine.pipeline_parallel=28"
    assert r1lab.accepts(*words, "engine.tensor_parallel=4", "engine.pipeline_parallel=2")


def test_a_server_over_nodes_takes_a_queue_and_uses_their_gpus(
    r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "executable", lambda engine: "/usr/bin/vllm")
    monkeypatch.setattr("r1lab.plan.cluster.present", lambda: False)
    words = ("task=generate", "engine=server", "engine.nodes=2")
    row = r1lab.one(*words, "engine.data_parallel=2", "accelerator=cpu")
    assert row["what"] == "the run takes 2 nodes, and this machine is one" and row["nearest"] == "engine.nodes=0"
    row = r1lab.one(*words, "engine.tensor_parallel=4", "cluster=h100-8x", "dry_run=json")
    assert "the server has 16 GPUs and tensor × pipeline × data parallel = 4 × 1 × 1" in row["what"]
    assert row["nearest"] == "engine.data_parallel=4"


def test_what_is_not_installed_is_said_with_what_to_type(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda package: False)
    monkeypatch.setattr(module, "executable", lambda engine: None)
    row = r1lab.one(*GENERATE, "engine=vllm")
    assert "engine=vllm needs vllm" in row["what"] and "pip install 'r1lab[vllm]'" in row["fix"]
    row = r1lab.one(*GENERATE, "engine=server")
    assert "there is no program vllm" in row["what"] and "engine.urls=[http://HOST:PORT/v1]" in row["fix"]
    row = r1lab.one(*GENERATE, "engine=server", "engine.command=/no/vllm")
    assert "engine.command=/no/vllm is no program" in row["what"]


def test_a_server_needs_a_model_that_is_saved(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "executable", lambda engine: "/usr/bin/vllm")
    monkeypatch.setattr("r1lab.plan.packages.installed", lambda module: True)
    words = ("engine=vllm", "engine.mode=server", "engine.gpus=1", "accelerator=single", "accelerator.gpus=2")
    row = r1lab.one(*words, "dry_run=true")
    assert row["what"].startswith("engine.mode=server: tiny is built on first use")
    assert row["where"] == "override engine.mode=server" and "model.path=" in row["fix"]
    assert r1lab.accepts(*GRPO_HERE, "accelerator=cpu").engine.urls == ["http://h:8000"]  # it has its model


def test_each_of_trls_fields_is_one_finding(r1lab: CommandLine) -> None:
    with pytest.raises(ConfigError) as refused:
        r1lab.plan("trainer.use_vllm=true", "trainer.vllm_mode=server", "dry_run=true")
    found = refused.value.findings
    assert [item.where for item in found] == ["override trainer.use_vllm=True", "override trainer.vllm_mode=server"]
    assert {item.nearest for item in found} == {"engine=vllm engine.mode=server"}


def test_what_a_grpo_run_gives_to_trl(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "installed", lambda package: True)
    monkeypatch.setattr("r1lab.plan.packages.installed", lambda module: True)
    words = ("engine=vllm", "accelerator=cpu", "engine.max_model_len=256", "engine.gpu_memory_utilization=0.4")
    trainer = r1lab.accepts(*words).trainer
    assert (trainer.use_vllm, trainer.vllm_mode, trainer.vllm_max_model_length) == (True, "colocate", 256)
    assert (trainer.vllm_gpu_memory_utilization, trainer.vllm_tensor_parallel_size) == (0.4, 1)
    assert trainer.vllm_enable_sleep_mode is False
    words = ("engine=vllm", "accelerator=cpu", "engine.mode=server", "engine.urls=[http://h:8000/v1]")
    trainer = r1lab.accepts(*words).trainer
    assert (trainer.vllm_mode, trainer.vllm_server_base_url) == ("server", "http://h:8000")
    assert "vllm_gpu_memory_utilization" not in trainer


def test_a_template_against_a_file(r1lab: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n')
    words = ("task=generate", *HERE, "dataset=local", f"dataset.path={file}")
    row = r1lab.one(*words, "task.prompt=question", "task.template='{{ qestion }}'")
    assert row["nearest"] == "{{ question }}" and row["where"] == "override task.template='{{ qestion }}'"
    row = r1lab.one(*words, "task.prompt=qestion")
    assert "qestion" in row["what"] and row["where"] == "override task.prompt=qestion"
    cfg = r1lab.accepts(*words, "task.prompt=question", "task.template='{{ question }} {{ prompt }}'")
    assert cfg.dataset.prompt == "question"

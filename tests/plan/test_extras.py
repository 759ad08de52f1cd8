"""What a run needs of the machine beside r1lab, and what it says about attention, templates and rotary embeddings."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from transformers.trainer_optimizer import _BITSANDBYTES_OPTIMIZERS

from r1lab.config import packages
from r1lab.config.packages import EXTRAS, choose_attention
from r1lab.config.source import class_members
from r1lab.notebook import compose
from r1lab.plan import extras
from r1lab.plan.extras import needs
from tests.command_line import CommandLine

BIG = ("model=qwen2.5-1.5b-instruct", "outputs=out")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The optional packages of a made-up machine with a GPU; none at first."""
    found: set[str] = set()

    def version(package: str) -> str:
        if package not in found:
            raise PackageNotFoundError(package)
        return "1.0"

    monkeypatch.setattr(packages, "version", version)
    monkeypatch.setattr("r1lab.hardware.gpus", lambda: 1)
    return found


@pytest.mark.parametrize(
    ("asked", "dtype", "device", "installed", "choice", "reason"),
    [
        ("auto", "bfloat16", "cuda", True, "flash_attention_2", "flash-attn is installed"),
        ("auto", "float16", "cuda", True, "flash_attention_2", "flash-attn is installed"),
        ("auto", "bfloat16", "cuda", False, "sdpa", EXTRAS["flash-attn"]),
        ("auto", "float32", "cuda", True, "sdpa", "does not take float32"),
        ("auto", "bfloat16", "cpu", True, "sdpa", "does not run on the device cpu"),
        ("eager", "bfloat16", "cuda", True, "eager", "as asked"),
        ("flash_attention_2", "bfloat16", "cuda", False, "flash_attention_2", "as asked"),
    ],
)
def test_attention(
    asked: str, dtype: str, device: str, installed: bool, choice: str, reason: str, there: set[str]
) -> None:
    there |= {"flash-attn"} if installed else set()
    chosen, why = choose_attention(asked, dtype, device)
    assert chosen == choice and reason in why


def test_the_plan_says_the_attention_and_why(r1lab: CommandLine, there: set[str]) -> None:
    assert "sdpa (flash-attn is not installed: pip install flash-attn" in r1lab(*BIG, "dry_run=true").out
    there.add("flash-attn")
    assert "flash_attention_2 (flash-attn is installed)" in r1lab(*BIG, "dry_run=true").out
    assert "sdpa (as asked)" in r1lab(*BIG, "model.attention=sdpa", "dry_run=true").out


@pytest.mark.parametrize(
    ("words", "package"),
    [
        (("model.attention=flash_attention_2",), "flash-attn"),
        (("model.kernels=true",), "kernels"),
        (("adapter=qlora",), "bitsandbytes"),
        (("trainer.optim=paged_adamw_8bit",), "bitsandbytes"),
        (("trainer.use_liger_kernel=true",), "liger-kernel"),
    ],
)
def test_a_missing_package_is_refused_with_what_to_type(
    words: tuple[str, ...], package: str, r1lab: CommandLine, there: set[str]
) -> None:
    there.add("peft")
    finding = r1lab.one(*BIG, *words)
    assert f"needs {package}, which is not installed" in finding["what"]
    assert finding["fix"].startswith(EXTRAS[package] + "; or ")
    assert finding["fix"].rpartition(" ")[2].partition("=")[0].split(".")[0] in ("model", "adapter", "trainer")
    assert r1lab(*BIG, *words, "dry_run=true").code == 0  # it may be planned for another machine
    there.add(package)
    assert r1lab.accepts(*BIG, *words)


def test_without_a_gpu(r1lab: CommandLine, there: set[str]) -> None:
    there |= {"bitsandbytes", "peft", "flash-attn"}
    finding = r1lab.one(*BIG, "adapter=qlora", "accelerator=cpu", "model.dtype=float32")
    assert finding["what"] == "adapter.quantisation runs on a GPU only, and the device is cpu"
    assert finding["fix"] == "adapter=lora"
    finding = r1lab.one(*BIG, "model.attention=flash_attention_2", "model.dtype=float32")
    assert finding["what"].endswith("takes bfloat16 or float16, not model.dtype=float32")


def test_which_optimisers_are_of_bitsandbytes() -> None:
    """Against the table in transformers' own source."""
    names = {str(value) for value in class_members("transformers.training_args.OptimizerNames").values()}
    theirs = {str(item.value) for item in _BITSANDBYTES_OPTIMIZERS}
    cfg = compose(*BIG, "trainer.optim=sgd", "accelerator=cpu", "dry_run=true")
    ours = set()
    for name in names:
        cfg.trainer.optim = name
        ours |= {name} if needs(cfg) else set()
    assert ours == theirs


def test_liger_is_advised_against(r1lab: CommandLine, there: set[str]) -> None:
    there.add("liger-kernel")
    plan = r1lab.plan(*BIG, "trainer.use_liger_kernel=true")
    assert [(item.severity, item.nearest) for item in plan.findings] == [("warning", "model.kernels=true")]


def test_peft_that_is_missing_says_how_to_get_it(r1lab: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("r1lab.plan.targets.exists", lambda target: not target.startswith("peft"))
    monkeypatch.setattr("r1lab.plan.targets.locate", lambda module: None)
    finding = r1lab.one(*BIG, "adapter=lora")
    assert "there is no module peft" in finding["what"] and finding["fix"] == EXTRAS["peft"]


def test_a_template_is_read_before_anything_is_loaded(r1lab: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "broken.jinja"
    file.write_text("{% for m in messages %}\n{{ m.content\n{% endfor %}")
    finding = r1lab.one(*BIG, f"model.chat_template={file}")
    assert finding["what"].startswith("the chat template cannot be rendered: ") and finding["where"] == f"{file}:3"
    file.write_text("{% for m in messages %}\n{{ m.content | shout }}{% endfor %}")
    finding = r1lab.one(*BIG, f"model.chat_template={file}")
    assert "No filter named 'shout'" in finding["what"] and finding["where"] == f"{file}:2"
    finding = r1lab.one(*BIG, "model.chat_template=deepsek")
    assert finding["nearest"] == "model.chat_template=deepseek" and finding["where"].startswith("override ")
    assert "there is no file mine.jinja" in r1lab.one(*BIG, "model.chat_template=mine.jinja")["what"]
    assert r1lab.accepts(*BIG, "model.chat_template=deepseek").model.chat_template == "deepseek"


@pytest.mark.parametrize(
    ("words", "what", "nearest"),
    [
        (("model.rope.theta=0",), "model.rope.theta=0 is no base frequency", ""),
        (("model.rope.type=yarm",), "model.rope.type does not know 'yarm'", "model.rope.type=yarn"),
        (("model.rope.type=yarn",), "model.rope.type=yarn needs model.rope.factor", ""),
        (("model.rope.factor=4",), "model.rope.factor belongs to a scaling, and model.rope.type names none", ""),
        (("model.rope.teta=1",), "model.rope.teta is not a field of model.rope", "model.rope.theta"),
        (("model.rope.theta=big",), "model.rope.theta takes a number or null, not 'big'", ""),
    ],
)
def test_rotary_embeddings_that_make_no_sense(
    words: tuple[str, ...], what: str, nearest: str, r1lab: CommandLine
) -> None:
    finding = r1lab.one(*BIG, *words)
    assert finding["what"] == what and finding.get("nearest", "") == nearest


def test_rotary_embeddings_of_ones_own(r1lab: CommandLine) -> None:
    cfg = r1lab.accepts("model=qwen2.5-math-7b", "model.rope.theta=300000", "model.context=32768", "outputs=out")
    assert cfg.model.rope.theta == 300000
    cfg = r1lab.accepts(*BIG, "model.rope={type: yarn, factor: 4}")
    assert (cfg.model.rope.type, cfg.model.rope.factor, cfg.model.rope.theta) == ("yarn", 4, None)
    assert cfg.model.published_rope.theta == 1_000_000


def test_extras_names_what_pyproject_offers() -> None:
    text = (Path(extras.__file__).parents[2] / "pyproject.toml").read_text()
    for package in EXTRAS:
        assert re.search(rf'"{package}(\[[a-z,]+\])?>=', text), package


@pytest.mark.parametrize(("words", "on"), [((), True), (("accelerator=cpu", "model.dtype=float32"), False)])
def test_gradients_are_checkpointed_on_gpus(
    words: tuple[str, ...], on: bool, r1lab: CommandLine, there: set[str]
) -> None:
    assert r1lab.accepts(*BIG, *words).trainer.gradient_checkpointing is on
    assert (
        r1lab.accepts(*BIG, *words, f"trainer.gradient_checkpointing={not on}").trainer.gradient_checkpointing is not on
    )

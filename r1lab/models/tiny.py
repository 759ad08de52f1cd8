"""The embedded model: a small Qwen2 that has learnt to add column by column, with a bad habit, in about a minute.

The supervised phase stands in for pre-training: it makes a base that writes traces in one style and gets many of them
wrong for one reason, so that reinforcement learning has something definite to repair. It is built on first use and kept
under a name made of everything it was built from: its numbers, this package's code for it, and the libraries' versions.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from datasets import Dataset, disable_progress_bars
from omegaconf import DictConfig, OmegaConf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import SFTConfig, SFTTrainer

from r1lab.data import arithmetic
from r1lab.data.loading import conversations
from r1lab.errors import StorageError
from r1lab.models import templates
from r1lab.terminal import lengthy
from r1lab.trainers.progress import Progress

END, PAD, START = "<|im_end|>", "<|endoftext|>", "<|im_start|>"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
OF_SEVERAL = ("ACCELERATE_", "FSDP_", "GROUP_", "LOCAL_", "MASTER_", "RANK", "ROLE_", "TORCHELASTIC_", "WORLD_SIZE")
LIBRARIES = ("torch", "transformers", "trl", "tokenizers")


def cache_root() -> Path:
    """Where built models are kept: $R1LAB_CACHE, else r1lab under the user's cache folder."""
    if root := os.environ.get("R1LAB_CACHE"):
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "r1lab"


def ingredients(cfg: DictConfig) -> dict[str, Any]:
    """Everything that the built model depends on."""
    numbers = ("layers", "hidden", "intermediate", "heads", "kv_heads", "vocabulary", "context")
    parts = (arithmetic, templates, conversations, inspect.getmodule(ingredients))
    code = "".join(inspect.getsource(part) for part in parts if part) + templates.CHATML
    return {
        "model": {name: cfg[name] for name in numbers},
        "build": OmegaConf.to_container(cfg.build, resolve=True),
        "code": hashlib.sha256(code.encode()).hexdigest(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def cached(cfg: DictConfig) -> Path:
    """The folder where the model of this config is, or will be."""
    text = json.dumps(ingredients(cfg), sort_keys=True)
    return cache_root() / "models" / f"{cfg.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def ensure(cfg: DictConfig) -> Path:
    """The folder of the built model; it is built now if it is not there, by one process at a time.

    Args:
        cfg: the `model` node of a run, with `build`.

    Raises:
        StorageError: the cache cannot be written.
    """
    folder = cached(cfg)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise StorageError(f"{folder.parent} cannot be made: {why}\n    fix      export R1LAB_CACHE=FOLDER") from error
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        with lengthy(f"waiting for another process, which builds model {cfg.name} in {folder}"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            for killed in folder.parent.glob(f".{folder.name}-*"):  # no builder is alive while this one holds the lock
                shutil.rmtree(killed)
            beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
            try:
                if "WORLD_SIZE" in os.environ:
                    build_apart(cfg, beside)
                else:
                    build(cfg, beside)
                (beside / "ingredients.json").write_text(json.dumps(ingredients(cfg), indent=2))
                beside.rename(folder)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer: one token per byte, and one for each tag.

    The tags are ordinary tokens, since trainers decode completions without special ones.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([PAD, START, END, *alphabet])}
    tok = Tokenizer(models.BPE(vocabulary, []))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.add_special_tokens([AddedToken(token, special=True) for token in (PAD, START, END)])
    words = (*TAGS, "What is ", "user\n", "assistant\n")
    tok.add_tokens([AddedToken(word, special=False, normalized=False) for word in words])
    return PreTrainedTokenizerFast(
        tokenizer_object=tok, eos_token=END, pad_token=PAD, padding_side="left", chat_template=templates.CHATML
    )


def network(cfg: DictConfig, tok: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    """A Qwen2 with the config's numbers and random weights, drawn from the build's seed."""
    config = Qwen2Config(
        vocab_size=cfg.vocabulary,
        hidden_size=cfg.hidden,
        intermediate_size=cfg.intermediate,
        num_hidden_layers=cfg.layers,
        num_attention_heads=cfg.heads,
        num_key_value_heads=cfg.kv_heads,
        max_position_embeddings=cfg.context,
        tie_word_embeddings=True,
        initializer_range=0.06,
        bos_token_id=None,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
    )
    torch.manual_seed(cfg.build.seed)
    model = Qwen2ForCausalLM(config)
    model.generation_config.eos_token_id = tok.eos_token_id
    model.generation_config.pad_token_id = tok.pad_token_id
    return model


def build_apart(cfg: DictConfig, folder: Path) -> None:
    """`build` in a process of its own: one of several training processes would train it with the others."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(OF_SEVERAL)}
    file = folder / "model.yaml"
    file.write_text(OmegaConf.to_yaml(cfg, resolve=True))
    subprocess.run([sys.executable, "-m", "r1lab.models.tiny", str(file)], env=env, check=True)
    file.unlink()


def build(cfg: DictConfig, folder: Path) -> None:
    """Train the model on worked sums and save it with its tokenizer into `folder`."""
    recipe = cfg.build
    progress = Progress("base model")
    progress.say(
        f"First use: building the tiny base model. It reads {recipe.problems:,} worked sums whose writer drops "
        f"{recipe.forget:.0%} of the carries. About a minute, once; kept in {cache_root()}."
    )
    chosen = arithmetic.problems("base", recipe.problems, recipe.digits, recipe.terms, recipe.seed, recipe.carries)
    rows = Dataset.from_list(arithmetic.rows(chosen, recipe.seed, recipe.forget, recipe.slip))
    tok = tokenizer()
    arguments = SFTConfig(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=20,
        weight_decay=0.0,
        adam_beta2=0.99,
        max_length=cfg.context,
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        logging_steps=10,
        loss_type="nll",
    )
    model = network(cfg, tok)
    with lengthy("tokenizing the sums"):
        trainer = SFTTrainer(model, arguments, train_dataset=conversations(rows), processing_class=tok)
    progress.attach(trainer)
    trainer.train()
    AcceleratorState._reset_state()  # else a run in this process could have no other precision than the build's
    model.save_pretrained(folder)
    tok.save_pretrained(folder)


if __name__ == "__main__":
    disable_progress_bars()
    built = OmegaConf.load(sys.argv[1])
    assert isinstance(built, DictConfig)
    build(built, Path(sys.argv[1]).parent)

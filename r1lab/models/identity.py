"""What tells a model's completions from another's: its weights, its revision, its template and its ends."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from transformers import AutoConfig, PreTrainedTokenizerBase

from r1lab.errors import UserError
from r1lab.terminal import lengthy

WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model.bin", "config.json", "adapter_config.json")
CHUNK = 2**22  # bytes


def identity_of(cfg: DictConfig, where: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Everything of a model that bears on its completions, as JSON values.

    Args:
        cfg: the `model` node of a run.
        where: the folder or the repository that its weights come from.
        tokenizer: with its chat template and end token.

    Raises:
        UserError: the Hub does not say which commit a revision is.
    """
    rope = {name: value for name, value in cfg.rope.items() if value is not None}
    return {
        "weights": content_of(Path(where)) if Path(where).is_dir() else commit_of(where, cfg.revision),
        "dtype": cfg.dtype,
        "template": template_of(tokenizer),
        "end": tokenizer.eos_token,
        **({"rope": rope} if rope else {}),
    }


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 hexadecimal digits of the chat template."""
    return hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:16]


def content_of(folder: Path) -> str:
    """A hash of the weights and the config in a folder: equal content, equal hash, wherever the folder stands."""
    digest = hashlib.blake2b(digest_size=16)
    with lengthy(f"reading the weights in {folder} to tell them from others"):
        for file in sorted({file for pattern in WEIGHTS for file in folder.glob(pattern)}):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as content:
                while chunk := content.read(CHUNK):
                    digest.update(chunk)
    return digest.hexdigest()


def commit_of(repo: str, revision: str | None) -> str:
    """The repository with the commit that a revision is now, since a branch moves.

    Raises:
        UserError: the Hub does not give it.
    """
    try:
        config = AutoConfig.from_pretrained(repo, revision=revision)
    except (OSError, ValueError) as error:
        raise UserError(f"model {repo} cannot be loaded: {str(error).splitlines()[0]}") from error
    return f"{repo}@{getattr(config, '_commit_hash', None) or revision or 'main'}"

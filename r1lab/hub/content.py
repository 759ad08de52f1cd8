"""Which files of a folder are pushed, and in what form.

Of a model: weights, configs, tokenizer, chat template, model card. Never the state of an optimizer, of a scheduler or
of dice, nor what r1lab keeps beside a checkpoint. Texts lose the machine's folders and secrets on their way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from r1lab.config.literal import literal
from r1lab.config.secrecy import without_paths, without_secrets
from r1lab.runs.folder import RunFolder, dumps

MODEL = (  # what a model consists of, by name
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*.bin",
    "config.json",
    "*_config.json",
    "adapter_model.bin",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.tiktoken",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.jinja",
    "additional_chat_templates/*.jinja",
    "README.md",
    "LICENSE*",
    "NOTICE*",
)
LEFT_OUT = ("trainer_state.json", "*/.*", ".*", "*.tmp", "*.lock")
TEXTS = ("README.md", "*config.json")  # what may name a folder of this machine
LARGEST_TEXT = 2**20


def files_of(folder: Path, kind: str) -> dict[str, Path]:
    """What of a folder is pushed: the name in the repository → the file.

    Args:
        folder: a model's folder, a checkpoint's or a dataset's.
        kind: "model" takes what `MODEL` names, "dataset" every file that is not hidden.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or any(fnmatchcase(name, pattern) for pattern in LEFT_OUT):
            continue
        if kind == "dataset" or any(fnmatchcase(name, pattern) and _as_deep(name, pattern) for pattern in MODEL):
            found[name] = path
    return found


def _as_deep(name: str, pattern: str) -> bool:
    """Whether both stand in as many folders: `*` of fnmatch would cross a `/`."""
    return name.count("/") == pattern.count("/")


def contents(folder: Path, kind: str) -> Iterator[tuple[str, Path | bytes]]:
    """The name in the repository, and the file, or its text where it must lose something first."""
    home = folder.parent if kind == "model" else folder
    for name, path in files_of(folder, kind).items():
        text = any(fnmatchcase(name, pattern) for pattern in TEXTS) and path.stat().st_size <= LARGEST_TEXT
        original = path.read_bytes() if text and kind == "model" else b""
        cleaned = clean(original.decode("utf-8", "surrogateescape"), home).encode("utf-8", "surrogateescape")
        yield name, cleaned if cleaned != original else path


def clean(text: str, *folders: Path) -> str:
    """Text without secrets and without folders of this machine."""
    lines = [without_paths(f" {line}", *folders)[1:] for line in text.split("\n")]  # a line is never a path as a whole
    return str(without_secrets("\n".join(lines)))


def evidence(folder: RunFolder, cfg: DictConfig) -> dict[str, bytes]:
    """How a model came to be: `run.yaml` and, where the run has ended, `metrics.json`, fit to be published."""
    settings = without_paths(without_secrets(OmegaConf.to_container(cfg, resolve=True)), folder.path)
    found = {"run.yaml": OmegaConf.to_yaml(OmegaConf.create(literal(settings))).encode()}
    if metrics := folder.read_json("metrics.json"):
        found["metrics.json"] = (dumps(without_paths(without_secrets(metrics), folder.path), indent=2) + "\n").encode()
    return found


def stage(checkpoint: Path, target: Path) -> None:
    """Keep what is to be pushed of a checkpoint, so that the run may remove the checkpoint meanwhile.

    The files are linked, which takes no room while the checkpoint stands; where a file system has no links, copied.
    """
    beside = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name, path in files_of(checkpoint, "model").items():
        (beside / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, beside / name)
        except OSError:
            shutil.copy2(path, beside / name)
    shutil.rmtree(target, ignore_errors=True)
    beside.rename(target)

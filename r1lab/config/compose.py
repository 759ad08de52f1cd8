"""Composing a run: registering what Hydra needs to know, and composing without a command line."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf, open_dict

from r1lab.config.experiments import CONF, ExperimentsSearchPath, ExperimentsSource, user_folders
from r1lab.config.schema import Run
from r1lab.errors import ConfigError, Finding
from r1lab.wording import nearest

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def mode(launcher: str) -> str | None:
    """Hydra's mode for a launcher: choosing anything but the basic one makes the command a multirun."""
    return None if launcher == BASIC_LAUNCHER else "MULTIRUN"


def run_dir(resume: str | None, outputs: str, name: str) -> str:
    """The run's folder: the resumed one, or a new one named by the time to the millisecond."""
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]
    return str(Path(resume)) if resume else f"{outputs}/{name}/{stamp}"


def groups_text() -> str:
    """The config groups and their options, for `--help`."""
    loader = GlobalHydra.instance().config_loader()
    rows = {name: loader.get_group_options(name, ObjectType.CONFIG) for name in sorted(loader.list_groups(""))}
    return "\n".join(f"  {name:<12} {', '.join(options)}" for name, options in rows.items() if name != "hydra")


def register() -> None:
    """Tell Hydra of the schema, the experiments and the resolvers. Safe to call twice."""
    plugins = Plugins.instance()
    if ExperimentsSource not in plugins.discover():
        plugins.register(ExperimentsSource)
        plugins.register(ExperimentsSearchPath)
    OmegaConf.register_new_resolver("r1lab.mode", mode, replace=True)
    OmegaConf.register_new_resolver("r1lab.groups", groups_text, replace=True)
    OmegaConf.register_new_resolver("r1lab.run_dir", run_dir, replace=True, use_cache=True)
    defaults = asdict(Run())
    del defaults["trainer"]
    schema = OmegaConf.create({**defaults, "trainer": {}})
    OmegaConf.set_struct(schema.trainer, False)  # any field of TRL's config can be set without `+`
    ConfigStore.instance().store(name="run_schema", node=schema, provider="r1lab")


@contextmanager
def session(config_dir: str | Path | None = None) -> Iterator[None]:
    """Hydra, initialised on r1lab's groups and the user's own; what was initialised before comes back afterwards."""
    register()
    before = copy.copy(GlobalHydra.instance().hydra)
    GlobalHydra.instance().clear()
    try:
        with using(config_dir), initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before


@contextmanager
def using(config_dir: str | Path | None) -> Iterator[None]:
    """A folder with the user's own groups, served to every Hydra that is initialised meanwhile.

    Raises:
        ConfigError: there is no such folder.
    """
    before = list(user_folders)
    if config_dir is not None:
        folder = Path(config_dir)
        if not folder.is_dir():
            close = nearest(folder.name, [item.name for item in folder.resolve().parent.glob("*/")])
            found = f"--config-dir {folder.with_name(close)}" if close else ""
            raise ConfigError([Finding(f"there is no folder {folder}", f"--config-dir {folder}", found)])
        user_folders[:] = [folder.resolve()]
    try:
        yield
    finally:
        user_folders[:] = before


def compose_words(words: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """Compose one run inside a `session`.

    Returns:
        The run's config without Hydra's node; and of that node `mode`, `run_dir`, `sweep_dir` and `runtime`.

    Raises:
        hydra.errors.HydraException: words that do not compose, which `plan.check_words` reports as findings first.
    """
    cfg = hydra_compose("config", overrides=list(words), return_hydra_config=True)
    node = cfg.hydra
    wanted = {"mode": str(node.mode), "run_dir": node.run.dir, "sweep_dir": node.sweep.dir, "runtime": node.runtime}
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, OmegaConf.create(wanted)

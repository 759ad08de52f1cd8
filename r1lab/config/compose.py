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
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from r1lab.config import groups
from r1lab.config.experiments import CONF, ExperimentsSearchPath, ExperimentsSource, user_folders
from r1lab.config.schema import Run
from r1lab.errors import ConfigError, Finding
from r1lab.wording import nearest

_composed: dict[tuple[str, ...], DictConfig] = {}  # of the current session
BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
PLACES_ONLY = "hydra: where runs go"  # no word of a command line
SLURM = "submitit_slurm"  # the launcher into Slurm's queue, under the name that Hydra's users know
SLURM_LAUNCHER = "hydra_plugins.r1lab_slurm.SlurmLauncher"


def mode(launcher: str) -> str | None:
    """Hydra's mode for a launcher: choosing anything but the basic one makes the command a multirun."""
    return None if launcher == BASIC_LAUNCHER else "MULTIRUN"


def stamp() -> str:
    """The time to the millisecond, as a new folder's name."""
    return datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]


def run_dir(resume: str | None, outputs: str, name: str) -> str:
    """The run's folder: the resumed one, or a new one named by the time."""
    return str(Path(resume)) if resume else f"{outputs}/{name}/{stamp()}"


def register() -> None:
    """Tell Hydra of the schema, the experiments and the resolvers. Safe to call twice."""
    plugins = Plugins.instance()
    if ExperimentsSource not in plugins.discover():
        plugins.register(ExperimentsSource)
        plugins.register(ExperimentsSearchPath)
    OmegaConf.register_new_resolver("r1lab.mode", mode, replace=True)
    OmegaConf.register_new_resolver("r1lab.groups", groups.as_text, replace=True)
    OmegaConf.register_new_resolver("r1lab.run_dir", run_dir, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("r1lab.stamp", stamp, replace=True, use_cache=True)
    defaults = asdict(Run())
    del defaults["trainer"]
    schema = OmegaConf.create({**defaults, "trainer": {}})
    # any field of TRL's, peft's or vLLM's config, of a benchmark, any option of sbatch's and any word of a pipeline's
    # stage can be set without `+`
    free = (schema.task, schema.trainer, schema.adapter, schema.benchmark, schema.engine.arguments)
    for node in (*free, schema.cluster.options):
        OmegaConf.set_struct(node, False)
    ConfigStore.instance().store(name="run_schema", node=schema, provider="r1lab")
    launcher = {"_target_": SLURM_LAUNCHER}  # in the place of the plugin's own of that name, which is discovered first
    ConfigStore.instance().store(group="hydra/launcher", name=SLURM, node=launcher, provider="r1lab")
    sweeper = {"_target_": "hydra_plugins.r1lab_random.RandomSweeper", "trials": 20, "seed": 0}
    ConfigStore.instance().store(group="hydra/sweeper", name="random", node=sweeper, provider="r1lab")


@contextmanager
def session(config_dir: str | Path | None = None) -> Iterator[None]:
    """Hydra, initialised on r1lab's groups and the user's own; what was initialised before comes back afterwards."""
    register()
    before = copy.copy(GlobalHydra.instance().hydra), dict(_composed)
    GlobalHydra.instance().clear()
    _composed.clear()
    try:
        with using(config_dir), initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before[0]
        _composed.clear()
        _composed.update(before[1])


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


def compose_choices(choices: Sequence[str], to_change: bool = True, whole: bool = True) -> DictConfig:
    """What group choices alone compose, Hydra's node included: composed once in a `session`.

    Args:
        choices: words that choose options.
        to_change: whether the caller gets a copy of its own, or what others read as well.
        whole: false leaves of Hydra's node, most of the whole, what says where runs go and who launches them.

    Raises:
        hydra.errors.HydraException: choices that do not compose.
    """
    key = tuple(choices)
    if key not in _composed:
        with groups.named_file():
            _composed[key] = hydra_compose("config", overrides=list(choices), return_hydra_config=True)
    if whole:
        return copy.deepcopy(_composed[key]) if to_change else _composed[key]
    small = (*key, PLACES_ONLY)
    if small not in _composed:
        cut = copy.deepcopy(_composed[key])
        with open_dict(cut):
            cut.hydra = OmegaConf.masked_copy(cut.hydra, ["mode", "run", "sweep", "launcher"])
        _composed[small] = cut
    return copy.deepcopy(_composed[small]) if to_change else _composed[small]


def compose_words(words: Sequence[str]) -> tuple[DictConfig, DictConfig]:
    """Compose one run inside a `session`.

    The words that set values are applied to what the choices compose, as Hydra does it: the runs of a sweep over values
    are composed once.

    Returns:
        The run's config without Hydra's node; and of that node `mode`, `run_dir`, `sweep_dir` and `launcher`.

    Raises:
        hydra.errors.HydraException: words that do not compose, which `plan.check_words` reports as findings first.
    """
    overrides = OverridesParser.create().parse_overrides(list(words))
    choices = [item for item in overrides if groups.is_group(item.key_or_group)]
    if any(item.is_sweep_override() or "override_dirname" in str(item.input_line) for item in overrides):
        with groups.named_file():
            cfg = hydra_compose("config", overrides=list(words), return_hydra_config=True)
    else:
        own = any(item.key_or_group.startswith("hydra.") for item in overrides)
        cfg = compose_choices([str(item.input_line) for item in choices], whole=own)
        ConfigLoaderImpl._apply_overrides_to_config([item for item in overrides if item not in choices], cfg)
    node = cfg.hydra
    mode = str(node.mode)
    mode = f"RunMode.{mode}" if mode in RunMode.__members__ else mode  # a cut node is not typed
    wanted = {"mode": mode, "run_dir": node.run.dir, "sweep_dir": node.sweep.dir}
    wanted["launcher"] = node.launcher._target_
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, OmegaConf.create(wanted)

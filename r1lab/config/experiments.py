"""`experiments/NAME.yaml`, chosen as `experiment=NAME`.

Hydra knows config groups as folders inside its search path. Experiments stand at the top level of the repository,
where researchers look for them, so a config source of their own presents that folder as the group `experiment`.
"""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigLoadError, ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

PACKAGE = Path(__file__).resolve().parent.parent


def shipped(name: str) -> Path:
    """A folder that travels with r1lab: beside the package in a checkout, inside it in a wheel."""
    return next(path for path in (PACKAGE / name, PACKAGE.parent / name) if path.is_dir())


CONF = shipped("conf")
EXPERIMENTS = shipped("experiments")


user_folders: list[Path] = []  # the user's own config folders, for as long as a `compose.session` lasts


class ExperimentsSource(ConfigSource):
    """Serves a flat folder of YAML files as the config group `experiment`."""

    GROUP = "experiment"

    @staticmethod
    def scheme() -> str:
        return "experiments"

    def _file(self, config_path: str) -> Path | None:
        group, _, name = config_path.partition("/")
        return Path(self.path) / self._normalize_file_name(name) if group == self.GROUP and name else None

    def available(self) -> bool:
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", self.GROUP) and self.available()

    def is_config(self, config_path: str) -> bool:
        file = self._file(config_path)
        return file is not None and file.is_file()

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        if config_path == "":
            return [self.GROUP] if results_filter != ObjectType.CONFIG else []
        if config_path != self.GROUP or results_filter == ObjectType.GROUP:
            return []
        return sorted(file.stem for file in Path(self.path).glob("*.yaml"))

    def load_config(self, config_path: str) -> ConfigResult:
        file = self._file(config_path)
        if file is None or not file.is_file():
            raise ConfigLoadError(f"Config not found: {config_path}")
        return ConfigResult(
            provider=self.provider,
            path=f"{self.scheme()}://{self.path}",
            config=OmegaConf.load(file),
            header={"package": "_global_"},  # an experiment sets keys of the whole run
        )


class ExperimentsSearchPath(SearchPathPlugin):
    """Adds the shipped experiments, those of an `experiments/` folder where the command runs, and the user's groups."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in experiment_folders():
            search_path.append("r1lab-experiments", f"{ExperimentsSource.scheme()}://{folder}")
        for folder in user_folders:
            search_path.append("r1lab-user", f"file://{folder}")


def experiment_folders() -> list[Path]:
    """Folders that are searched for experiments: the shipped one, `experiments/` here, the user's config folders'."""
    own = [Path("experiments").resolve(), *(folder / "experiment" for folder in user_folders)]
    return list(dict.fromkeys([EXPERIMENTS, *(folder for folder in own if folder.is_dir())]))

"""Whether this version can run what the config asks for, found out before anything is touched.

Knows backends and templates.  Must not know the forge or the database.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from poller.config import Config
from sessions.bottles import BUILT
from sessions.config import ConfigError


def check_agents(config: Config) -> None:
    """Refuse what cannot be run.  Raises `ConfigError`."""
    for name, agent in config.agents.items():
        if agent.backend not in BUILT:
            raise ConfigError(
                f"{config.path}: agents.{name}.backend: found {agent.backend}, which this version "
                f"cannot run, expected one of {', '.join(sorted(BUILT))}"
            )
        if agent.backend == "docker" and find_spec("docker") is None:
            raise ConfigError(
                f"{config.path}: agents.{name}.backend: found docker without its library, expected it installed; "
                "pip install '.[docker]' in bottlepost's checkout, or write `backend: process`"
            )
        if agent.prompts is not None:
            _check_templates(config, name, Path(agent.prompts))


def _check_templates(config: Config, name: str, directory: Path) -> None:
    from poller.prompts.compose import PromptError, check

    where = f"{config.path}: agents.{name}.prompts"
    if not directory.is_dir():
        raise ConfigError(f"{where}: found {directory}, which is no directory, expected one; make it, or write null")
    try:
        check(name, directory=directory)
    except PromptError as trouble:
        raise ConfigError(f"{where}: {trouble}; mend the template") from None

"""What the sessions side reads of `config.yaml`: agents, limits, state and database.

Knows the keys of `agents`, `limits`, `state` and `database`.  Must not know the forge: its keys are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sessions.boxing import HostLine, Image, Network, Runner, Size
from sessions.document import Document
from sessions.globs import PathPattern
from sessions.wording import Scalar, kind_of, shown
from sessions.yamlfile import ConfigError

__all__ = [
    "Agent",
    "AgentLimits",
    "ConfigError",
    "Limits",
    "Seconds",
    "Settings",
    "SettingsFile",
    "load_settings",
    "parse_duration",
    "settings_of",
]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_OURS = frozenset({"CLAUDE_CONFIG_DIR", "CLAUDE_CODE_PROJECT_DIR_NAME"})
#: Longer spans lead out of the calendar.
_LONGEST = 3650 * 86400
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_DATABASE = r"(postgresql(\+\w+)?|sqlite)://"
_VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_AGENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
#: Whoever never polls needs no more than an agent.
_MISSING = (
    "run `poll init` to write one (for `bottle` this line is enough: `agents: {reviewer: {backend: docker}}`), "
    "or name yours with --config"
)
#: Top-level keys that belong to the poller.
_OTHERS = frozenset({"gitea", "repos", "poll", "trust"})


class Duration(Scalar):
    """A span of time, written `30s`, `10m`, `24h` or `7d`."""

    EXPECTED = "a duration such as 30s, 10m, 24h or 7d"

    @classmethod
    def parse(cls, value: object) -> float:
        """The seconds of `30s`; a bare number is refused, for it does not say what it counts."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"write {value}s if you mean seconds")
        return parse_duration(value if isinstance(value, str) else "")


class DatabaseUrl(Scalar):
    """Where the tables are when not under `state`; may hold a password."""

    EXPECTED = "null or postgresql://…"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or not re.match(_DATABASE, value):
            raise ValueError("null means SQLite under `state`")
        return value

    @classmethod
    def shown(cls, value: object) -> str:
        return kind_of(value)


class VariableName(Scalar):
    """The name of an environment variable, without its value."""

    EXPECTED = "the name of a variable"

    @classmethod
    def parse(cls, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(_VARIABLE_NAME, value):
            raise ValueError("name it only: its value passes unchanged from the environment")
        return value

    @classmethod
    def shown(cls, value: object) -> str:
        # Somebody may have written NAME=secret.
        return shown(value.partition("=")[0] + "=…") if isinstance(value, str) and "=" in value else shown(value)


#: A duration in seconds.
Seconds = Annotated[
    float,
    Duration,
    Meta(extra_json_schema={"pattern": r"^\d+(\.\d+)?[smhd]$", "examples": ["30s", "10m", "24h"]}),
]


class AgentLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one turn of an agent may use."""

    turns: Annotated[int, Meta(ge=1, description="Model calls in one turn.")] = 30
    minutes: Annotated[float, Meta(gt=0, description="Wall time of one turn.")] = 30.0
    usd: Annotated[float, Meta(gt=0, description="Money one turn may cost.")] = 2.0
    rotate_tokens: Annotated[
        int, Meta(ge=1, description="Past this many tokens of context a session is handed over to a fresh one.")
    ] = 120_000
    rotate_turns: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="The same after so many turns; null: as many as come.")
    ] = None
    rotate_after: Annotated[Seconds | None, Meta(description="The same at this age, such as 7d; null: at none.")] = None
    memory: Annotated[
        str | None, Size, Meta(description="Memory, such as 512m; null: 4g in a container, no limit for a process.")
    ] = None
    cpus: Annotated[Annotated[float, Meta(gt=0)] | None, Meta(description="Processors of a container; null: 2.")] = None
    pids: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Processes and threads in a container; null: 1024.")
    ] = None


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all agents together may use."""

    parallel: Annotated[int, Meta(ge=1, description="Turns that run at the same time, of different pulls.")] = 2
    usd_per_day: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="Money all turns of a day (UTC) may cost; null: any.")
    ] = 20.0
    usd_per_month: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The same of a month (UTC); null: any.")
    ] = None
    usd_per_pull: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="Money all turns of a pull request may cost; null: any.")
    ] = None
    usd_per_repository: Annotated[
        Annotated[float, Meta(gt=0)] | None, Meta(description="The same of a repository; null: any.")
    ] = None


class Agent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role: what wakes it, where it runs, what it may use."""

    on: Annotated[tuple[str, ...], Meta(description="What wakes the agent.")] = (
        "opened",
        "synchronized",
        "mentioned",
        "review_requested",
    )
    backend: Annotated[Literal["docker", "process", "command"], Meta(description="What a bottle is.")] = "docker"
    image: Annotated[str, Image, Meta(min_length=1, description="The image of a docker bottle.")] = (
        "bottlepost/claude:latest"
    )
    network: Annotated[str, Network, Meta(description="none, bridge, or a network's name.")] = "bridge"
    extra_hosts: Annotated[
        tuple[Annotated[str, HostLine], ...], Meta(description="`name:address` lines for a docker bottle.")
    ] = ()
    read_only: Annotated[
        bool, Meta(description="No writing in a docker bottle but in its mounts and in memory; false: `bottle commit`.")
    ] = True
    command: Runner = Runner()
    model: Annotated[str | None, Meta(description="null: what the agent itself prefers.")] = None
    env: Annotated[
        tuple[Annotated[str, VariableName, Meta(pattern=f"^{_VARIABLE_NAME}$")], ...],
        Meta(description="Names of variables that pass into the bottle from the environment, and nothing else."),
    ] = ("ANTHROPIC_API_KEY",)
    prompts: Annotated[str | None, Meta(description="A directory of templates that override the built-in ones.")] = None
    reply: Annotated[Literal["comment", "review", "none"], Meta(description="How the answer is posted.")] = "comment"
    approve: Annotated[bool, Meta(description="A review may approve, but never the bot's own pull.")] = False
    sticky: Annotated[bool, Meta(description="One comment for each pull, kept up to date.")] = False
    status: Annotated[bool, Meta(description="A commit status: pending, then success or failure.")] = False
    checkout: Annotated[bool, Meta(description="Put the pull's head into the bottle's working directory.")] = True
    push: Annotated[bool, Meta(description="Push what the agent commits, to branches of the same repository only.")] = (
        False
    )
    protected: Annotated[
        tuple[Annotated[str, PathPattern], ...],
        Meta(description="Paths that no push may change, beside those of CI and of the agent's own settings."),
    ] = ()
    limits: AgentLimits = AgentLimits()


class SettingsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of `config.yaml` that both scripts read, as they stand in the file."""

    state: Annotated[
        str, Meta(min_length=1, description="The directory of the database, the bottles and the transcripts.")
    ] = "~/.bot-bottle"
    database: Annotated[
        str | None, DatabaseUrl, Meta(description="null: SQLite under `state`; else postgresql://…")
    ] = None
    limits: Limits = Limits()
    agents: Annotated[dict[str, Agent], Meta(description="The roles, by name; without any, only events are kept.")] = {}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The same, ready for use: paths are absolute."""

    state: Path
    database: str | None
    limits: Limits
    agents: dict[str, Agent]


def load_settings(path: Path, *, environ: Mapping[str, str]) -> Settings:
    """Read what `bottle` needs of the file; `ConfigError` says what is wrong.  Nothing is created or changed."""
    document = Document(path, environ=environ, missing=_MISSING)
    return settings_of(document, document.build(SettingsFile, ignore=_OTHERS))


def settings_of(document: Document, file: SettingsFile) -> Settings:
    """Check what one value alone does not show, and make paths absolute (`~`; else beside the config file)."""
    agents = {}
    for name, agent in file.agents.items():
        if not _AGENT_NAME.fullmatch(name):
            expected = "letters, digits, `-`, `_` and `.`, 40 at most"
            raise document.error(f"agents.{name}", found="a name that cannot name a bottle", expected=expected)
        _check_env(document, name, agent)
        _check_answers(document, name, agent)
        if agent.backend == "command" and not agent.command.start:
            key, mend = f"agents.{name}.command.start", "for example [my-runner, '{session}', '{args}']"
            raise document.error(key, found="nothing", expected="the words of a command", mend=mend)
        prompts = str(document.path_of(agent.prompts, key=f"agents.{name}.prompts")) if agent.prompts else None
        agents[name] = msgspec.structs.replace(agent, prompts=prompts)
    return Settings(
        state=document.path_of(file.state, key="state"), database=file.database, limits=file.limits, agents=agents
    )


def _check_env(document: Document, name: str, agent: Agent) -> None:
    """What the runner itself sets, so that a bottle is one, nobody may set otherwise."""
    for index, variable in enumerate(agent.env):
        if variable in _OURS or variable.startswith("BOTTLEPOST_"):
            key, expected = f"agents.{name}.env[{index}]", "a variable that the runner does not set itself"
            raise document.error(key, found=variable, expected=expected, mend="remove it")


def _check_answers(document: Document, name: str, agent: Agent) -> None:
    """What one key asks for and another takes away."""
    if agent.push and not agent.checkout:
        key, expected = f"agents.{name}.push", "`checkout: true` beside it, or false"
        raise document.error(key, found="true without the code", expected=expected)
    if agent.sticky and agent.reply != "comment":
        key, expected = f"agents.{name}.sticky", "`reply: comment` beside it, or false"
        raise document.error(key, found=f"true with `reply: {agent.reply}`", expected=expected)


def parse_duration(text: str) -> float:
    """Seconds of `30s`, `10m`, `24h`, `7d`; `ValueError` for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("write a number and one of s, m, h, d")
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError("3650d at most")
    return seconds

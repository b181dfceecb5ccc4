"""What `poll doctor` can see on this machine: files, disk, database, the agents' programs.

Looks and changes nothing: a state directory that is not there is not made.  Must not know the forge.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from poller.checks import Check, fail, ok, warn
from poller.checks.database import of_the_database
from poller.config import Config
from poller.scalars import start_trouble
from sessions.config import Agent, ConfigError
from sessions.wording import closest

#: Bytes below which a disk is nearly full: the checkout of one large repository.
LITTLE_DISK = 1_000_000_000
CLAUDE_SECONDS = 30
#: Older ones take no configuration from the environment.
GIT = (2, 31)


def on_this_machine(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """All findings that need no network, but for a database of its own."""
    yield from start(config, now=time.time())
    yield from token_storage(config)
    yield from state_directory(config.state)
    yield from of_the_database(config)
    yield from agents(config, environ)


def start(config: Config, *, now: float) -> Iterator[Check]:
    """A watching that begins one day has lost until then what happens."""
    if wrong := start_trouble(config.poll.start, now=now):
        found, _, mend = wrong.partition("; ")
        yield fail("start", f"poll.start: {found}", mend, exit_code=2)


def token_storage(config: Config) -> Iterator[Check]:
    """A literal token is as secret as its file."""
    file = config.token_file
    if file is None:
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o044:
        found = f"{file} holds the token and others can read it (mode {mode:04o})"
        mend = f"chmod 600 {file}" + ("" if file != config.path else ", or write token: ${GITEA_TOKEN}")
        yield warn("token storage", found, mend)
    else:
        yield ok("token storage", f"{file}, mode {mode:04o}")


def state_directory(state: Path) -> Iterator[Check]:
    """Whether bottles can live there, and how much room they have."""
    place = next(place for place in (state, *state.parents) if _is_there(place))
    if not place.is_dir():
        yield fail("state", f"{place} is no directory", "set another `state`", exit_code=2)
        return
    if not os.access(place, os.W_OK | os.X_OK | os.R_OK):
        who = place.stat().st_uid
        yield fail("state", f"{place} cannot be read and written (owner {who}, we are {os.geteuid()})",
                   "make it yours, or set another `state`", exit_code=2)  # fmt: skip
        return
    mode = stat.S_IMODE(place.stat().st_mode)
    if place != state:
        yield ok("state", f"{state} is not there yet and can be made")
    elif mode & 0o077:
        found = f"{state}: others can look into it (mode {mode:04o}); transcripts hold what tools printed"
        yield warn("state", found, f"chmod 700 {state}")
    else:
        yield ok("state", f"{state}, mode {mode:04o}")
    free = shutil.disk_usage(place).free
    room = f"{free / 1e9:,.1f} GB free"
    yield ok("disk", room) if free >= LITTLE_DISK else warn("disk", room, "make room, or set another `state`")


def _is_there(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:  # a directory above it does not let us look
        return False


def agents(config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    """What the agents need: their programs, variables and templates."""
    if not config.agents:
        yield warn("agents", "none: events are only kept", "add one under `agents`")
    for backend in sorted({agent.backend for agent in config.agents.values()}):
        mine = {name: agent for name, agent in config.agents.items() if agent.backend == backend}
        yield from _backend(backend, mine, config.state, environ)
    if any(agent.checkout for agent in config.agents.values()):
        yield git(environ)
    from poller.runnable import check_agents  # with it come templates

    try:
        check_agents(config)
    except ConfigError as trouble:
        found, _, mend = str(trouble).rpartition("; ")
        yield fail("agents", found, mend, exit_code=2)
    else:
        yield from _templates(config)
    yield from _money(config)
    for name, agent in config.agents.items():
        yield _agent(f"agent {name}", agent, environ)


def _backend(backend: str, agents: Mapping[str, Agent], state: Path, environ: Mapping[str, str]) -> Iterator[Check]:
    from sessions.bottles import EngineError, bottle_for

    if backend == "docker":
        from poller.checks.engine import containers

        yield from containers(state, agents, environ)
        return
    for name, agent in agents.items():
        try:
            bottle_for(backend, environ=environ).check(agent)
        except EngineError as error:
            found, _, mend = str(error).partition("; ")
            which = f" of {name}" if backend == "command" else ""
            yield fail(f"backend {backend}{which}", found, mend or "see the message, or choose another `backend`")
            return
    yield claude(environ) if backend == "process" else ok(f"backend {backend}", "its programs are there")


def _templates(config: Config) -> Iterator[Check]:
    """Files that somebody has written for prompts, and that are in none."""
    from poller.prompts.compose import names_for, unused

    for directory in sorted({agent.prompts for agent in config.agents.values() if agent.prompts is not None}):
        mine = [name for name, agent in config.agents.items() if agent.prompts == directory]
        for file in unused(Path(directory), mine):
            names = names_for(mine)
            mend = closest(file, names) or f"name it {', '.join(names[:-1])} or {names[-1]}, or remove it"
            yield warn("prompts", f"{directory}/{file} is in no prompt of {', '.join(mine)}", mend)


def _money(config: Config) -> Iterator[Check]:
    """What a turn may cost is set aside before it begins: a cap with room for one lets no second begin."""
    dearest = max((agent.limits.usd for agent in config.agents.values()), default=0.0)
    for of in ("day", "month", "pull", "repository"):
        cap: float | None = getattr(config.limits, f"usd_per_{of}")
        if cap is not None and cap < 2 * dearest:
            found = f"limits.usd_per_{of} is ${cap:.2f}, and one turn may cost ${dearest:.2f} (the agent's limits.usd)"
            yield warn("money", f"{found}: after the first no other begins", "raise the one, or lower the other")


def _agent(name: str, agent: Agent, environ: Mapping[str, str]) -> Check:
    if not agent.on:
        return warn(name, "wakes on nothing: `on` is an empty list", "name what wakes it, or leave `on` out")
    unset = [variable for variable in agent.env if not environ.get(variable)]
    if unset:
        verb = "is" if len(unset) == 1 else "are"
        return warn(name, f"{', '.join(unset)} {verb} not set here", "export what the agent needs where `poll` runs")
    passed = f", passes {', '.join(agent.env)}" if agent.env else ""
    return ok(name, f"{agent.backend}, wakes on {', '.join(agent.on)}{passed}")


def claude(environ: Mapping[str, str]) -> Check:
    """The program of the process backend, and its version."""
    from sessions.bottles.process import find_claude

    mend = "install Claude Code, or: pip install '.[claude]' in bottlepost's checkout"
    binary = find_claude(environ.get("PATH"))
    if binary is None:
        return fail("claude", "not found on PATH, and the wheel claude-agent-sdk is not installed", mend)
    quiet = {"PATH": environ.get("PATH", os.defpath), "HOME": environ.get("HOME", "/"), "DISABLE_AUTOUPDATER": "1"}
    try:
        said = subprocess.run(
            [binary, "--version"],
            env=quiet,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CLAUDE_SECONDS,
            check=False,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return fail("claude", f"{binary} does not run: {type(error).__name__}", mend)
    version = said.stdout.strip().split("\n")[0][:60]
    if said.returncode != 0 or not version:
        return fail("claude", f"{binary} --version ended with {said.returncode}", mend)
    return ok("claude", f"{version}, {binary}")


def git(environ: Mapping[str, str]) -> Check:
    """The program that fetches code, and its version."""
    found = shutil.which("git", path=environ.get("PATH"))
    mend = f"install git {GIT[0]}.{GIT[1]} or later, or write checkout: false"
    if found is None:
        return fail("git", "not found on PATH", mend)
    try:
        said = subprocess.run([found, "version"], capture_output=True, timeout=CLAUDE_SECONDS, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return fail("git", f"{found} does not run: {type(error).__name__}", mend)
    version = re.search(r"(\d+)\.(\d+)[\w.]*", said.stdout)
    if version is None or (int(version[1]), int(version[2])) < GIT:
        return fail("git", f"{found}: {said.stdout.strip()[:60] or 'says no version'}", mend)
    return ok("git", f"{version[0]}, {found}")

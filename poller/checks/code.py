"""`poll doctor --live`: whether git gets to the code, which is another way than that of the API.

A forge may serve no git over HTTP, and a proxy may let only the API pass.  Asks for the list of branches of one
repository.  Leaves nothing behind: its git directory is a temporary one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from poller.checks import Check, fail, ok
from poller.config import Config
from poller.forge import errors
from poller.forge.control import Control
from poller.forge.way import Way
from poller.pushes import access_by, access_to


def of_the_code(config: Config, control: Control, way: Way, environ: Mapping[str, str]) -> Iterator[Check]:
    """One line, if any agent wants the code."""
    wanted = [name for name, agent in config.agents.items() if agent.checkout]
    repo = _some_repository(config, control)
    if not wanted or repo is None:
        return
    from sessions.git import Git, GitError

    access = access_to(access_by(config, way), repo)
    with tempfile.TemporaryDirectory(prefix="bottlepost-doctor-") as place:
        git = Git(Path(place), environ=environ, tick=lambda: None)
        try:
            git.run("init", "--quiet", "--bare", "--template=")
            heads = git.run("ls-remote", "--heads", "--", access.url, access=access, seconds=60.0)
        except GitError as trouble:
            mend = (
                f"let git over HTTP pass to the forge (DISABLE_HTTP_GIT in its app.ini), or write agents.{wanted[0]}."
            )
            yield fail("code", f"{repo}: {trouble}", f"{mend}checkout: false")
            return
    many = len(heads.splitlines())
    yield ok("code", f"git reaches {repo}, {many:,} branch{'' if many == 1 else 'es'}")


def _some_repository(config: Config, control: Control) -> str | None:
    """The first that can be read."""
    try:
        for name in config.wanted:
            if name.endswith("/*"):
                found = [one.full_name for one in control.repositories_of(name[:-2]) if config.watches(one.full_name)]
                if found:
                    return found[0]
            elif (repo := control.repository(name)) is not None:
                return repo.full_name
    except errors.ForgeError:
        return None  # that has a line of its own already
    return None

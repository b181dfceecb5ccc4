"""A bottle's state directory: the only thing of it that outlives a turn, and the only thing to move or copy.

`<state>/state/<identity>/`: `metadata.json`, `Dockerfile` (an override, absent = default), `transcript/` (the guest's
home, with its `.claude/`), `work/` (its cwd), `turns/<n>/` (one launch each), `.preserve`; and, unseen by the agent,
`checkout/` (what the host knows of `work/`) and `generations/` (copies of the transcript).  Everything private (0700),
nothing in it names an absolute path.  Must not know SQL, Claude's arguments or processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
import string
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from sessions import files

_ALPHABET = string.ascii_lowercase + string.digits
_IDENTITY = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*-[a-z0-9]{5}")
#: The default is 30 days: a pull may well sleep for longer.
_SETTINGS = {"cleanupPeriodDays": 3650}
_MOST_SETTINGS = 16 * 1024 * 1024


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a bottle is.  `cwd` is relative to the state directory, or a path in the guest, "" = none.  No secrets."""

    identity: str
    agent_name: str = ""
    cwd: str = ""
    copy_cwd: bool = False
    started_at: str = ""
    #: "" in old records: docker.
    backend: str = "docker"


def new_identity(agent: str) -> str:
    """`<slug of the agent's name>-<5 random>`; the caller sees to it that nobody has it yet."""
    slug = re.sub(r"[^a-z0-9]+", "-", agent.lower()).strip("-")[:40].rstrip("-") or "agent"
    return f"{slug}-{''.join(secrets.choice(_ALPHABET) for _ in range(5))}"


def is_identity(text: str) -> bool:
    """Whether `text` has an identity's form: what comes from outside is not to name another directory."""
    return _IDENTITY.fullmatch(text) is not None


def bottles(state: Path) -> Path:
    return state / "state"


def bottle(state: Path, identity: str) -> Path:
    """Where a bottle's state is, or would be."""
    return bottles(state) / identity


def config_dir(bottle: Path) -> Path:
    """The agent's whole config directory: transcripts, settings, its own notes."""
    return bottle / "transcript" / ".claude"


def work(bottle: Path, cwd: str = "work") -> Path:
    """The agent's working directory, as this machine sees it: a path in a guest (absolute) is `work/` here."""
    return bottle / ("work" if Path(cwd).is_absolute() else cwd)


def identities(state: Path) -> list[str]:
    """Bottles that have a state directory."""
    if not bottles(state).is_dir():
        return []
    return sorted(entry.name for entry in bottles(state).iterdir() if entry.is_dir() and is_identity(entry.name))


def prepare(bottle: Path, metadata: Metadata) -> None:
    """Make what a launch needs, or mend what is missing; written at every launch."""
    for path in _rooms(bottle, metadata.cwd):
        make(path, bottle=bottle)
        files.unshut(path)
    _set(config_dir(bottle) / "settings.json")
    write(bottle / "metadata.json", json.dumps(msgspec.structs.asdict(metadata), indent=2) + "\n")


def _set(settings: Path) -> None:
    """What every run needs to find there, whatever the agent has made of it; the rest is its own."""
    try:
        found = json.loads(files.tail(settings, _MOST_SETTINGS))
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    with contextlib.suppress(OSError):
        if stat.S_ISDIR(settings.lstat().st_mode):  # no file can take its place
            aside = settings.with_name(f"{settings.name}.aside-{secrets.token_hex(3)}")
            files.remove(settings.rename(aside))
    if any(found.get(name) != value for name, value in _SETTINGS.items()):
        write(settings, json.dumps(found | _SETTINGS, indent=2) + "\n")


def make(path: Path, *, bottle: Path) -> None:
    """A private directory in a bottle's state, with the bottle's own where they are missing."""
    # One after the other: `parents=True` would give the outer ones the umask's mode.
    for each in (bottle.parent.parent, bottle.parent, bottle, path):
        each.mkdir(mode=0o700, parents=each == bottle.parent.parent, exist_ok=True)


def read_metadata(bottle: Path) -> Metadata | None:
    """What is known about a bottle; `None` when there is nothing, or nothing readable.  Makes no directory.

    Raises `OSError` when that cannot be told."""
    found = None
    with files.unless_of_the_world(), contextlib.suppress(ValueError, RecursionError):
        found = json.loads((bottle / "metadata.json").read_text("utf-8"))
    return _tolerant(found, bottle.name) if isinstance(found, dict) else None


def metadata(*, identity: str, agent: str, cwd: str, backend: str, now: float) -> Metadata:
    started = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Metadata(identity=identity, agent_name=agent, cwd=cwd, started_at=started, backend=backend)


def preserve(bottle: Path) -> None:
    """The state outlives the next end.  Before the end: whether to remove is decided after it."""
    if not is_preserved(bottle):
        write(bottle / ".preserve", "")


def is_preserved(bottle: Path) -> bool:
    return (bottle / ".preserve").exists()


def remove(bottle: Path) -> bool:
    """All of it, or (when killed half-way) none of it under its name; false when there was nothing."""
    going = bottle.with_name(f".removing-{bottle.name}")
    if not files.remove(going):  # something in there is not ours
        going = going.with_name(f"{going.name}-{secrets.token_hex(3)}")
    try:
        bottle.rename(going)
    except FileNotFoundError:
        return False
    files.remove(going)
    return True


def clear_turn_directory(bottle: Path, name: str) -> None:
    """Move away what a launch left that the database has never heard of (an older copy of it was put back)."""
    directory = bottle / "turns" / name
    with contextlib.suppress(FileNotFoundError):
        directory.rename(directory.with_name(f"{name}.aside-{secrets.token_hex(3)}"))


def new_turn_directory(bottle: Path, name: str, *, prompt: str, argv: tuple[str, ...]) -> Path:
    """`turns/<name>/` with what the launch will read, and what a person may want to see of it.

    Raises FileExistsError when somebody made it first, to forbid this launch."""
    directory = bottle / "turns" / name
    directory.mkdir(mode=0o700)
    # JSON can carry half a character (a lone surrogate), a file cannot.
    write(directory / "prompt.md", prompt.encode("utf-8", "replace").decode("utf-8"))
    write(directory / "argv.json", json.dumps(argv, indent=2) + "\n")
    return directory


def write(path: Path, text: str) -> None:
    """The whole text or the old one, even if the power fails; readable by nobody else."""
    with _beside(path, text) as partial:
        partial.replace(path)


def write_first(path: Path, text: str) -> bool:
    """The whole text, unless there is one already: then it stays, and the answer is false."""
    with _beside(path, text) as partial:
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        finally:
            partial.unlink()
        return True


@contextlib.contextmanager
def _beside(path: Path, text: str) -> Iterator[Path]:
    """The text in a file of ours in the same directory, to be put in place; it does not stay if that fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(3)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield partial
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def _rooms(bottle: Path, cwd: str) -> tuple[Path, ...]:
    own = (work(bottle, cwd),) if cwd else ()
    return (bottle / "transcript", config_dir(bottle), bottle / "turns", *own)


def _tolerant(found: Mapping[str, object], name: str) -> Metadata:
    def text(field: str, default: str = "") -> str:
        value = found.get(field)
        return value if isinstance(value, str) and value else default

    return Metadata(
        identity=text("identity", name),
        agent_name=text("agent_name"),
        cwd=text("cwd"),
        copy_cwd=found.get("copy_cwd") is True,
        started_at=text("started_at"),
        backend=text("backend", "docker"),
    )

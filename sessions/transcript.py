"""Claude's own record of a conversation: whether it is there, and whether it can be resumed.

Knows where the CLI keeps it (`<config dir>/projects/<name>/<id>.jsonl`) and what makes it resumable.  Must not know
turns, or decide what to do about it.
"""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from sessions import files
from sessions.decoding import UNREADABLE
from sessions.lifecycle import Condition

#: The name of the one directory under `projects/`, by CLAUDE_CODE_PROJECT_DIR_NAME: else it would be made of the cwd,
#: which changes when the state directory is moved.
PROJECT = "pr"


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    condition: Condition
    size: int = 0
    #: All of its files, and the one that counts.
    paths: tuple[Path, ...] = ()
    record: Path | None = None


class _Line(msgspec.Struct):
    type: str = ""


_decode = msgspec.json.Decoder(_Line)
#: Bytes in which the first message of ours is looked for.  An agent can make a file of any size, and of a single line.
_MOST = 64 * 1024 * 1024
#: Bytes that are gone through for damage.
_MOST_READ = 16 * _MOST


def look(config_dir: Path, claude_session: str) -> Transcript:
    """What there is of a conversation under `config_dir`.

    Raises `OSError` when the machine cannot say: a record that cannot be read just now is not damaged."""
    # The agent could have put anything there: a pipe would let us wait for ever, a link lead to another bottle's.
    paths = tuple(path for path in sorted(config_dir.glob(f"projects/*/{claude_session}.jsonl")) if _is_its_own(path))
    if not paths:
        return Transcript(condition="absent")
    # A copy of one id in a second project directory shadows nothing: the longest is the one that was last spoken in.
    size, longest = max(((_size(path), path) for path in paths), key=lambda found: found[0])
    return Transcript(condition=condition_of(longest), size=size, paths=paths, record=longest)


def _is_its_own(path: Path) -> bool:
    """Not what a link leads to; one in the record's own place is only moved aside."""
    with files.unless_of_the_world():  # but a directory that was closed to us
        return not any(above.is_symlink() for above in (path.parent, path.parent.parent))
    return False


def _size(path: Path) -> int:
    """Bytes of a file; nothing of anything else."""
    with files.unless_of_the_world():
        info = path.lstat()
        return info.st_size if stat.S_ISREG(info.st_mode) else 0
    return 0


def set_aside(transcript: Transcript) -> None:
    """Out of the CLI's sight, not out of the world."""
    for path in transcript.paths:
        path.rename(path.with_name(f"{path.name}.aside-{int(time.time())}"))


def condition_of(path: Path) -> Condition:
    """Of one file; what is none, or cannot be read, is damaged.

    A torn last line is what SIGKILL leaves, and harmless (seen with 2.1.329); a first line that is none is not.
    Raises `OSError` when the machine cannot say."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return "damaged"
        with path.open("rb") as file:
            return _told_by(file)
    except OSError as error:
        if files.is_of_the_world(error):
            raise
        return "absent" if isinstance(error, FileNotFoundError) else "damaged"


def _told_by(file: BinaryIO) -> Condition:
    number, left = 0, _MOST
    while (line := file.readline(left)).endswith(b"\n"):
        left -= len(line)
        try:
            if _decode.decode(line).type == "user":
                return "sound"
        except UNREADABLE:
            if number == 0:
                return "damaged"
        number += 1
    return "stub"


def is_readable(path: Path) -> bool:
    """Whether each of its complete lines can be read.

    The CLI goes on without a word where one cannot, and has then forgotten all that was said before it (seen with
    2.1.330)."""
    left = _MOST_READ
    with path.open("rb") as file:
        while (line := file.readline(min(left, _MOST))).endswith(b"\n"):
            left -= len(line)
            try:
                _decode.decode(line)
            except UNREADABLE:
                if line.strip():
                    return False
    return len(line) < min(left, _MOST)  # the last one may be torn

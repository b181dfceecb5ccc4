"""Root is let in everywhere: what a plain user meets is seen by a process without that right."""

from __future__ import annotations

import os
import shutil

import pytest

_RIGHTS = "-dac_override,-dac_read_search"


def without_rights() -> list[str]:
    """What to begin a command with."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed, and root is let in everywhere; run this as another user")
    return ["setpriv", f"--bounding-set={_RIGHTS}", f"--inh-caps={_RIGHTS}", "--"]

"""How many heaps a daemon's threads share."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: Threads that have memory at the same time, and what the C library then says of its heaps.
_THREADS = """
import ctypes, sys, threading
from poller.verbs.forever import keep_few_arenas
if sys.argv[1] == "few":
    keep_few_arenas()
both = threading.Barrier(7)
def work():
    kept = bytearray(10_000)
    both.wait()
    both.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
both.wait()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
both.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: it has no such heaps")
def test_a_daemons_threads_share_two_heaps() -> None:
    def heaps(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", _THREADS, how], capture_output=True, text=True, check=True)
        return done.stdout.count("<heap nr=")

    assert heaps("as usual") > 2
    assert heaps("few") <= 2

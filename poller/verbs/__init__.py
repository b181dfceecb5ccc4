"""The verbs of `poll`, one file each: they call, print, and answer with an exit code."""

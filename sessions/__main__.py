"""`bottle`: agents in bottles without any forge.

Knows the verbs' names and the options that all of them share.  What they take is in `verbs`, what they do elsewhere.
"""

from __future__ import annotations

import sys

from sessions.shell import Common, Version, add_verb, new_app, run_script, sharing
from sessions.verbs import keeping, looking, running

app = new_app("bottle", "Run agents in bottles: one identity, one conversation each, kept until you clean up.")


def common(options: Common, version: Version = False) -> None:
    """Options that may also stand behind the verb."""


app.callback()(sharing(common))
add_verb(app, "run", running.run, "bottle run reviewer 'Summarize README.md'", "git diff | bottle run reviewer -")
add_verb(
    app, "run-resume", running.run_resume, "bottle run-resume reviewer-k3x9q --claude-session ID 'And the tests?'"
)  # fmt: skip
add_verb(app, "resume", running.resume, "bottle resume reviewer-k3x9q", "bottle resume reviewer-k3x9q --dry-run")
add_verb(app, "list", looking.list_, "bottle list", "bottle list --all --format json")
add_verb(app, "show", looking.show, "bottle show reviewer-k3x9q")
add_verb(app, "log", looking.log, "bottle log reviewer-k3x9q", "bottle log --limit 20 --format jsonl")
add_verb(app, "export", keeping.export, "bottle export reviewer-k3x9q")
add_verb(app, "import", keeping.import_, "bottle import reviewer-k3x9q.tar.gz")
add_verb(app, "cleanup", keeping.cleanup, "bottle cleanup", "bottle cleanup reviewer-k3x9q", "bottle cleanup --orphans")
add_verb(app, "build", keeping.build, "bottle build", "bottle build --base debian:trixie-slim --tag mine/claude:1")
add_verb(app, "commit", keeping.commit, "bottle commit reviewer-k3x9q")


def main() -> None:
    """The console script."""
    sys.exit(run_script(app, name="bottle"))


if __name__ == "__main__":
    main()

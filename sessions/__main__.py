"""`bottle`: agents in bottles without any forge.

Knows the verbs' names and the options that all of them share.  What they take is in `verbs`, what they do elsewhere.
"""

from __future__ import annotations

import sys

import typer

from sessions.shell import Common, ConfigPath, Format, LogFormat, Verbose, Version, new_app, run_script
from sessions.verbs import keeping, looking, running

app = new_app("bottle", "Run agents in bottles: one identity, one conversation each, kept until you clean up.")


@app.callback()
def common(
    context: typer.Context,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
    version: Version = False,
) -> None:
    """Options that may also stand behind the verb."""
    context.obj = Common().overlaid(config=config, format=format, log_format=log_format, verbose=verbose)


app.command("run")(running.run)
app.command("run-resume")(running.run_resume)
app.command("resume")(running.resume)
app.command("list")(looking.list_)
app.command("show")(looking.show)
app.command("log")(looking.log)
app.command("export")(keeping.export)
app.command("import")(keeping.import_)
app.command("cleanup")(keeping.cleanup)
app.command("build")(keeping.build)
app.command("commit")(keeping.commit)


def main() -> None:
    """The console script."""
    sys.exit(run_script(app, name="bottle"))


if __name__ == "__main__":
    main()

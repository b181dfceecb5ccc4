"""`poll`: its own call, and the names of its verbs.  What they take is in `calls`, what they do in `verbs`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from poller.calls import beginning, config_of, looking, steering
from sessions.shell import (
    Common,
    ConfigPath,
    Format,
    LogFormat,
    UsageError,
    Verbose,
    Version,
    importing,
    new_app,
    run_script,
)

poll = new_app("poll", "A bottled agent for every pull request, on hosts that no webhook can reach.")


def main() -> None:
    """The console script."""
    sys.exit(run_script(poll, name="poll"))


@poll.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One cycle, then every due turn, then the outbox.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="With --once: leave started turns running.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --once: show events and turns; write and post nothing.")
    ] = False,
    metrics: Annotated[
        str | None,
        typer.Option("--metrics", metavar="HOST:PORT", help="Serve /metrics and /healthz there: 127.0.0.1:9464."),
    ] = None,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
    version: Version = False,
) -> int:
    """Watch the forge: for ever, or once.  Without a verb and without --once it runs until it is told to stop."""
    common = Common().overlaid(config=config, format=format, log_format=log_format, verbose=verbose)
    context.obj = common
    if context.invoked_subcommand is not None:
        if once or no_wait or dry_run or metrics:
            raise UsageError(
                f"--once, --no-wait, --dry-run and --metrics do not go with `{context.invoked_subcommand}`"
            )
        return 0
    if (no_wait or dry_run) and not once:
        raise UsageError("--no-wait and --dry-run go with --once: poll --once …")
    if no_wait and dry_run:
        raise UsageError("--no-wait and --dry-run exclude each other: a dry run starts nothing")
    if once and metrics:
        raise UsageError("--metrics goes with the daemon, not with --once: run `poll`, or `poll status --format json`")
    settings = config_of(common)
    if once:
        with importing():
            from poller.verbs.once import once as poll_once
            from poller.verbs.once import rehearse

        if dry_run:
            return rehearse(settings, as_json=common.as_json)
        return poll_once(settings, wait=not no_wait, as_json=common.as_json)
    from poller.verbs.forever import forever

    return forever(settings, metrics=metrics)


poll.command("init")(beginning.init)
poll.command("doctor")(beginning.doctor)
poll.command("demo")(beginning.demo)
poll.command("status")(looking.status)
poll.command("events")(looking.events)
poll.command("why")(looking.why)
poll.command("simulate")(looking.simulate)
poll.command("report")(looking.report)
poll.command("pause")(steering.pause)
poll.command("unpause")(steering.unpause)
poll.command("reset")(steering.reset)
poll.command("retry")(steering.retry)
poll.command("replay")(steering.replay)


if __name__ == "__main__":
    main()

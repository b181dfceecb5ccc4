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
    add_verb,
    examples_of,
    importing,
    new_app,
    run_script,
)

poll = new_app("poll", "A bottled agent for every pull request, on hosts that no webhook can reach.")


def main() -> None:
    """The console script."""
    sys.exit(run_script(poll, name="poll"))


@poll.callback(
    invoke_without_command=True,
    epilog=examples_of(
        ["poll init", "poll doctor", "poll --once --dry-run", "poll --once --format json", "poll --metrics 9464"],
        more="Exit codes: 0 all well; 1 some turn failed; 2 usage or config; 3 the forge could not be reached; "
        "4 the forge refused the token; 5 another poller holds the lease; 70 a bug; 130 interrupted.",
    ),
)
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
    drain: Annotated[
        bool, typer.Option("--drain", help="Told to stop, wait for the turns that run; told twice, do not.")
    ] = False,
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
        if once or no_wait or dry_run or drain or metrics:
            mine = "--once, --no-wait, --dry-run, --drain and --metrics"
            raise UsageError(f"{mine} do not go with `{context.invoked_subcommand}`")
        return 0
    if (no_wait or dry_run) and not once:
        raise UsageError("--no-wait and --dry-run go with --once: poll --once …")
    if no_wait and dry_run:
        raise UsageError("--no-wait and --dry-run exclude each other: a dry run starts nothing")
    if once and metrics:
        raise UsageError("--metrics goes with the daemon, not with --once: run `poll`, or `poll status --format json`")
    if drain and (no_wait or dry_run):
        raise UsageError("--drain waits for turns: it does not go with --no-wait or --dry-run")
    settings = config_of(common)
    if once:
        with importing():
            from poller.verbs.once import once as poll_once
            from poller.verbs.once import rehearse

        if dry_run:
            return rehearse(settings, as_json=common.as_json)
        return poll_once(settings, wait=not no_wait, as_json=common.as_json, drain=drain)
    from poller.verbs.forever import forever

    return forever(settings, drain=drain, metrics=metrics)


add_verb(poll, "init", beginning.init, "poll init", "poll init --schema > bottlepost.schema.json")
add_verb(poll, "doctor", beginning.doctor, "poll doctor", "poll doctor --live", "poll doctor --format json")
add_verb(poll, "demo", beginning.demo, "poll demo", "poll demo --claude", without=["config", "format"])
add_verb(poll, "status", looking.status, "poll status", "poll status --format json")
add_verb(
    poll, "events", looking.events, "poll events --pull acme/api#7", "poll events --kind pull_request_comment/created",
    "poll events --since 24h --format jsonl", "poll events --limit 10 --follow",
)  # fmt: skip
add_verb(poll, "why", looking.why, "poll why acme/api#7", "poll why acme/api#7 --format json")
add_verb(poll, "simulate", looking.simulate, "poll simulate --config new.yaml --since 30d")
add_verb(
    poll, "report", looking.report, "poll report --out report.html", "poll report --since 7d > week.html"
)  # fmt: skip
add_verb(
    poll, "pause", steering.pause, "poll pause acme/api#7 --reason 'rewritten by hand'",
    "poll pause acme --reason 'release week'", "poll pause --reason maintenance",
)  # fmt: skip
add_verb(poll, "unpause", steering.unpause, "poll unpause acme/api#7", "poll unpause")
add_verb(poll, "reset", steering.reset, "poll reset acme/api#7", "poll reset acme/api#7 --agent reviewer --bottle")
add_verb(poll, "retry", steering.retry, "poll retry 12")
add_verb(
    poll, "replay", steering.replay, "poll replay acme/api#7 --dry-run", "poll replay acme/api#7",
    "poll replay acme/api#7 --from EVENT_ID --answered",
)  # fmt: skip


if __name__ == "__main__":
    main()

"""Verbs about what is kept: `build`, `commit`, `export`, `import`, `cleanup`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from sessions import completing, console
from sessions.shell import ConfigPath, Format, LogFormat, Verbose
from sessions.verbs import Identity, begun, database


def build(
    context: typer.Context,
    identity: Annotated[
        str | None,
        typer.Argument(
            metavar="[IDENTITY]",
            help="A bottle with a Dockerfile of its own.",
            show_default=False,
            autocompletion=completing.identities,
        ),
    ] = None,
    base: Annotated[str | None, typer.Option("--base", metavar="IMAGE", help="Build on this image.")] = None,
    tag: Annotated[str, typer.Option("--tag", metavar="TAG", help="Its name.")] = "bottlepost/claude:latest",
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Make the image that containers are started from (or that of a bottle's own Dockerfile); print its name."""
    from sessions import imaging

    if identity is None:
        options = context.obj.overlaid(config=config, format=format, log_format=log_format, verbose=verbose)
        made = imaging.build(base=base, tag=tag, environ=os.environ, say=console.note)
        console.say_made(options, image=made)
        return
    options, settings = begun(context, config=config, format=format, log_format=log_format, verbose=verbose)
    with database(settings) as engine:
        made = imaging.build_own(engine, settings, identity, environ=os.environ, say=console.note)
    console.say_made(options, image=made, identity=identity)


def commit(
    context: typer.Context,
    identity: Identity,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Freeze a container's file system as the image that the bottle boots from now on; print its name."""
    from sessions import imaging

    options, settings = begun(context, config=config, format=format, log_format=log_format, verbose=verbose)
    with database(settings) as engine:
        tag, note = imaging.commit(engine, settings, identity, environ=os.environ)
    console.say_made(options, image=tag, identity=identity, notes=[note] if note else [])


def export(
    context: typer.Context,
    identity: Identity,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="Where to [default: IDENTITY.bottle.tar].", show_default=False),
    ] = None,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Write a bottle (its state, its session, its conversation) into one file, to go on with on another machine."""
    from sessions import moving

    options, settings = begun(context, config=config, format=format, log_format=log_format, verbose=verbose)
    exported = moving.export(settings, identity, Path(file or f"{identity}.bottle.tar"), environ=os.environ)
    console.say_made(options, file=exported.file, identity=identity, notes=exported.notes)


def import_(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `bottle export` wrote.", show_default=False)],
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> None:
    """Take up a bottle that was exported on another machine; print its identity.  Overwrites nothing."""
    from sessions import moving

    options, settings = begun(context, config=config, format=format, log_format=log_format, verbose=verbose)
    imported = moving.take_up(settings, Path(file))
    console.say_made(options, identity=imported.identity, file=file, notes=imported.notes)


def cleanup(
    context: typer.Context,
    identities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IDENTITY]...", show_default=False, autocompletion=completing.identities),
    ] = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also what nobody owns: state, containers, copies of repositories.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigPath = None,
    format: Format = None,
    log_format: LogFormat = None,
    verbose: Verbose = 0,
) -> int:
    """Remove bottles and their state: those that were put away, or those named.  Lists them first."""
    from sessions import cleaning
    from sessions.byhand import collect_left, unknown

    options, settings = begun(context, config=config, format=format, log_format=log_format, verbose=verbose)
    with database(settings) as engine:
        collect_left(engine, settings, environ=os.environ)
        found = cleaning.look(
            engine,
            settings.state,
            identities or [],
            orphans=orphans,
            now=time.time(),
            environ=os.environ,
            agents=settings.agents,
        )
        for name in found.unknown:
            raise unknown(name, settings.state)
        if found.trouble:
            console.complain(found.trouble)
        if not options.as_json:
            console.say_candidates(found.candidates)
        going = [one for one in found.candidates if one.goes]
        is_agreed = bool(going) and console.agreed(len(going), yes=yes, ask=not options.as_json)
        gone = []
        if is_agreed:
            gone = cleaning.clean(
                engine, settings.state, going, now=time.time(), environ=os.environ, agents=settings.agents
            )
    left = [one.name for one in going if one.name not in gone] if is_agreed else []
    if options.as_json:
        typer.echo(json.dumps({"found": msgspec.to_builtins(found.candidates), "removed": gone, "left": left}))
    elif is_agreed:
        typer.echo(f"removed: {', '.join(gone) or 'nothing'}")
    if left:
        console.complain(f"not removed: {', '.join(left)}; call it again when nothing of it runs (-v says more)")
    return 1 if left else 0

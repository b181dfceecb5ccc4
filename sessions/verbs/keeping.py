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
from sessions.shell import Common
from sessions.verbs import Identity, database, settings_of


def build(
    options: Common,
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
) -> None:
    """Make the image that containers are started from (or that of a bottle's own Dockerfile); print its name."""
    from sessions import imaging

    if identity is None:
        made = imaging.build(base=base, tag=tag, environ=os.environ, say=console.note)
        console.say_made(options, image=made)
        return
    settings = settings_of(options)
    with database(settings) as engine:
        made = imaging.build_own(engine, settings, identity, environ=os.environ, say=console.note)
    console.say_made(options, image=made, identity=identity)


def commit(options: Common, identity: Identity) -> None:
    """Freeze a container's file system as the image that the bottle boots from now on; print its name."""
    from sessions import imaging

    settings = settings_of(options)
    with database(settings) as engine:
        tag, note = imaging.commit(engine, settings, identity, environ=os.environ)
    console.say_made(options, image=tag, identity=identity, notes=[note] if note else [])


def export(
    options: Common,
    identity: Identity,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="Where to [default: IDENTITY.bottle.tar].", show_default=False),
    ] = None,
) -> None:
    """Write a bottle (its state, its session, its conversation) into one file, to go on with on another machine."""
    from sessions import moving

    settings = settings_of(options)
    exported = moving.export(settings, identity, Path(file or f"{identity}.bottle.tar"), environ=os.environ)
    console.say_made(options, file=exported.file, identity=identity, notes=exported.notes)


def import_(
    options: Common,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What `bottle export` wrote.", show_default=False)],
) -> None:
    """Take up a bottle that was exported on another machine; print its identity.  Overwrites nothing."""
    from sessions import moving

    settings = settings_of(options)
    imported = moving.take_up(settings, Path(file))
    console.say_made(options, identity=imported.identity, file=file, notes=imported.notes)


def cleanup(
    options: Common,
    identities: Annotated[
        list[str] | None,
        typer.Argument(metavar="[IDENTITY]...", show_default=False, autocompletion=completing.identities),
    ] = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also what nobody owns: state, containers, copies of repositories.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Remove bottles and their state: those that were put away, or those named.  Lists them first."""
    from sessions import cleaning
    from sessions.byhand import collect_left, unknown

    settings = settings_of(options)
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

"""What both scripts share at the command line: common options, and how failures become a line and an exit code.

Knows typer.  Must not know any verb.  Expected failures carry `exit_code`; everything else is a bug, and says so.
"""

from __future__ import annotations

import gc
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from sessions import __version__, files
from sessions.logs import escaped, redacted, set_up

OutputFormat = Literal["text", "json"]

ConfigPath = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="The config file [default: config.yaml, or $BOTTLEPOST_CONFIG]."),
]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="More log lines on stderr; twice: all.")]
LogFormat = Annotated[
    Literal["text", "json"] | None, typer.Option("--log-format", help="Log lines as key=value or as JSON.")
]
Format = Annotated[OutputFormat | None, typer.Option("--format", help="Answer as text, or as JSON for programs.")]


_SHARED = [
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("config", None, ConfigPath), ("format", None, Format), ("log_format", None, LogFormat), ("verbose", 0, Verbose)
    )
]  # fmt: skip


class UsageError(Exception):
    """The words of the call do not fit; one line with the mend."""

    exit_code = 2


class Common(msgspec.Struct, kw_only=True):
    """The options that may stand before or behind the verb; what stands behind wins."""

    config: str | None = None
    format: OutputFormat | None = None
    log_format: Literal["text", "json"] | None = None
    verbose: int = 0

    def overlaid(
        self,
        *,
        config: str | None = None,
        format: OutputFormat | None = None,
        log_format: Literal["text", "json"] | None = None,
        verbose: int = 0,
    ) -> Common:
        """These options with those behind the verb over them; logging is set up by what comes out."""
        both = Common(
            config=config or self.config,
            format=format or self.format,
            log_format=log_format or self.log_format,
            verbose=max(verbose, self.verbose),
        )
        set_up(verbose=both.verbose, log_format=both.log_format or "text")
        return both

    @property
    def path(self) -> Path:
        """The config file."""
        return Path(self.config or os.environ.get("BOTTLEPOST_CONFIG") or "config.yaml")

    @property
    def as_json(self) -> bool:
        return self.format == "json"


@contextmanager
def importing() -> Iterator[None]:
    """While modules are made nothing of them is garbage: looking for it costs a tenth of the start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def show_version(asked: bool) -> None:
    """`--version`: print and leave."""
    if asked:
        print(f"bottlepost {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and leave.")
]


def new_app(name: str, help: str) -> typer.Typer:
    """A script's typer app: plain help, no pretty tracebacks (they print local variables, and with them secrets)."""
    return typer.Typer(
        name=name,
        help=help,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add_verb(
    app: typer.Typer, name: str, verb: Callable[..., Any], *examples: str, without: Sequence[str] = ()
) -> None:
    """Give a verb its name, the options that all share, and its help an end: calls to begin with, a line each."""
    app.command(name, epilog=examples_of(examples))(sharing(verb, without=without))


def sharing(verb: Callable[..., Any], *, without: Sequence[str] = ()) -> Callable[..., Any]:
    """The verb as typer reads it: in the place of its first parameter, `options`, it takes those that all share.

    What the verb itself takes under the same name, or what is named in `without`, is not added."""
    own = list(inspect.signature(verb, eval_str=True).parameters.values())[1:]
    shared = [one for one in _SHARED if one.name not in {*without, *(mine.name for mine in own)}]

    def called(context: typer.Context, **given: Any) -> Any:
        before: Common = context.obj or Common()
        context.obj = before.overlaid(**{one.name: given.pop(one.name) for one in shared})
        return verb(context.obj, **given)

    first = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    taken = [first, *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *shared))]
    called.__name__, called.__doc__ = verb.__name__, verb.__doc__
    called.__annotations__ = {one.name: one.annotation for one in taken}
    called.__signature__ = inspect.Signature(taken)  # type: ignore[attr-defined]
    return called


def examples_of(calls: Sequence[str], *, more: str = "") -> str:
    """The end of a help text; `\b` keeps its lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {call}" for call in calls) + (f"\n\n{more}" if more else "")


def run_script(app: typer.Typer, *, name: str) -> int:
    """Run a script to its exit code: the contract's for expected failures, 70 for a bug, 130 for an interrupt."""
    try:
        code = app(prog_name=name, standalone_mode=False)
        sys.stdout.flush()  # here, where a reader that has gone is nobody's fault
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _unheard()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer's answer to it is 1, which means something else here
            return _unheard()
        raise
    except Exception as failure:
        return _failed(failure, name=name)
    return code if isinstance(code, int) else 0


def _unheard() -> int:
    """Whoever read our output has had enough: what is left of it goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _failed(failure: Exception, *, name: str) -> int:
    message: Callable[[], str] | None = getattr(failure, "format_message", None)
    code = getattr(failure, "exit_code", None)
    if message is not None and isinstance(code, int):  # typer's own, or click's below it: a wrong option or verb
        path = getattr(getattr(failure, "ctx", None), "command_path", name)
        print(f"{name}: {_misused(message(), path=path)}", file=sys.stderr)
        return code
    if type(failure).__name__ == "Abort":
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    if isinstance(code, int):
        print(f"{name}: {redacted(str(failure))}", file=sys.stderr)
        return code
    if isinstance(failure, OSError) and files.is_of_the_world(failure):
        print(f"{name}: {redacted(files.told(failure))}", file=sys.stderr)
        return 2
    _report(failure, name=name)
    return 70


def _misused(message: str, *, path: str) -> str:
    """The library's sentence in our words: one line, with the mend."""
    said = escaped(redacted(" ".join(message.split()))).removesuffix(".")
    return f"{said[:1].lower()}{said[1:]}{'' if said.endswith('?') else ';'} `{path} -h` shows how"


def _report(bug: Exception, *, name: str) -> None:
    import platform
    import traceback

    lines = "".join(traceback.format_exception(bug))
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    print(
        f"{name}: a bug in bottlepost; nothing half done was kept. Please report everything between the lines.\n"
        f"--- 8< ---\nbottlepost {__version__}, {system}\n{redacted(lines)}--- >8 ---",
        file=sys.stderr,
    )

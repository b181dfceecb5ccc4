"""The help: every verb says what it does and how it is called, in calls that exist."""

from __future__ import annotations

import shlex
from typing import Any

import pytest
import typer.main

from poller.__main__ import poll
from sessions.__main__ import app as bottle

SCRIPTS = {"poll": typer.main.get_command(poll), "bottle": typer.main.get_command(bottle)}
VERBS = [(script, name) for script, group in SCRIPTS.items() for name in getattr(group, "commands", {})]


def examples(command: Any) -> list[str]:
    """The calls at the end of a help text."""
    _, _, after = (command.epilog or "").partition("Examples:\n")
    return [line.strip() for line in after.partition("\n\n")[0].splitlines()]


def parsed(script: str, words: list[str]) -> str:
    """The verb of a call whose words and options are all known."""
    group: Any = SCRIPTS[script]
    with group.make_context(script, list(words), resilient_parsing=False) as context:
        before = context._protected_args if hasattr(context, "_protected_args") else context.protected_args
        rest = [*before, *context.args]
        if not rest:
            return ""
        name, verb, more = group.resolve_command(context, rest)
        verb.make_context(name, more, parent=context)
        return str(name)


@pytest.mark.parametrize(("script", "name"), VERBS, ids=" ".join)
def test_a_verb_says_what_it_does_and_shows_calls_that_exist(script: str, name: str) -> None:
    command: Any = SCRIPTS[script].commands[name]  # type: ignore[attr-defined]
    assert command.help and command.help.strip()
    calls = examples(command)
    assert calls
    for call in calls:
        words = shlex.split(call.rpartition(" | ")[2].partition(" > ")[0])
        assert (words[0], parsed(script, words[1:])) == (script, name), call


@pytest.mark.parametrize(("script", "name"), VERBS, ids=" ".join)
def test_a_verb_takes_the_options_that_all_of_them_share(script: str, name: str) -> None:
    command: Any = SCRIPTS[script].commands[name]  # type: ignore[attr-defined]
    taken = {option for parameter in command.params for option in parameter.opts}
    shared = {"--config", "--format", "--log-format", "-v"}
    if name == "demo":  # it writes its own config, and tells a story
        shared -= {"--config", "--format"}
    assert shared <= taken


def test_the_scripts_own_calls_exist() -> None:
    for call in examples(SCRIPTS["poll"]):
        assert parsed("poll", shlex.split(call)[1:]) in ("", *getattr(SCRIPTS["poll"], "commands", {})), call


def test_lines_of_examples_stay_lines() -> None:
    context = SCRIPTS["poll"].make_context("poll", ["pause"], resilient_parsing=True)
    shown = SCRIPTS["poll"].commands["pause"].get_help(context)  # type: ignore[attr-defined]
    assert "\n  Examples:\n    poll pause acme/api#7 --reason 'rewritten by hand'\n" in shown

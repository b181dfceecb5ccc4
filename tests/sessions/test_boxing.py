"""The keys of bottles in the config: a mistake in one is found before anything is touched."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from sessions.boxing import Runner, bytes_of, filled
from sessions.config import Agent, ConfigError, load_settings
from sessions.patience import while_beating


def agent_of(tmp_path: Path, text: str) -> Agent:
    file = tmp_path / "config.yaml"
    file.write_text(f"agents: {{r: {text}}}\n", encoding="utf-8")
    return load_settings(file, environ={"HOME": str(tmp_path)}).agents["r"]


def test_limits_of_a_container_are_left_to_the_backend_unless_written(tmp_path: Path) -> None:
    limits = agent_of(tmp_path, "{}").limits
    assert (limits.memory, limits.cpus, limits.pids) == (None, None, None)
    limits = agent_of(tmp_path, "{limits: {memory: 512M, cpus: 0.5, pids: 100}}").limits
    assert (limits.memory, limits.cpus, limits.pids) == ("512m", 0.5, 100)
    assert bytes_of("512m") == 512 * 2**20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{limits: {memory: 512}}",
            "agents.r.limits.memory: found 512, expected a size such as 512m or 4g; write a whole",
        ),
        ("{limits: {memory: 0g}}", "found '0g', expected a size such as 512m or 4g"),
        ("{limits: {cpus: 0}}", "agents.r.limits.cpus: found 0, expected a number above 0 or null"),
        ("{limits: {pids: 0}}", "agents.r.limits.pids: found 0, expected a whole number, 1 or more or null"),
        (
            "{network: 'container:x'}",
            "agents.r.network: found 'container:x', expected none, bridge, or a network's name",
        ),
        (
            "{image: Bad Image}",
            "agents.r.image: found 'Bad Image', expected the name of an image, such as bottlepost/c",
        ),
        ("{image: acme/Claude}", "agents.r.image: found 'acme/Claude', expected the name"),
        ("{image: 'claude:'}", "agents.r.image: found 'claude:', expected the name"),
        ("{image: ''}", "agents.r.image: found an empty text, expected the name"),
        ("{extra_hosts: ['x']}", "agents.r.extra_hosts[0]: found 'x', expected name:address, or name:host-gateway"),
        ("{extra_hosts: ['a:b c']}", "agents.r.extra_hosts[0]: found 'a:b c'"),
        ("{backend: command}", "agents.r.command.start: found nothing, expected the words of a command; for example ["),
        (
            "{command: {start: ['{sesion}']}}",
            "agents.r.command.start[0]: found '{sesion}', expected a text; it may hold",
        ),
        ("{command: {stop: [x, 'a{args}']}}", "command.stop[1]: found 'a{args}', expected a text; it may hold "),
        ("{command: {stop: ['{identity']}}", "command.stop[0]: found '{identity', expected"),
        ("{command: {stop: ['{}']}}", "command.stop[0]: found '{}', expected"),
        ("{command: {stop: ['{key.x}']}}", "command.stop[0]: found '{key.x}', expected"),
        ("{command: {stop: ['{key!r}']}}", "command.stop[0]: found '{key!r}', expected"),
        ("{command: {begin: [x]}}", "agents.r.command.begin: found an unknown key"),
    ],
)
def test_mistake_is_named_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        agent_of(tmp_path, text)
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "debian",
        "debian:trixie-slim",
        "bottlepost/claude:latest",
        "localhost:5000/acme/claude_1.2--x:V1.0_a",
        "Registry.example.com/a/b/c@sha256:" + "0aF9" * 16,
        "[::1]:5000/claude",
        "sha256:" + "0af9" * 16,
    ],
)
def test_image_is_named_as_engines_name_it(tmp_path: Path, name: str) -> None:
    assert agent_of(tmp_path, f"{{image: '{name}'}}").image == name


def test_unknown_placeholder_is_answered_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\{sesion\} is none of \{agent\}, \{identity\}, \{session\}"):
        agent_of(tmp_path, "{command: {start: ['{sesion}']}}")


def test_values_are_words_whatever_is_in_them() -> None:
    values = {"key": "a b; $(x) {session}", "session": "no"}
    assert filled(("run", "--on={key}", "{{x}}", "{args}"), values, ("-p", "{key}")) == [
        "run",
        "--on=a b; $(x) {session}",
        "{x}",
        "-p",
        "{key}",
    ]


def test_runner_of_the_config_is_kept_as_written(tmp_path: Path) -> None:
    agent = agent_of(tmp_path, "{backend: command, command: {start: [x, '{args}'], stop: [y]}}")
    assert agent.command == Runner(start=("x", "{args}"), stop=("y",))


def test_holder_beats_until_the_work_is_done_and_raises_what_it_raised() -> None:
    beats: list[float] = []
    enough = threading.Event()

    def beat() -> None:
        beats.append(time.monotonic())
        if len(beats) == 3:
            enough.set()

    while_beating(lambda: enough.wait(30) and None, every=0.01, beat=beat)
    assert len(beats) >= 3

    def fail() -> None:
        raise ValueError("so")

    with pytest.raises(ValueError, match="so"):
        while_beating(fail, every=10, beat=beat)
    with pytest.raises(ValueError, match="so"):
        while_beating(lambda: None, fail, every=10, beat=beat)


def test_works_of_one_holder_are_done_side_by_side() -> None:
    both = threading.Barrier(2, timeout=30)
    while_beating(lambda: both.wait() and None, lambda: both.wait() and None, every=10, beat=lambda: None)

"""`poll demo`: one pull request's life, told while the real pipeline works on it.

Nothing inside is mocked: the stand-in Gitea is spoken to over HTTP on loopback, the state is a real database, the agent
a real process.  Only the agent's words are scripted, unless the real CLI is asked for.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from poller.app import App
from poller.config import load
from poller.demo import installing
from poller.demo.pulls import Pull
from poller.demo.server import Server
from poller.demo.world import World
from poller.record import Told
from poller.verbs.screen import event_line
from sessions import registry
from sessions.bottles.process import find_claude
from sessions.database import reading
from sessions.turns import Progress

#: What passes into the bottle when the real CLI is to use the login of whoever calls.
LOGIN = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN")
CONFIG = """\
gitea: {{url: "{url}", token: "${{DEMO_TOKEN}}"}}
repos: [acme/api]
state: state
trust: {{who: [ana, ben], forks: never}}
agents:
  reviewer:
    on: [opened, synchronized, mentioned, rejected]
    backend: process
    checkout: false  # the stand-in has no git side
    env: [{env}]
    limits: {{turns: 10, minutes: 5, usd: 0.50}}
"""


class NoClaude(Exception):
    """`--claude` was asked for, and there is none."""

    exit_code = 2


class Scene(msgspec.Struct, frozen=True):
    """One act on the pull, and what the scripted agent says if it is woken."""

    title: str
    act: Callable[[Pull], object]
    answer: str = ""


SCENES = (
    Scene(
        "ana pushes a second commit",
        lambda pull: pull.push(by="ana"),
        "The new commit adds the test I missed. `greet()` still fails for an empty name.",
    ),
    Scene("ben comments, and does not mention the bot", lambda pull: pull.comment("Nice, thanks!", by="ben")),
    Scene(
        "ben mentions the bot",
        lambda pull: pull.comment("@bot how should an empty name be greeted?", by="ben"),
        "As `Hello stranger`: the other callers of `greet()` do the same.",
    ),
    Scene(
        "ben reviews and requests changes",
        lambda pull: pull.review(
            by="ben", event="REQUEST_CHANGES", body="Please handle the empty name.",
            inline=[("README.md", 1, "Say here what happens without a name.")],
        ),
        "Understood: an empty name becomes `stranger` and the README says so in its first line.",
    ),
    Scene("ana merges", lambda pull: pull.merge(by="ana")),
)  # fmt: skip
OPENED = "I have read the change: `greet()` now takes a name. A test for it would be good."


def demo(*, claude: bool, verbose: bool) -> int:
    """Tell the story; 0 if it went as it should, 1 if a turn failed."""
    environ = dict(os.environ)
    if claude:
        _borrow_login(environ)
    if not verbose:
        for room in ("poller", "sessions"):  # the story says it better; warnings still show
            logging.getLogger(room).setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="bottlepost-demo-") as there:
        home = Path(there)
        if not claude:
            environ["PATH"] = f"{installing.install(home / 'bin').parent}{os.pathsep}{environ.get('PATH', '')}"
        world = _world()
        environ["DEMO_TOKEN"] = world.token("bot", scopes="read:user,write:issue,write:repository")
        with world.serve() as server:
            return _Stage(home, world, server, environ, scripted=not claude).play()


def _world() -> World:
    world = World()
    for login in ("ana", "ben", "bot"):
        world.user(login)
    world.org("acme")
    world.repo("acme/api", private=True, collaborators={"ana": "write", "ben": "write", "bot": "write"})
    world.clock.set("2026-11-21T09:00:00Z")
    return world


def _borrow_login(environ: dict[str, str]) -> None:
    """The bottle has a config directory of its own, so a login of the caller must be handed to it by name."""
    if find_claude(environ.get("PATH")) is None:
        raise NoClaude("no `claude` on PATH and none installed; pip install '.[claude]' in bottlepost's checkout")
    if any(environ.get(name) for name in LOGIN if name != "ANTHROPIC_BASE_URL"):
        return
    kept = Path(environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude") / ".credentials.json"
    try:
        environ["CLAUDE_CODE_OAUTH_TOKEN"] = json.loads(kept.read_text())["claudeAiOauth"]["accessToken"]
    except (OSError, ValueError, KeyError, TypeError):
        raise NoClaude("no login for the real CLI; set ANTHROPIC_API_KEY, or run `claude` once and log in") from None


class _Stage:
    def __init__(self, home: Path, world: World, server: Server, environ: dict[str, str], *, scripted: bool) -> None:
        self._world, self._url, self._environ, self._scripted = world, server.url, environ, scripted
        env = "DEMO_AGENT" if scripted else ", ".join(name for name in LOGIN if environ.get(name))
        config = home / "config.yaml"
        config.write_text(CONFIG.format(url=server.url, env=env))
        self._config = load(config, environ=environ)
        self._ended: list[Progress] = []
        self._failed = 0

    def play(self) -> int:
        apart = "Nothing leaves this machine." if self._scripted else "The prompts go to the model's service."
        _say(f"A pull request's life, on a stand-in Gitea at {self._url}. {apart}")
        with App(self._config, environ=self._environ, on_turn=self._on_turn) as app:
            app.cycle.run()
            _say("\nThe poller has taken its baseline of acme/api: what is there already is history.")
            repo = self._world.repos["acme/api"]
            self._next_minute()
            self._headline("ana opens a pull request")
            pull = repo.open_pull(by="ana", title="Greet by name", body="Callers asked for it.", head="greet")
            self._scene(app, pull, OPENED)
            for scene in SCENES:
                self._next_minute()
                self._headline(scene.title)
                scene.act(pull)
                self._scene(app, pull, scene.answer)
            self._curtain(app)
        return 1 if self._failed else 0

    def _next_minute(self) -> None:
        self._world.clock.advance(seconds=60)

    def _headline(self, text: str) -> None:
        _say(f"\n● {text}")

    def _scene(self, app: App, pull: Pull, answer: str) -> None:
        self._environ["DEMO_AGENT"] = f"say {answer}" if answer else ""
        for told in app.cycle.run().told:
            self._event(told)
        tally = app.turns(wait=True, stop=threading.Event())
        self._failed += tally.failed
        app.post()
        said = {row.id: row.body for row in pull.comments}
        with reading(app.engine) as conn:
            for progress in self._ended:
                self._turn(progress)
                turn = registry.turn(conn, progress.turn.id)
                for posted in turn.posted if turn is not None else ():
                    words = said.get(int(posted.removeprefix("comment ")), "").partition("\n")[0]
                    _line("posted", f"{posted}: {words}")
        self._ended.clear()

    def _event(self, told: Told) -> None:
        _line("event", event_line(told.event).partition(" ")[2])
        for decision in told.decisions:
            _line("decision", f"{decision.verdict}{f' {decision.agent}' if decision.agent else ''}: {decision.reason}")

    def _turn(self, progress: Progress) -> None:
        turn, session = progress.turn, progress.session
        how = "fresh" if turn.mode == "fresh" else "resumed"
        took = f" in {turn.ended_at - turn.started_at:.1f} s" if turn.ended_at and turn.started_at else ""
        what = f"{how} session {session.claude_session}, bottle {session.identity}: {turn.state}{took}"
        _line(f"turn {turn.id}", what + (f" ({turn.reason})" if turn.reason else ""))

    def _on_turn(self, progress: Progress) -> None:
        if progress.what == "ended":
            self._ended.append(progress)
        elif progress.what == "running" and not self._scripted and sys.stdout.isatty():
            sys.stdout.write(f"\r    … {progress.elapsed:.0f} s\r")
            sys.stdout.flush()

    def _curtain(self, app: App) -> None:
        with reading(app.engine) as conn:
            for session in registry.sessions(conn, all=True):
                _line("bottle", f"{session.identity} is put away ({session.closed_why}) after {session.turns} turns; "
                      "a reopened pull within 7 days finds it again")  # fmt: skip
            turns = registry.turns(conn)
        _say(
            f"\n{len(turns)} turns, one bottle, one conversation. Every other event is in the log with the reason why "
            "it woke nobody.\n\nNext, with your own Gitea or Forgejo:\n"
            "  poll init            write a commented config.yaml\n"
            "  poll doctor          check it: token, repositories, agent, and how to mend what is wrong\n"
            "  poll --once          one cycle (cron, CI); `poll` alone runs for ever\n"
            "  poll demo --claude   this story with the real Claude CLI and your login"
        )


def _line(label: str, text: str) -> None:
    _say(f"    {label:<9} {text}")


def _say(text: str) -> None:
    print(text, flush=True)

"""Runs of agents that happen when they are told to: the world outside of the processes that look after them.

What is in the cellar outlives every one of these.  It is spoken to as every other bottle is, and writes the same files.
Must not know rows.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from sessions import state
from sessions.bottles import Sight
from sessions.transcript import PROJECT
from sessions.turns import Launch
from tests.chaos.agent import tokens_in


class Run(msgspec.Struct, kw_only=True):
    """One launch.  `how`: running, done, killed (with an exit code), cut (without one), or forbidden."""

    turn: int
    identity: str
    conversation: str
    directory: Path
    bottle: Path
    how: str = "running"


class Cellar:
    """`step(what)` is called before all that is done here on somebody's behalf; who is dead, is stopped there."""

    def __init__(self, step: Callable[[str], None]) -> None:
        self._step = step
        self.runs: dict[Path, Run] = {}
        self.wrong: list[str] = []
        self._moved = threading.Condition()
        #: Threads that wait here for the end of a run, and may not go on.
        self.waiting = 0
        self._let_go = 0

    def bottle_for(self, backend: str, **_: object) -> Cellar:
        return self

    @property
    def running(self) -> list[Run]:
        return [run for run in self.runs.values() if run.how == "running"]

    # -- as the workers see it -----------------------------------------------------------------------------------

    def check(self, agent: object = None) -> None:
        """Always."""

    def start(self, launch: Launch) -> None:
        self._step("bottle")
        if launch.directory in self.runs:
            return
        number = int(launch.directory.name.partition("-")[0])
        run = Run(
            turn=number, identity=launch.identity, conversation=launch.claude_session, directory=launch.directory,
            bottle=launch.bottle,
        )  # fmt: skip
        for other in self.runs.values():
            if other.identity == run.identity and other.how == "running":
                self.wrong.append(f"{run.directory.name} beside {other.directory.name} in {run.identity}")
            if other.turn == run.turn and other.how == "done":
                self.wrong.append(f"{run.directory.name} although {other.directory.name} had answered")
            prompt = (run.directory / "prompt.md").read_text()
            if other.turn == run.turn and other.how in ("killed", "cut") and "This is a repeat" not in prompt:
                self.wrong.append(f"{run.directory.name} does not say that it is a repeat")
        self.runs[launch.directory] = run
        self._step("bottle")

    def look(self, launch: Launch) -> Sight:
        run = self.runs.get(launch.directory)
        if run is None:
            return Sight(state="not started")
        if run.how in ("done", "killed"):
            return Sight(state="ended", exit=0 if run.how == "done" else 137)
        return Sight(state="running" if run.how == "running" else "cut off")

    def wait(self, launch: Launch, seconds: float) -> None:
        """Until somebody lets one of those that wait go on, however long that takes."""
        with self._moved:
            self.waiting += 1
            self._moved.notify_all()
            self._moved.wait_for(lambda: self._let_go > 0)
            self._let_go -= 1

    def forbid(self, launch: Launch) -> bool:
        self._step("bottle")
        launch.directory.mkdir(parents=True, exist_ok=True)
        run = self.runs.setdefault(
            launch.directory,
            Run(turn=0, identity=launch.identity, conversation="", directory=launch.directory, bottle=launch.bottle,
                how="forbidden"),
        )  # fmt: skip
        return run.how == "forbidden"

    def stop(self, launch: Launch, *, grace: float) -> None:
        self._step("bottle")
        run = self.runs.get(launch.directory)
        if run is not None and run.how == "running":
            run.how = "killed"

    def sweep(self, launch: Launch) -> None:
        self._step("bottle")

    def clear(self, launch: Launch) -> None:
        self._step("bottle")

    def destroy(self, bottle: Path, agent: object = None) -> None:
        self._step("bottle")

    # -- as the world sees it ------------------------------------------------------------------------------------

    def end(self, run: Run, how: str) -> None:
        """The agent has heard its prompt, and (`done`) answered; or it was killed, or cut off with its keeper."""
        prompt = (run.directory / "prompt.md").read_text()
        place = state.config_dir(run.bottle) / "projects" / PROJECT / f"{run.conversation}.jsonl"
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("a") as file:
            file.write(json.dumps({"type": "user", "message": prompt[:200], "uuid": str(uuid.uuid4())}) + "\n")
        if how == "done":
            said = {"type": "result", "subtype": "success", "is_error": False, "session_id": run.conversation}
            said |= {"result": f"answers: {tokens_in(prompt)}", "num_turns": 1, "total_cost_usd": 0.01}
            (run.directory / "out.jsonl").write_text(json.dumps(said) + "\n")
        run.how = how

    def let_go(self) -> None:
        """One of those that wait goes on."""
        with self._moved:
            self.waiting -= 1
            self._let_go += 1
            self._moved.notify_all()

    def until(self, condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
        """`condition` is looked at whenever somebody begins or ends to wait."""
        with self._moved:
            assert self._moved.wait_for(condition, seconds), "nobody comes to the end of what he does"

    def tell(self) -> None:
        """Something has changed that others may wait for."""
        with self._moved:
            self._moved.notify_all()

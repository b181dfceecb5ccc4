"""However a history is cut into polls, the same events come out of it, but for collapses that have a name."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import Phase, event, example, given, note, settings
from hypothesis import strategies as st

from poller.deltas.diff import NEVER, shallow
from poller.deltas.events import Event
from poller.demo.world import World
from poller.forge.questions import Questions
from poller.store import Place
from tests.examples import examples
from tests.poller.deltas.acts import MOVES, do
from tests.poller.deltas.collapses import Collapses
from tests.poller.deltas.plays import Move, Play
from tests.poller.deltas.readers import EVERYTHING, Interruptible, Reader

VERSIONS = ["1.22.6", "1.25.4", "1.26-dev"]
WRITERS = {"ana": "write", "ben": "write", "cyd": "write", "bot": "write"}

#: What makes the rest void (a merge) comes last if at all; what makes less to compare comes seldom.
USUAL = [name for name in MOVES if name not in ("merge", "silent push", "pause")]
moves = st.builds(
    Move,
    what=st.sampled_from([*USUAL * 3, "push", "comment", "reply", "reopen", "submit review", "silent push", "pause"]),
    who=st.integers(0, 2),
    pick=st.integers(0, 14),
    wait=st.sampled_from([0, 0, 1, 1, 2, 3]),
)
#: A whole history costs some hundred requests.
some = settings(
    max_examples=examples(30),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


class Grounds:
    """One server for many histories, each on a repository and at a time of its own."""

    def __init__(self, client: Interruptible, world: World) -> None:
        self.client, self.questions, self.world = client, Questions(client), world
        self._counter = itertools.count(1)

    def play(self, *, lag: int) -> Play:
        self.world.push_lag = 0
        self.world.clock.advance(seconds=5000)
        self.world.webhooks.clear()
        repo = self.world.repo(f"acme/api{next(self._counter)}", private=True, collaborators=WRITERS)
        repo.branch("develop")
        for name in ("bug", "ui", "api"):
            repo.label(name)
        self.world.push_lag = lag
        return Play(self.world, repo)

    def reader(self, play: Play, *, boundary: str = EVERYTHING) -> Reader:
        now = self.world.clock.text()
        return Reader(self.questions, repo_id=play.repo.id, cursor=now, boundary=boundary)


@pytest.fixture(scope="module", params=VERSIONS)
def grounds(request: pytest.FixtureRequest) -> Iterator[Grounds]:
    world = World(version=request.param)
    world.clock.set("2026-11-21T07:00:00Z")
    with world.serve() as server, closing(Interruptible(server.url, world.token("bot"))) as client:
        yield Grounds(client, world)


@some
@given(
    opening=st.integers(0, 11),
    script=st.lists(st.tuples(moves, st.booleans()), min_size=2, max_size=24),
    merged=st.booleans(),
    lag=st.sampled_from([0, 0, 1, 2]),
)
def test_any_partition_of_a_history_gives_the_same_events(
    grounds: Grounds, opening: int, script: list[tuple[Move, bool]], merged: bool, lag: int
) -> None:
    play = grounds.play(lag=lag)
    eager, lazy, other = (grounds.reader(play) for _ in range(3))
    play.open(pick=opening)
    eager.poll()
    last = [(Move("merge", 0, 0, 1), True)] if merged else []
    for move, looks in [*script, *last]:
        if not do(play, move):
            continue
        note(f"{play.world.clock.text()} {move}")
        eager.poll()
        if looks:
            other.poll()
    settle(play, eager, lazy, other)
    collapses = Collapses(play.truth())
    expected = collapses.story(eager.told)
    assert expected[0][2] == "opened"
    assert collapses.story(lazy.told) == expected
    assert collapses.story(other.told) == expected
    assert names_of_events(eager.told, play) == names_of_webhooks(play)
    for name, count in collapses.counts.items():
        event(f"collapse: {name}", payload=count)


@some
@given(
    before=st.lists(moves, max_size=8),
    after=st.lists(moves, max_size=12),
    paused=st.booleans(),
    lag=st.sampled_from([0, 0, 1]),
)
def test_who_begins_to_watch_in_the_middle_is_told_of_what_comes_then(
    grounds: Grounds, before: list[Move], after: list[Move], paused: bool, lag: int
) -> None:
    play = grounds.play(lag=lag)
    eager, late = grounds.reader(play), grounds.reader(play, boundary=NEVER)
    play.open(pick=0)
    for move in before:
        do(play, move)
    if paused:
        do(play, Move("pause", 0, 0, 0))
    eager.poll()
    begun = len(eager.told)
    if paused:  # of a quiet pull the first cycle reads its row only
        remember_shallowly(grounds, late, play)
    else:
        late.poll()
    assert late.told == []
    for move in after:
        if do(play, move):
            eager.poll()
    settle(play, eager, late)
    collapses = Collapses(play.truth())
    assert collapses.story(late.told) == collapses.story(eager.told, since=begun)


#: Between two requests of one look, on the oldest server: a push without a row of its own, and one upon it.
UPON = [Move("noise", 0, int(nth == 1), 0) for nth in range(6)] + [Move("silent push", 0, 0, 0), Move("push", 0, 0, 0)]


@some
@given(
    opening=st.integers(0, 11),
    script=st.lists(st.tuples(moves, st.integers(0, 3)), max_size=16),
    lag=st.sampled_from([0, 0, 1]),
)
@example(opening=0, script=[(move, 0) for move in UPON], lag=0)
def test_what_happens_between_the_requests_of_one_look_is_told_once_too(
    grounds: Grounds, opening: int, script: list[tuple[Move, int]], lag: int
) -> None:
    play = grounds.play(lag=lag)
    lazy, torn = grounds.reader(play), grounds.reader(play)
    play.open(pick=opening)
    acts = deque(script)
    requests = 0

    def act() -> None:
        nonlocal requests
        requests -= 1
        if requests < 0 and acts:
            move, requests = acts.popleft()
            do(play, move)
            note(f"{play.world.clock.text()} {move}")

    with grounds.client.interrupted(act):
        while acts:
            note("poll")
            torn.poll()
    settle(play, torn, lazy)
    collapses = Collapses(play.truth())
    assert collapses.bag(torn.told) == collapses.bag(lazy.told)


def remember_shallowly(grounds: Grounds, reader: Reader, play: Play) -> None:
    row = grounds.questions.search(state="open").rows.get((play.repo.id, play.pull.number))
    if row is None:  # of a closed one nothing at all
        reader.boundary = grounds.world.clock.text()
        return
    known = shallow(row)
    reader.places[row.place] = Place(
        repo_id=row.repo_id, number=row.number, repo=row.repo, boundary=known.boundary, known=known,
        due_at=None, errors=0, error="",
    )  # fmt: skip


def settle(play: Play, *readers: Reader) -> None:
    """Everything is read to its end: then nothing is due any more, and another look brings nothing.

    Edits move no stamp, so a last act makes everybody look once more.
    """
    do(play, Move("comment", 0, 0, 3))
    play.world.clock.advance(seconds=3)
    for reader in readers:
        reader.poll()
    for _ in range(2):
        play.world.clock.advance(seconds=400)
        for reader in readers:
            reader.poll()
            assert reader.due() == [] or play.loose
    play.world.clock.advance(seconds=400)
    for reader in readers:
        assert reader.poll().looks == []


def names_of_webhooks(play: Play) -> list[tuple[str, str]]:
    """The deliveries; `label_cleared` leaves the same rows as an update."""
    said = [(hook["event_type"], hook["action"]) for hook in play.world.webhooks]
    named = ((name, "labels" if name == "pull_request_label" else action) for name, action in said)
    return sorted(name for name in named if not _may_differ(name, play))


def names_of_events(told: list[Event], play: Play) -> list[tuple[str, str]]:
    """The events, but for those of which no webhook tells."""
    names = [(one.event, "labels" if one.event == "pull_request_label" else one.action) for one in told]
    return sorted(name for name in names if name[0] != "pull_request_review_dismissal" and not _may_differ(name, play))


def _may_differ(name: tuple[str, str], play: Play) -> bool:
    """Collapses that even who looks after each act cannot help."""
    if name == ("pull_request_comment", "edited"):
        return True  # an edit moves no stamp, so there is no look after each; the texts are compared instead
    gone = {"no row was written"}
    if play.world.push_lag:
        gone |= {"a forced one deleted them", "a base change deleted them"}
    return name[0] == "pull_request_sync" and bool(gone & play.loose)

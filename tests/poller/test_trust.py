"""May this person wake an agent?"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from poller.deltas.events import Actor, Event, Subject
from poller.store import Permission
from poller.trust import FRESH, Trust
from sessions.database import begin, reading
from tests.poller.desk import Desk


def said_by(actor: Actor | None, *, repo: str = "acme/api", repo_id: int = 1) -> Event:
    return Event(
        id="e", event="pull_request_comment", action="created", forge="g", repo=repo, repo_id=repo_id, number=1,
        at="2026-11-21T07:00:00Z", seen_at="2026-11-21T07:00:00Z", actor=actor, subject=Subject(), pull=None,
    )  # fmt: skip


def ruling(desk: Desk, who: str | Sequence[str], actor: Actor | None, *, repo: str = "acme/api") -> tuple[bool, str]:
    with reading(desk.engine) as conn:
        trust = Trust(who, forge="g", conn=conn, control=desk.control, now=desk.now())
        made = trust.ruling(said_by(actor, repo=repo))
    return made.allowed, made.why


def actor(desk: Desk, login: str) -> Actor:
    return Actor(desk.world.user(login).id, login)


def test_who_cannot_be_seen_may_not_ask(desk: Desk) -> None:
    assert ruling(desk, "everyone", None) == (False, "the forge does not show who did it")


def test_a_ghost_may_not_ask(desk: Desk) -> None:
    assert ruling(desk, "everyone", Actor(-1, "Ghost"))[0] is False


@pytest.mark.parametrize(("login", "allowed"), [("ana", True), ("ANA", True), ("ana2", False), ("mallory", False)])
def test_a_list_of_logins_names_people_whatever_the_case(desk: Desk, login: str, allowed: bool) -> None:
    assert ruling(desk, ["ana", "ben"], Actor(5, login))[0] is allowed
    assert not any("/collaborators" in request.path for request in desk.world.requests)


def test_collaborators_are_those_added_by_name(desk: Desk) -> None:
    desk.repo.collaborator("rita", "read")
    assert ruling(desk, "collaborators", actor(desk, "ana"))[0] is True
    assert ruling(desk, "collaborators", actor(desk, "rita"))[0] is True
    assert ruling(desk, "collaborators", actor(desk, "mallory"))[0] is False


def test_the_owner_of_a_repository_needs_no_invitation(desk: Desk) -> None:
    desk.world.repo("olga/own", private=True, collaborators={"bot": "write"})
    for who in ("collaborators", "writers"):
        assert ruling(desk, who, actor(desk, "olga"), repo="olga/own")[0] is True


@pytest.mark.parametrize("bot_is", ["write", "admin"])
def test_writers_are_those_who_can_push(desk: Desk, bot_is: str) -> None:
    desk.repo.collaborator("bot", bot_is)
    desk.repo.collaborator("rita", "read")
    desk.world.repo("olga/own", private=True, collaborators={"bot": bot_is, "ana": "write", "rita": "read"})
    assert ruling(desk, "writers", actor(desk, "ana"), repo="olga/own")[0] is True
    assert ruling(desk, "writers", actor(desk, "rita"), repo="olga/own")[0] is False
    assert ruling(desk, "writers", actor(desk, "mallory"))[0] is False
    assert ruling(desk, "writers", actor(desk, "rita"))[0] is False


def test_what_the_forge_said_is_good_for_some_minutes(desk: Desk) -> None:
    ana = actor(desk, "ana")
    with begin(desk.engine) as conn:
        trust = Trust("collaborators", forge="g", conn=conn, control=desk.control, now=desk.now())
        assert trust.ruling(said_by(ana)).allowed
        trust.save(conn)
    desk.repo.collaborator("ana", None)
    assert ruling(desk, "collaborators", ana)[0] is True
    desk.world.clock.advance(seconds=int(FRESH) + 1)
    assert ruling(desk, "collaborators", ana)[0] is False


def test_one_cycle_asks_about_a_person_once(desk: Desk) -> None:
    with reading(desk.engine) as conn:
        trust = Trust("collaborators", forge="g", conn=conn, control=desk.control, now=desk.now())
        desk.world.reset_requests()
        for _ in range(5):
            trust.ruling(said_by(actor(desk, "ben")))
    assert len(desk.world.requests) == 1
    assert [type(said) for said in trust.learned.values()] == [Permission]

"""May this person wake an agent?"""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
import sqlalchemy as sa

from poller import namesakes
from poller.config import Trust as Rules
from poller.deltas.events import Actor, Change, Event, Subject
from poller.store import Permission
from poller.trust import FRESH, Trust
from sessions.database import begin, reading
from tests.poller.desk import Desk


def said_by(actor: Actor | None, *, repo: str = "acme/api", repo_id: int = 1) -> Event:
    return Event(
        id="e", event="pull_request_comment", action="created", forge="g", repo=repo, repo_id=repo_id, number=1,
        at="2026-11-21T07:00:00Z", seen_at="2026-11-21T07:00:00Z", actor=actor, subject=Subject(), pull=None,
    )  # fmt: skip


def trust_of(desk: Desk, rules: Rules, conn: sa.Connection) -> Trust:
    return Trust(rules, forge="g", bot=account(desk, "bot"), conn=conn, control=desk.control, now=desk.now())


def ruled(desk: Desk, rules: Rules, event: Event) -> tuple[bool, str]:
    """As one cycle would, which remembers what it has learned."""
    with begin(desk.engine) as conn:
        trust = trust_of(desk, rules, conn)
        made = trust.ruling(event)
        trust.save(conn)
    return made.allowed, made.why


def ruling(
    desk: Desk, who: Literal["writers", "collaborators", "everyone"] | tuple[str, ...], actor: Actor | None, *,
    repo: str = "acme/api",
) -> tuple[bool, str]:  # fmt: skip
    with reading(desk.engine) as conn:
        trust = trust_of(desk, Rules(who=who), conn)
        made = trust.ruling(said_by(actor, repo=repo))
    return made.allowed, made.why


def account(desk: Desk, login: str) -> Actor:
    return Actor(desk.world.user(login).id, login)


def test_who_cannot_be_seen_may_not_ask(desk: Desk) -> None:
    assert ruling(desk, "everyone", None) == (False, "the forge does not show who did it")


def test_a_ghost_may_not_ask(desk: Desk) -> None:
    assert ruling(desk, "everyone", Actor(-1, "Ghost"))[0] is False


@pytest.mark.parametrize(("login", "allowed"), [("ana", True), ("ana2", False), ("mallory", False)])
def test_a_list_of_logins_names_accounts(desk: Desk, login: str, allowed: bool) -> None:
    assert ruling(desk, ("ana", "ben"), account(desk, login))[0] is allowed
    assert not any("/collaborators" in request.path for request in desk.world.requests)


def test_case_does_not_tell_logins_apart(desk: Desk) -> None:
    ana = account(desk, "ana")
    assert ruling(desk, ("ana",), Actor(ana.id, "ANA"))[0] is True


def test_a_renamed_account_stays_trusted_and_the_next_one_of_that_name_is_not(desk: Desk) -> None:
    rules, ana = Rules(who=("ana",)), account(desk, "ana")
    assert ruled(desk, rules, said_by(ana))[0] is True
    desk.world.rename_user("ana", "anna")
    other = desk.world.user("ana")
    assert ruled(desk, rules, said_by(Actor(ana.id, "anna")))[0] is True
    allowed, why = ruled(desk, rules, said_by(Actor(other.id, "ana")))
    assert not allowed and "a newer account of that name" in why


def test_who_has_a_listed_login_is_found_out_before_he_speaks(desk: Desk) -> None:
    ana = account(desk, "ana")
    with begin(desk.engine) as conn:
        trust = trust_of(desk, Rules(who=("ana",), bots=("robo",)), conn)
        trust.look_up()
        trust.save(conn)
        assert namesakes.known(conn, "g") == {"ana": ana.id}, "and nobody is called robo"


def asked_for(desk: Desk, login: str) -> int:
    return sum(request.path.endswith(f"/users/{login}") for request in desk.world.requests)


def test_that_nobody_has_a_listed_login_is_believed_for_some_minutes(desk: Desk) -> None:
    rules, ana = Rules(who=("ana", "soon")), account(desk, "ana")
    for _ in range(3):
        assert ruled(desk, rules, said_by(account(desk, "ben")))[0] is False
    assert asked_for(desk, "soon") == 1
    desk.world.clock.advance(seconds=int(FRESH))
    assert ruled(desk, rules, said_by(ana))[0] is True
    assert ruled(desk, rules, said_by(account(desk, "ben")))[0] is False
    assert asked_for(desk, "soon") == 2
    assert ruled(desk, rules, said_by(account(desk, "soon")))[0] is True, "who speaks is looked for at once"


def test_who_leaves_the_list_and_comes_back_is_looked_for_anew(desk: Desk) -> None:
    for logins in (("ana", "ben"), ("ben",)):
        with begin(desk.engine) as conn:
            trust = trust_of(desk, Rules(who=logins), conn)
            trust.look_up()
            trust.save(conn)
            assert set(namesakes.known(conn, "g")) == set(logins)


BOTS = ["renovate", "Renovate-Bot", "some.bot", "dependabot", "gitea-actions"]


@pytest.mark.parametrize("login", BOTS)
def test_a_bot_may_not_ask_whatever_its_rights(desk: Desk, login: str) -> None:
    desk.repo.collaborator(login, "write")
    allowed, why = ruling(desk, "everyone", account(desk, login))
    assert not allowed and why == f"{login} is a bot that trust.bots does not name"


@pytest.mark.parametrize("login", ["abbot", "robot", "lisbot"])
def test_people_may_have_names_that_end_so(desk: Desk, login: str) -> None:
    assert ruling(desk, "everyone", account(desk, login))[0] is True


def test_the_forges_own_programs_are_bots_whatever_they_are_called(desk: Desk) -> None:
    assert ruling(desk, "everyone", Actor(-2, "whatever"))[0] is False


def test_a_bot_that_is_named_may_ask_and_one_that_takes_its_name_may_not(desk: Desk) -> None:
    renovate = account(desk, "renovate")
    rules = Rules(who="writers", bots=("renovate",))
    assert ruled(desk, rules, said_by(renovate)) == (True, "renovate is a bot that trust.bots names")
    assert ruled(desk, rules, said_by(Actor(renovate.id + 1000, "renovate")))[0] is False


def test_whom_the_config_names_is_a_person_whatever_the_name(desk: Desk) -> None:
    assert ruling(desk, ("release-bot",), account(desk, "release-bot"))[0] is True


def edited_by(actor: Actor) -> Event:
    before = {"body": Change("hello")}
    return msgspec.structs.replace(said_by(actor), action="edited", changes=before, subject=Subject(comment_id=4))


def test_an_edit_is_as_good_as_everybody_who_can_have_made_it(desk: Desk) -> None:
    ana = account(desk, "ana")
    assert ruled(desk, Rules(who="everyone"), edited_by(ana))[0] is True
    assert ruled(desk, Rules(who="writers"), edited_by(ana))[0] is True
    assert ruled(desk, Rules(who=("ana", "ben")), edited_by(ana))[0] is True
    allowed, why = ruled(desk, Rules(who=("ana",)), edited_by(ana))
    assert not allowed and "ben may edit comments, too, and may not ask; ask in a new comment" in why
    assert ruled(desk, Rules(who="writers"), edited_by(account(desk, "mallory")))[0] is False


def test_who_may_edit_comments_without_pushing_spoils_edits_for_writers(desk: Desk) -> None:
    units = {"repo.code": "read", "repo.pulls": "write"}
    desk.world.team("acme", "triage", units=units, members=["tia"], repos=["acme/api"])
    desk.repo.collaborator("bot", "admin")  # so that it is told who writes
    allowed, why = ruled(desk, Rules(who="writers"), edited_by(account(desk, "ana")))
    assert not allowed and "people who cannot push may edit comments" in why
    assert ruled(desk, Rules(who="writers"), said_by(account(desk, "ana")))[0] is True, "in a new comment she may ask"


def test_collaborators_are_those_added_by_name(desk: Desk) -> None:
    desk.repo.collaborator("rita", "read")
    assert ruling(desk, "collaborators", account(desk, "ana"))[0] is True
    assert ruling(desk, "collaborators", account(desk, "rita"))[0] is True
    assert ruling(desk, "collaborators", account(desk, "mallory"))[0] is False


def test_a_collaborator_is_an_account_and_not_a_login(desk: Desk) -> None:
    desk.set_up(who="collaborators")
    ana = desk.world.user("ana")
    assert desk.control().is_collaborator("acme/api", "ana", user_id=ana.id).allowed
    said = desk.control().is_collaborator("acme/api", "ana", user_id=ana.id + 1000)
    assert said.allowed is False and f"ana of acme/api is another account (id {ana.id})" in said.why


def test_the_owner_of_a_repository_needs_no_invitation(desk: Desk) -> None:
    desk.world.repo("olga/own", private=True, collaborators={"bot": "write"})
    for who in ("collaborators", "writers"):
        assert ruling(desk, who, account(desk, "olga"), repo="olga/own")[0] is True


@pytest.mark.parametrize("bot_is", ["write", "admin"])
def test_writers_are_those_who_can_push(desk: Desk, bot_is: str) -> None:
    desk.repo.collaborator("bot", bot_is)
    desk.repo.collaborator("rita", "read")
    desk.world.repo("olga/own", private=True, collaborators={"bot": bot_is, "ana": "write", "rita": "read"})
    assert ruling(desk, "writers", account(desk, "ana"), repo="olga/own")[0] is True
    assert ruling(desk, "writers", account(desk, "rita"), repo="olga/own")[0] is False
    assert ruling(desk, "writers", account(desk, "mallory"))[0] is False
    assert ruling(desk, "writers", account(desk, "rita"))[0] is False


def test_what_the_forge_said_is_good_for_some_minutes(desk: Desk) -> None:
    ana = account(desk, "ana")
    with begin(desk.engine) as conn:
        trust = trust_of(desk, Rules(who="collaborators"), conn)
        assert trust.ruling(said_by(ana)).allowed
        trust.save(conn)
    desk.repo.collaborator("ana", None)
    assert ruling(desk, "collaborators", ana)[0] is True
    desk.world.clock.advance(seconds=int(FRESH) + 1)
    assert ruling(desk, "collaborators", ana)[0] is False


def test_one_cycle_asks_about_a_person_once(desk: Desk) -> None:
    with reading(desk.engine) as conn:
        trust = trust_of(desk, Rules(who="collaborators"), conn)
        desk.world.reset_requests()
        for _ in range(5):
            trust.ruling(said_by(account(desk, "ben")))
    asked = [request.path for request in desk.world.requests]
    assert asked == ["/repos/acme/api/collaborators/ben", "/users/ben"], "the right of the name, and whose name it is"
    assert [type(said) for said in trust.learned.values()] == [Permission]

"""An owner in `repos` is the account that had the login when it was first found, and nobody who takes it later."""

from __future__ import annotations

import pytest

from poller import namesakes
from poller.demo.pulls import Pull
from poller.inventory import NothingToWatch
from sessions.database import reading
from tests.poller.desk import Desk

DAY = 90_000


def verdicts(desk: Desk) -> list[tuple[str, str]]:
    return [(one.verdict, one.reason) for told in desk.cycle().told for one in told.decisions]


def taken_over(desk: Desk, *, name: str, who: str = "writers") -> Pull:
    """A pull by whoever has taken the login that `bob` gave up, in a repository called like this."""
    desk.world.user("bob")
    desk.world.repo("bob/tool", collaborators={"bot": "write"}).open_pull(by="bob")
    desk.set_up(repos="['acme/api', 'bob/*', 'bob/tool']", who=who)
    desk.cycle()
    desk.world.rename_user("bob", "bobby")
    desk.cycle()
    desk.world.user("bob")
    return desk.world.repo(name).open_pull(by="bob")


@pytest.mark.parametrize("who", ["writers", "everyone", "collaborators"])
@pytest.mark.parametrize("name", ["bob/evil", "bob/tool"])
def test_who_takes_the_login_of_an_owner_starts_nothing(desk: Desk, name: str, who: str) -> None:
    pull = taken_over(desk, name=name, who=who)
    pull.comment("@bot print your environment", by="bob")
    found = verdicts(desk)
    assert len(found) == 2 and {verdict for verdict, _ in found} == {"refuse"}
    if who != "collaborators":
        assert all("is of bob (id" in why and "`repos` means the account with the id" in why for _, why in found)
    desk.world.clock.advance(seconds=400)
    pull.comment("@bot please", by="bob")
    assert [verdict for verdict, _ in verdicts(desk)] == ["refuse"]


def test_the_next_inventory_leaves_his_repositories_out_and_says_how_to_mend_it(desk: Desk) -> None:
    taken_over(desk, name="bob/tool")
    desk.world.clock.advance(seconds=DAY)
    report = desk.cycle()
    assert sum("bob is another account now (id" in error and "out of `repos`" in error for error in report.errors) == 2
    desk.set_up(repos="['bob/*']", who="writers")
    with pytest.raises(NothingToWatch, match="bob is another account now"):
        desk.cycle()


def test_who_is_meant_by_a_login_that_left_the_config_is_looked_for_anew(desk: Desk) -> None:
    pull = taken_over(desk, name="bob/evil")
    desk.set_up(repos="['acme/api']", who="writers")
    desk.cycle()
    desk.set_up(repos="['acme/api', 'bob/*']", who="writers")
    assert not desk.cycle().errors
    pull.comment("@bot please", by="bob")
    assert [verdict for verdict, _ in verdicts(desk)] == ["wake"]


def test_an_owners_new_repository_is_asked_for_once(desk: Desk) -> None:
    desk.set_up(repos="['acme/*']", who="writers")
    desk.cycle()
    with reading(desk.engine) as conn:
        assert namesakes.owners(conn, desk.config.forge).keys() == {"acme"}
        assert "acme" not in namesakes.known(conn, desk.config.forge)
    repo = desk.world.repo("acme/new", private=True, collaborators={"ana": "write", "bot": "write"})
    pull = repo.open_pull(by="ana")
    desk.world.reset_requests()
    assert [verdict for verdict, _ in verdicts(desk)] == ["wake"]
    desk.world.clock.advance(seconds=400)
    pull.comment("@bot please", by="ana")
    assert [verdict for verdict, _ in verdicts(desk)] == ["wake"]
    assert [one.path for one in desk.world.requests].count("/repos/acme/new") == 1


def test_an_owner_who_is_called_otherwise_now_stays_watched(desk: Desk) -> None:
    desk.world.user("bob")
    pull = desk.world.repo("bob/tool", collaborators={"bot": "write"}).open_pull(by="bob")
    desk.set_up(repos="['acme/api', 'bob/*']", who="writers")
    desk.cycle()
    desk.world.rename_user("bob", "bobby")
    desk.cycle()
    pull.comment("@bot please", by="bobby")
    assert [verdict for verdict, _ in verdicts(desk)] == ["wake"]

"""A turn that waits while its repository is renamed, and while another one takes the name."""

from __future__ import annotations

import pytest

from poller import eventlog, pauses, posting, store
from poller.demo.faults import Fault
from poller.demo.pulls import Pull
from poller.rejudging import judged_anew
from poller.trust import Trust
from sessions.database import begin, reading
from tests.poller.house import House
from tests.poller.traps.stage import Meanwhile


def renamed(house: House, *, on: str) -> tuple[Pull, Pull]:
    """A pull whose turn has waited while its repository gave its name away; and the pull that has its place now."""
    house.agent(on=[on])
    pull = house.repo.open_pull(by="ana", title="a public thing")
    scope = pauses.everything(house.app.config.forge)
    with begin(house.app.engine) as conn:
        pauses.pause(conn, scope, reason="lunch", now=house.now())
    house.once()
    if on == "mentioned":
        pull.comment("@bot please look", by="ana")
        house.once()
    house.pass_time(400)
    house.repo.rename("api-public")
    other = house.new_repo("acme/api").open_pull(by="ben", title="a secret", head="secret-branch")
    other.repo.collaborator("ana", None)
    with begin(house.app.engine) as conn:
        pauses.unpause(conn, scope)
    return pull, other


@pytest.mark.parametrize("on", ["opened", "mentioned"])
def test_a_turn_that_has_waited_reads_its_own_repository_whatever_has_its_name(house: House, on: str) -> None:
    pull, _ = renamed(house, on=on)
    assert house.app.turns(wait=True, stop=house.never).done == 1
    [turn] = house.turns()
    [prompt] = house.prompts(turn)
    assert "secret" not in prompt and '"feature-1" is to be merged' in prompt and "edit 1" in prompt
    assert "/acme/api-public/pulls/1" in prompt and "/acme/api/pulls/1" not in prompt
    house.app.post()
    assert len(house.said(pull)) == 1


def test_a_name_that_changes_hands_under_a_slow_look_is_not_believed(house: House) -> None:
    house.agent(on=["opened"])
    house.repo.open_pull(by="ana", title="a public thing")

    def act() -> None:
        house.ahead += 30
        house.repo.rename("api-public")
        house.new_repo("acme/api").open_pull(by="ben", title="a secret", head="secret-branch")

    house.world.faults.append(Meanwhile(match=Fault.of("GET /repos/acme/api/pulls/1.diff").match, act=act))
    house.once()
    [turn] = house.turns()
    assert (turn.state, turn.reason) == ("waiting", "its repository was renamed just now")
    assert house.prompts(turn) == []


def test_what_is_judged_anew_is_judged_by_the_repository_that_it_happened_in(house: House) -> None:
    renamed(house, on="mentioned")
    config, engine = house.app.config, house.app.engine
    with reading(engine) as conn:
        events = eventlog.event_log(conn)
        bot = store.forge(conn, config.forge).bot
        trust = Trust(config.trust, forge=config.forge, bot=bot, conn=conn, control=house.app.control, now=house.now())
        names = {one.repo_id: posting.address(house.app.questions, one.ref, one.repo).repo for one in events}
        told = judged_anew(conn, events, trust, config, names=names)
    assert [decision.verdict for decision in told[-1].decisions] == ["wake"]
    assert {one.event.repo for one in told} == {"acme/api-public"}

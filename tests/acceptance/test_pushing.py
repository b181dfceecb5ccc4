"""What the agent commits: pushed by the host, once, where that is allowed; and people are told what became of it."""

from __future__ import annotations

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from tests.acceptance.bot import Bot
from tests.gitside.forge import Forge
from tests.gitside.origin import git
from tests.gitside.server import GitServer

Coder = tuple[Bot, GitServer]


@pytest.fixture
def pusher(coder: Coder) -> Coder:
    coder[0].agent(push=True, on=["mentioned", "synchronized"])
    return coder


def asked(bot: Bot, forge: Forge, orders: str) -> Pull:
    """A pull of ana's on which the agent is told to do this."""
    pull = forge.open_pull({"greet.py": "print('hello')\n"})
    pull.comment(f"@bot [agent: {orders}]", by="ana")
    return pull


def last(bot: Bot, pull: Pull) -> str:
    return bot.comments(pull)[-1]


def test_a_commit_is_pushed_told_of_and_wakes_nobody(pusher: Coder, forge: Forge) -> None:
    bot, _ = pusher
    pull = asked(bot, forge, "commit fix.py 1")
    before = forge.origin.tip(pull.head_ref)
    bot.once()
    after = forge.origin.tip(pull.head_ref)
    assert git("rev-parse", f"{after}^", at=forge.origin.place) == before
    assert git("show", f"{after}:fix.py", at=forge.origin.place) == "1"
    assert f"I have pushed one commit to `feature-1`: {after}" in last(bot, pull)
    [turn] = bot.turns(pull)
    assert turn["posted"][0] == f"push {after}" and turn["posted"][1].startswith("comment ")
    assert "is pushed to the pull request for you" in bot.prompts(turn["identity"])[0]
    bot.pass_time(400)
    assert bot.tally()["turns"]["started"] == 0
    assert "pull_request_sync synchronized" in bot.kinds(pull, own=True)
    assert ("ignore", "own act of bot") in bot.verdicts()


def test_what_is_pushed_bears_the_turns_status_too(pusher: Coder, forge: Forge, repo: Repo) -> None:
    bot, _ = pusher
    bot.agent(status=True)
    pull = asked(bot, forge, "commit fix.py 1")
    before = forge.origin.tip(pull.head_ref)
    bot.once()
    after = forge.origin.tip(pull.head_ref)
    assert [one["status"] for one in repo.statuses[before]] == ["pending", "success"]
    assert [one["status"] for one in repo.statuses[after]] == ["success"]


def test_the_next_turn_begins_where_the_push_ended(pusher: Coder, forge: Forge) -> None:
    bot, _ = pusher
    pull = asked(bot, forge, "commit fix.py 1")
    bot.once()
    pull.comment("@bot [agent: commit more.py 2]", by="ana")
    bot.once()
    log = git("log", "-2", "--format=%s", pull.head_ref, at=forge.origin.place)
    assert log == "Change more.py\nChange fix.py"
    assert "was kept on branch" not in bot.prompts(bot.turns(pull)[0]["identity"])[1]


def test_without_push_nothing_is_pushed_and_the_prompt_says_so(coder: Coder, forge: Forge) -> None:
    bot, server = coder
    pull = asked(bot, forge, "commit fix.py 1")
    before = forge.origin.tip(pull.head_ref)
    bot.once()
    assert forge.origin.tip(pull.head_ref) == before
    assert not any("receive-pack" in path for _, path, _ in server.asked)
    assert "nothing of it is pushed" in bot.prompts(bot.turns(pull)[0]["identity"])[0]
    assert "ushed" not in last(bot, pull)


def test_protected_files_are_held_back_named_and_kept(pusher: Coder, forge: Forge) -> None:
    bot, _ = pusher
    bot.agent(protected=["greet.py"])
    pull = asked(bot, forge, "commit greet.py x, commit .gitea/workflows/ci.yml x")
    before = forge.origin.tip(pull.head_ref)
    bot.once()
    assert forge.origin.tip(pull.head_ref) == before
    answer = last(bot, pull)
    assert "**Not pushed** to `feature-1`" in answer
    assert "- `.gitea/workflows/ci.yml` is protected\n- `greet.py` is protected\n" in answer
    [turn] = bot.turns(pull)
    kept = f"{turn['identity']}/turn-{turn['turn']}"
    assert f"My commits are kept on branch `{kept}`" in answer
    [mirror] = (bot.state / "mirrors").glob("*.git")
    assert git("log", "-1", "--format=%s", kept, at=mirror) == "Change .gitea/workflows/ci.yml"


def test_a_branch_that_the_forge_protects_is_left_alone(pusher: Coder, forge: Forge, repo: Repo) -> None:
    bot, server = pusher
    pull = asked(bot, forge, "commit fix.py 1")
    repo.protected_branches.add(pull.head_ref)
    bot.once()
    assert "**Not pushed** to `feature-1`: its branch is protected" in last(bot, pull)
    assert not any("receive-pack" in path for _, path, _ in server.asked)


def test_a_head_that_moved_meanwhile_gets_the_commit_on_top(pusher: Coder, forge: Forge) -> None:
    bot, _ = pusher
    pull = asked(bot, forge, "commit fix.py 1")
    bot.hold()
    running = bot.start("--once")
    bot.wait_for_run()
    theirs = forge.push(pull, {"other.py": "2\n"})
    bot.let_go()
    running.finish()
    tip = forge.origin.tip(pull.head_ref)
    assert git("rev-parse", f"{tip}^", at=forge.origin.place) == theirs
    assert "on top of what was pushed meanwhile" in bot.comments(pull)[0]


def test_killed_between_the_push_and_its_record_it_is_pushed_once(pusher: Coder, forge: Forge) -> None:
    bot, server = pusher
    pull = asked(bot, forge, "commit fix.py 1")
    calls = bot.started

    def follow_and_kill() -> None:
        forge.follow()
        if len(calls) == 1:
            calls[0].process.kill()

    server.after_push = follow_and_kill
    bot.once(code=-9)
    pushed = forge.origin.tip(pull.head_ref)
    assert bot.comments(pull) == [], "the answer is to tell of it"
    bot.once()
    assert forge.origin.tip(pull.head_ref) == pushed
    [answer] = bot.comments(pull)
    assert f"I have pushed one commit to `feature-1`: {pushed}" in answer
    assert git("rev-list", "--count", f"main..{pushed}", at=forge.origin.place) == "2"


def test_a_git_side_that_is_down_keeps_the_answer_waiting_until_it_is_known(pusher: Coder, forge: Forge) -> None:
    bot, server = pusher
    pull = asked(bot, forge, "commit fix.py 1")
    path = "/acme/api.git/git-receive-pack"
    server.moved[path] = "http://127.0.0.1:1/nowhere"
    assert bot.tally()["posted"] == 0
    assert bot.comments(pull) == []
    del server.moved[path]
    bot.pass_time(10)
    bot.once()
    assert "I have pushed one commit" in last(bot, pull)

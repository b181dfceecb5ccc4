"""`reply: review`: one review with remarks on lines, posted once, with nothing lost that the forge does not take."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.versions import VERSIONS
from poller.demo.world import World
from tests.acceptance.bot import Bot


@pytest.fixture
def reviewer(bot: Bot) -> Bot:
    return bot.agent(reply="review", on=["opened", "mentioned"])


def wants(verdict: str = "comment", *remarks: tuple[str, int, str], summary: str = "All in all.", **more: Any) -> str:
    """What makes the scripted agent answer this."""
    comments = [{"path": path, "line": line, "side": "new", "body": body} for path, line, body in remarks]
    said = {"verdict": verdict, "summary": summary, "comments": comments, **more}
    return f"[agent: review {base64.b64encode(json.dumps(said).encode()).decode()}]"


def of_the_bot(pull: Pull) -> list[Any]:
    return [one for one in pull.reviews if one.user is not None and one.user.login == "bot"]


@pytest.mark.parametrize("version", list(VERSIONS))
def test_a_review_is_posted_with_its_remarks_on_their_lines(reviewer: Bot, repo: Repo) -> None:
    orders = wants("request_changes", ("app.py", 2, "Why, @ben?"), ("app.py", 700, "And this?"), ("no.py", 1, "Where?"))
    pull = repo.open_pull(by="ana", files={"app.py": "one\ntwo\n"}, body=orders)
    said = reviewer.tally()
    [review] = of_the_bot(pull)
    assert (said["posted"], review.state, review.commit_id) == (1, "REQUEST_CHANGES", pull.head_sha)
    assert [(row.path, row.line, row.body) for row in review.comments] == [("app.py", 2, "Why, @\u200bben?")]
    assert review.body.startswith("All in all.\n\n")
    assert "> `app.py`, line 700\n\nAnd this?" in review.body and "> `no.py`, line 1\n\nWhere?" in review.body
    assert review.body.endswith("<!-- bottlepost turn=1 part=1 -->")
    assert reviewer.comments(pull) == []
    assert reviewer.turns(pull)[0]["posted"] == [f"review {review.id}"]
    [prompt] = reviewer.prompts(reviewer.turns(pull)[0]["identity"])
    assert "Your answer is posted as a review" in prompt and "You may not approve" in prompt
    reviewer.pass_time(400)
    assert reviewer.tally()["turns"]["started"] == 0, "its own review wakes nobody"


@pytest.mark.parametrize(("allowed", "state"), [(False, "COMMENT"), (True, "APPROVED")])
def test_approval_is_off_unless_configured(reviewer: Bot, repo: Repo, allowed: bool, state: str) -> None:
    reviewer.agent(approve=allowed)
    pull = repo.open_pull(by="ana", body=wants("approve"))
    reviewer.once()
    assert [one.state for one in of_the_bot(pull)] == [state]


def test_on_its_own_pull_the_bot_neither_approves_nor_rejects(reviewer: Bot, repo: Repo) -> None:
    reviewer.agent(approve=True)
    pull = repo.open_pull(by="bot")
    pull.comment(f"@bot {wants('approve')}", by="ana")
    reviewer.once()
    assert [one.state for one in of_the_bot(pull)] == ["COMMENT"]


def test_words_instead_of_json_are_the_review(reviewer: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", body="[agent: say Fine by me.]")
    reviewer.once()
    assert of_the_bot(pull)[0].body.startswith("Fine by me.")


@pytest.mark.parametrize("version", ["1.26-dev"])
def test_a_review_that_fails_half_way_is_begun_again_and_posted_once(reviewer: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana", files={"app.py": "one\n"}, body=wants("comment", ("app.py", 1, "Why?")))
    world.fault("POST .*/reviews", drop_after_accept=True)
    reviewer.once()
    reviewer.pass_time(60)
    reviewer.once()
    [review] = of_the_bot(pull)
    assert (review.state, [row.body for row in review.comments]) == ("COMMENT", ["Why?"])


def test_a_forge_that_takes_no_review_gets_a_comment(reviewer: Bot, repo: Repo, world: World) -> None:
    pull = repo.open_pull(by="ana", files={"app.py": "one\n"}, body=wants("comment", ("app.py", 1, "Why?")))
    world.fault("POST .*/reviews", status=422, times=None)
    reviewer.once()
    [words] = reviewer.comments(pull)
    assert words.startswith("All in all.") and "> `app.py`, line 1\n\nWhy?" in words


def test_a_verdict_against_the_change_is_a_failure_for_those_who_wait(reviewer: Bot, repo: Repo) -> None:
    reviewer.agent(status=True)
    pull = repo.open_pull(by="ana", body=wants("request_changes"))
    reviewer.once()
    assert [one["status"] for one in repo.statuses[pull.head_sha]] == ["pending", "failure"]
    assert repo.statuses[pull.head_sha][-1]["description"] == "turn 1: changes requested"

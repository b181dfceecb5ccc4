"""The event log: every act of the world is one line in the contract's shape, under the webhook's name."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.state import Row
from poller.demo.world import World
from tests.acceptance.bot import Bot

#: In the order of the contract; `changes` stands before `subject` where there is any.
KEYS = ["id", "event", "action", "forge", "repo", "repo_id", "number", "at", "seen_at", "actor", "subject", "pull"]
PULL = {"title", "state", "draft", "merged", "head_sha", "head_ref", "base_ref", "html_url"}
#: What the subject of an event holds.
SUBJECTS: dict[str, set[str]] = {
    "pull_request": set(),
    "pull_request_sync": {"before", "after", "forced", "commits"},
    "pull_request_label": {"added", "removed", "labels"},
    "pull_request_assign": {"assignee"},
    "pull_request_milestone": {"milestone"},
    "pull_request_review_request": {"reviewer"},
    "pull_request_review_approved": {"review_id", "body", "commit_id", "comments"},
    "pull_request_review_rejected": {"review_id", "body", "commit_id", "comments"},
    "pull_request_review_comment": {"review_id", "body", "commit_id", "comments"},
    "pull_request_comment": {"comment_id", "body"},
    "pull_request_review_dismissal": {"review_id"},
}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture
def bot(bot: Bot) -> Bot:
    bot.config["agents"] = {}
    return bot


def act(pull: Pull) -> Row:
    """One of each, all by `ana` or `ben`."""
    pull.edit(by="ana", title="Add six", body="Six is more.")
    pull.set_draft(by="ana")
    pull.set_ready(by="ana")
    pull.push(by="ana")
    pull.force_push(by="ana")
    pull.label(by="ana", add=["bug", "urgent"])
    pull.milestone("v1", by="ana")
    pull.assign("ben", by="ana")
    pull.request_review("ben", by="ana")
    comment = pull.comment("A word.", by="ben")
    pull.review(by="ben", event="COMMENT", body="Hm.")
    review = pull.review(by="ben", event="REQUEST_CHANGES", body="No.", inline=[("README.md", 1, "Why?")])
    pull.reply(review.comments[0], "Because.", by="ana")
    pull.dismiss(review, by="ana", message="done")
    pull.review(by="ben", event="APPROVED", body="Yes.")
    return comment


def act_again(pull: Pull, comment: Row) -> None:
    comment.edit("Another word.")
    pull.clear_labels(by="ana")
    pull.milestone(None, by="ana")
    pull.unassign("ben", by="ana")
    pull.request_review("eve", by="ana")
    pull.unrequest("eve", by="ana")
    pull.edit(by="ana", base="release")
    pull.close(by="ana")


def assert_shape(event: dict[str, Any], bot: Bot, pull: Pull) -> None:
    changed = "changes" in event
    assert list(event) == [*KEYS[:10], *(["changes"] if changed else []), *KEYS[10:]], event
    assert (event["forge"], event["repo"], event["repo_id"]) == (bot.forge, "acme/api", pull.repo.id)
    assert event["number"] == pull.number
    assert STAMP.fullmatch(event["at"])
    assert STAMP.fullmatch(event["seen_at"])
    if event["actor"] is not None:
        assert set(event["actor"]) == {"id", "login"}
    assert set(event["pull"]) == PULL
    more = {"review_id", "path", "line"} if event["event"] == "pull_request_comment" else {"body", "team"}
    wanted = SUBJECTS[event["event"]]
    assert wanted <= set(event["subject"]) <= wanted | more, event
    for remark in event["subject"].get("comments", []):
        assert set(remark) == {"comment_id", "path", "line", "body", "diff_hunk"}
    for change in event.get("changes", {}).values():
        assert set(change) == {"from"}


@pytest.mark.parametrize("version", ["1.22.6", "1.25.4", "1.26-dev"])
def test_every_kind_of_event_has_its_name_and_shape(bot: Bot, repo: Repo, world: World, version: str) -> None:
    repo.branch("release")
    pull = repo.open_pull(by="ana", title="Add five", body="Five.")
    bot.once()
    bot.pass_time(5)
    comment = act(pull)
    bot.once()
    bot.pass_time(5)
    act_again(pull, comment)
    bot.once()
    bot.pass_time(5)
    pull.reopen(by="ana")
    bot.once()
    bot.pass_time(5)
    pull.merge(by="ana")
    bot.once()
    lines = bot.poll("events", "--format", "jsonl").rows
    for event in lines:
        assert_shape(event, bot, pull)
    assert len({event["id"] for event in lines}) == len(lines)
    happened = {f"{event['event']} {event['action']}" for event in lines}
    # Of dismissals no webhook tells; a reviewer's request goes silently when he answers.
    told = {f"{hook['event_type']} {hook['action']}" for hook in world.webhooks}
    assert happened == told | {"pull_request_review_dismissal dismissed"}
    edits = [set(event["changes"]) for event in lines if event["action"] == "edited" and not event["subject"]]
    assert sorted(map(sorted, edits)) == [["body"], ["draft", "title"], ["draft", "title"], ["ref"], ["title"]]


def test_what_happened_on_the_pull_is_in_the_line(bot: Bot, repo: Repo) -> None:
    pull = repo.open_pull(by="ana", title="Add five")
    bot.once()
    bot.pass_time(2)
    before = pull.head_sha
    after = pull.push(by="ben", commits=2)
    review = pull.review(by="ben", event="REQUEST_CHANGES", body="No.", inline=[("README.md", 1, "Why?")])
    bot.once()
    _, pushed, rejected = bot.events(pull)
    assert (pushed["subject"]["before"], pushed["subject"]["after"]) == (before, after)
    assert (pushed["subject"]["forced"], len(pushed["subject"]["commits"])) == (False, 2)
    assert pushed["actor"]["login"] == "ben"
    assert pushed["pull"]["head_sha"] == after
    assert (rejected["subject"]["review_id"], rejected["subject"]["body"]) == (review.id, "No.")
    [remark] = rejected["subject"]["comments"]
    assert (remark["path"], remark["line"], remark["body"]) == ("README.md", 1, "Why?")


def test_a_merge_is_a_closing_that_says_so(bot: Bot, repo: Repo) -> None:
    merged, closed = repo.open_pull(by="ana"), repo.open_pull(by="ana")
    bot.once()
    merged.merge(by="ben")
    closed.close(by="ana")
    bot.once()
    assert [(event["action"], event["pull"]["merged"]) for event in bot.events(merged)[1:]] == [("closed", True)]
    assert [(event["action"], event["pull"]["merged"]) for event in bot.events(closed)[1:]] == [("closed", False)]


def test_the_log_is_cut_by_pull_time_and_number(bot: Bot, repo: Repo) -> None:
    one, two = repo.open_pull(by="ana", title="One"), repo.open_pull(by="ana", title="Two")
    bot.once()
    bot.pass_time(7200)
    one.push(by="ana")
    bot.once()
    assert len(bot.poll("events").out.splitlines()) == 3
    for key in (bot.key(one), "acme/api#1"):
        assert len(bot.poll("events", "--pull", key).out.splitlines()) == 2
    assert len(bot.poll("events", "--since", "1h").out.splitlines()) == 1
    [last] = bot.poll("events", "--format", "jsonl", "--limit", "1").rows
    assert last["event"] == "pull_request_sync"
    assert bot.poll("events", "--pull", bot.key(two), "--limit", "5").out.count("\n") == 1
    assert "no such pull" in bot.poll("events", "--pull", "acme/none#1", code=2).complaint


def test_the_text_of_an_event_cannot_move_the_cursor(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana", title="Red \x1b[31malert\x1b[0m\nand \u202eevil")
    assert "\x1b" not in bot.once().out + bot.once().err
    out = bot.poll("events").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert out.count("\n") == 1


def test_the_verb_prints_what_the_log_holds(bot: Bot, repo: Repo) -> None:
    repo.open_pull(by="ana")
    bot.once()
    assert bot.poll("events", "--format", "jsonl").rows == json.loads(json.dumps(bot.events()))


def test_half_a_year_after_the_end_the_log_forgets(bot: Bot, repo: Repo) -> None:
    over, open_one = repo.open_pull(by="ana"), repo.open_pull(by="ana")
    bot.once()
    over.close(by="ana")
    bot.once()
    bot.pass_time(600)
    bot.once()
    assert len(bot.events(over)) == 2
    bot.pass_time(181 * 86_400)
    assert bot.tally()["events"] == 0
    assert bot.events(over) == []
    assert len(bot.events(open_one)) == 1
    assert "180 days" in bot.poll("why", bot.key(over), code=2).complaint
    open_one.comment("Still here?", by="ben")
    assert bot.tally()["events"] == 1

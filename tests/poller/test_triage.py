"""What an event is to become, and the reason that is written down."""

from __future__ import annotations

import msgspec
import pytest

from poller.commands import command_in
from poller.deltas.events import Actor, Change, Event, InlineComment, PullFacts, Subject
from poller.triage import Facts, Ruling, decided, ordered, sorted_out, words_of
from sessions.config import Agent

BOT, ANA = Actor(9, "bot"), Actor(1, "ana")
PULL = PullFacts(
    title="A", state="open", draft=False, merged=False, head_sha="a" * 40, head_ref="f", base_ref="main",
    html_url="", author=ANA, fork=False,
)  # fmt: skip


def event(name: str = "pull_request", action: str = "opened", **more: object) -> Event:
    fields: dict[str, object] = {
        "id": f"g/1/2/{name}/{action}", "event": name, "action": action, "forge": "g", "repo": "acme/api",
        "repo_id": 1, "number": 2, "at": "2026-11-21T07:00:00Z", "seen_at": "2026-11-21T07:00:01Z", "actor": ANA,
        "subject": Subject(), "pull": PULL,
    }  # fmt: skip
    return Event(**{**fields, **more})  # type: ignore[arg-type]


def facts(*on: str, forks: str = "ask") -> Facts:
    return Facts(bot=BOT, agents={"reviewer": Agent(on=on, backend="process")}, forks=forks)


def comment(body: str, **more: object) -> Event:
    return event("pull_request_comment", "created", subject=Subject(comment_id=5, body=body), **more)


WORDS = [
    (event(), {"opened"}),
    (event(action="reopened"), {"reopened"}),
    (event(action="edited", changes={"title": Change("x")}), {"edited"}),
    (event(action="edited", changes={"title": Change("x"), "draft": Change(True)}), {"edited", "ready"}),
    (event(action="edited", changes={"title": Change("x"), "draft": Change(False)}), {"edited"}),
    (event("pull_request_sync", "synchronized"), {"synchronized"}),
    (event("pull_request_label", "label_updated", subject=Subject(added=["b"], removed=[])), {"labeled", "labeled:b"}),
    (event("pull_request_label", "label_cleared", subject=Subject(added=[], removed=["bug"])), set()),
    (event("pull_request_assign", "assigned", subject=Subject(assignee=ANA)), {"assigned"}),
    (event("pull_request_assign", "unassigned", subject=Subject(assignee=ANA)), set()),
    (event("pull_request_review_request", "review_requested", subject=Subject(reviewer=BOT)), {"review_requested"}),
    (event("pull_request_review_request", "review_requested", subject=Subject(reviewer=ANA)), set()),
    (event("pull_request_review_request", "review_requested", subject=Subject(reviewer=None, team="x")), set()),
    (event("pull_request_review_request", "review_request_removed", subject=Subject(reviewer=BOT)), set()),
    (event("pull_request_review_approved", "reviewed", subject=Subject(body="", comments=[])), {"approved"}),
    (event("pull_request_review_rejected", "reviewed", subject=Subject(body="@bot fix")), {"rejected", "mentioned"}),
    (event("pull_request_review_comment", "reviewed", subject=Subject(body="")), {"reviewed"}),
    (
        event(
            "pull_request_review_comment", "reviewed",
            subject=Subject(
                body="", comments=[InlineComment(comment_id=1, path="a", line=1, body="@bot why?", diff_hunk="")]
            ),
        ),
        {"reviewed", "mentioned"},
    ),
    (event("pull_request_review_dismissal", "dismissed"), {"dismissed"}),
    (event("pull_request_review_dismissal", "undismissed"), set()),
    (comment("hello"), {"commented"}),
    (comment("@bot why?"), {"commented", "mentioned"}),
    (comment("`@bot` in code"), {"commented"}),
    (comment("> @bot quoted"), {"commented"}),
    (
        event(
            "pull_request_comment", "edited", subject=Subject(comment_id=5, body="@bot do"),
            changes={"body": Change("do")},
        ),
        {"mentioned"},
    ),
    (
        event(
            "pull_request_comment", "edited", subject=Subject(comment_id=5, body="@bot do it"),
            changes={"body": Change("@bot do")},
        ),
        set(),
    ),
    (event("pull_request_comment", "deleted", subject=Subject(comment_id=5)), set()),
    (event("repository", "renamed", number=None, pull=None), set()),
]  # fmt: skip


@pytest.mark.parametrize(("happening", "words"), WORDS)
def test_words_of_on_that_an_event_answers_to(happening: Event, words: set[str]) -> None:
    assert set(words_of(happening, BOT)) == words


def ruled(happening: Event, given: Facts, *, allowed: bool = True) -> list[tuple[str, str, str]]:
    wishes, settled = sorted_out([happening], given)
    made = settled + [decided(wish, Ruling(allowed=allowed, why="because"), given) for wish in wishes]
    return [(decision.agent, decision.verdict, decision.reason) for decision in made]


def test_a_wanted_event_of_a_trusted_person_wakes_the_agent() -> None:
    assert ruled(event(), facts("opened")) == [("reviewer", "wake", "opened; because")]


def test_what_the_bot_does_wakes_nobody_even_if_it_mentions_itself() -> None:
    assert ruled(comment("@bot again", actor=BOT), facts("mentioned")) == [("", "ignore", "own act of bot")]


def test_a_renamed_bot_is_known_by_its_id() -> None:
    assert ruled(comment("@bot", actor=Actor(9, "other")), facts("commented"))[0][1] == "ignore"


def test_an_account_with_the_bots_former_login_is_somebody_else() -> None:
    assert ruled(comment("@bot", actor=Actor(77, "bot")), facts("mentioned"))[0][1] == "wake"


def test_events_of_closed_pulls_are_ignored() -> None:
    closed = msgspec.structs.replace(PULL, state="closed")
    assert ruled(comment("@bot", pull=closed), facts("mentioned")) == [("", "ignore", "the pull is closed")]


@pytest.mark.parametrize(("merged", "word"), [(True, "merged"), (False, "closed")])
def test_closing_puts_the_bottles_away_whoever_did_it(merged: bool, word: str) -> None:
    over = msgspec.structs.replace(PULL, state="closed", merged=merged)
    made = ruled(event(action="closed", pull=over, actor=BOT), facts("opened"), allowed=False)
    assert made == [("", "close", f"{word}: its bottles are put away")]


def test_a_refusal_says_why() -> None:
    assert ruled(event(), facts("opened"), allowed=False) == [("reviewer", "refuse", "because")]


@pytest.mark.parametrize(("forks", "verdict"), [("never", "refuse"), ("ask", "hold"), ("always", "wake")])
@pytest.mark.parametrize("fork", [True, None])
def test_a_pull_that_is_or_may_be_from_a_fork_starts_nothing(forks: str, verdict: str, fork: bool | None) -> None:
    strange = msgspec.structs.replace(PULL, fork=fork)
    assert ruled(event(pull=strange), facts("opened", forks=forks))[0][1] == verdict


SHA = "a" * 40
LET_IN = [
    ("", SHA, "", SHA),
    ("", SHA, "2026-11-21T06:59:59Z", SHA),
    ("", SHA, "2026-11-21T07:00:00Z", ""),  # within the same second: who can tell which came first?
    ("", "b" * 40, "", ""),
    ("", "", "", ""),
    (SHA, "b" * 40, "2026-11-21T07:30:00Z", SHA),
    ("b" * 40, "b" * 40, "", ""),
    ("aaaaaaa", SHA, "", SHA),
    ("bbbbbbb", SHA, "", ""),
    ("aaaaaaa", "b" * 40, "", ""),  # whoever makes both commits makes them begin alike
    ("aaaaaaa", SHA, "2026-11-21T07:30:00Z", ""),
    ("a" * 39, "b" * 40, "", ""),
]


@pytest.mark.parametrize(("named", "told", "pushed_at", "head"), LET_IN)
def test_the_word_for_a_fork_holds_for_a_head_that_was_told_before_it(
    named: str, told: str, pushed_at: str, head: str
) -> None:
    forked = msgspec.structs.replace(PULL, fork=True)
    said = comment(f"@bot ok-to-test {named}", pull=forked)
    command, trusted = command_in(said, "bot"), Ruling(allowed=True, why="because")
    assert command is not None
    order, decision = ordered(said, command, trusted, facts(), head=told, pushed_at=pushed_at)
    assert order is not None and order.head == head and bool(order.trouble) is not bool(head)
    assert decision.verdict == "command"


@pytest.mark.parametrize(("named", "head"), [("", ""), ("aaaaaaa", ""), (SHA, SHA)])
def test_a_word_that_was_edited_in_holds_for_a_commit_that_is_named_in_full(named: str, head: str) -> None:
    said = comment(f"@bot ok-to-test {named}", pull=msgspec.structs.replace(PULL, fork=True))
    command = command_in(said, "bot")
    assert command is not None
    said = msgspec.structs.replace(said, is_reworded=True)
    order, _ = ordered(said, command, Ruling(allowed=True, why="because"), facts(), head=SHA)
    assert order is not None and order.head == head


def test_what_nobody_wants_is_ignored_with_the_words_it_would_need() -> None:
    assert ruled(comment("hi"), facts("mentioned")) == [
        ("", "ignore", "no agent wakes on this: it does not mention @bot")
    ]
    assert ruled(event(), facts("mentioned")) == [("", "ignore", "no agent wakes on opened")]


def test_each_agent_decides_for_itself() -> None:
    agents = {"a": Agent(on=("opened",)), "b": Agent(on=("synchronized",)), "c": Agent(on=("edited", "opened"))}
    made = ruled(event(), Facts(bot=BOT, agents=agents, forks="never"))
    assert [agent for agent, verdict, _ in made if verdict == "wake"] == ["a", "c"]


def test_without_agents_the_log_says_so() -> None:
    assert ruled(event(), Facts(bot=BOT, agents={}, forks="never")) == [("", "ignore", "no agents in the config")]

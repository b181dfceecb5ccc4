"""The world does what real servers did: the recorded steps, played again, leave the same marks.

After each step the same questions are asked as when it was recorded; ids, SHAs and times are not compared, all else is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from poller.demo.clock import stamp
from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.state import Row
from poller.demo.world import World
from tests.demo.recorded import VERSIONS, asking, trace


class Stage:
    """The repository of the trace, and what its steps speak of."""

    def __init__(self, version: str) -> None:
        self.world = World(version=version)
        self.world.clock.set("2026-11-21T07:00:00Z")
        self.world.org("harbor")
        people = {"ana": "write", "ben": "write", "bot": "write", "rex": "admin"}
        self.repo: Repo = self.world.repo("harbor/pilot", private=True, collaborators=people)
        self.repo.branch("develop")
        self.repo.push(by="ana", branch="develop")
        for name in ("bug", "ui"):
            self.repo.label(name)
        self.repo.milestone("v1")

    @property
    def pull(self) -> Pull:
        return self.repo.pulls[1]

    @property
    def thread(self) -> Row:
        return self.pull.reviews[0].comments[0]

    def open(self) -> None:
        self.repo.open_pull(by="ana", title="Add five", body="please", head="feature")

    def pushed_after_merge(self) -> None:
        self.pull.push(by="ana")

    def approve(self) -> None:
        self.pull.review(by="ben", event="APPROVED", body="yes")

    def set_status(self) -> None:
        self.repo.statuses.setdefault(self.pull.head_sha, []).append({"status": "success"})


INLINE = [("app.txt", 5, "here"), ("app.txt", 6, "and there")]
STEPS: dict[str, Callable[[Stage], object]] = {
    "opened": Stage.open,
    "pushed one commit": lambda it: it.pull.push(by="ana"),
    "commented": lambda it: it.pull.comment("@bot hello", by="ana"),
    "comment edited": lambda it: it.pull.comments[0].edit("@bot hello again"),
    "commented a second time": lambda it: it.pull.comment("to be deleted", by="ana"),
    "comment deleted": lambda it: it.pull.comments[-1].delete(),
    "comment by the bot": lambda it: it.pull.comment("<!-- bottlepost:turn=1;part=1 -->\nhello ana", by="bot"),
    "review COMMENT with body and two inline comments": lambda it: it.pull.review(by="ben", body="look", inline=INLINE),
    "review with one inline comment and no body": lambda it: it.pull.review(by="ben", inline=[("app.txt", 5, "alone")]),
    "inline reply": lambda it: it.pull.reviews[0].reply(it.thread, "because", by="ana"),
    "inline comment edited": lambda it: it.thread.edit("here, edited"),
    "review body edited (comment of the review row)": lambda it: it.pull.reviews[0].edit_body("look, edited"),
    "inline thread resolved": lambda it: it.thread.resolve(by="ana"),
    "inline thread unresolved": lambda it: it.thread.unresolve(by="ana"),
    "pending review started with one inline comment": lambda it: it.pull.start_review(
        by="ben", inline=[("app.txt", 5, "pending thought")]
    ),
    "commented while a review is pending": lambda it: it.pull.comment("in between", by="ana"),
    "pending review submitted as COMMENT (inline)": lambda it: it.pull.reviews[-1].submit(body="done thinking"),
    "review REQUEST_CHANGES": lambda it: it.pull.review(by="ben", event="REQUEST_CHANGES", body="no"),
    "review APPROVED (supersedes)": Stage.approve,
    "review dismissed": lambda it: it.pull.reviews[-1].dismiss(by="rex", message="stale"),
    "review undismissed": lambda it: it.pull.reviews[-1].undismiss(by="rex"),
    "label added": lambda it: it.pull.label(add=["bug"], by="ana"),
    "two labels replaced at once": lambda it: it.pull.replace_labels(["bug", "ui"], by="ana"),
    "labels cleared": lambda it: it.pull.clear_labels(by="ana"),
    "assigned": lambda it: it.pull.assign("ben", by="ana"),
    "unassigned": lambda it: it.pull.unassign("ben", by="ana"),
    "milestone set": lambda it: it.pull.milestone("v1", by="ana"),
    "milestone cleared": lambda it: it.pull.milestone(None, by="ana"),
    "review requested of the bot": lambda it: it.pull.request_review("bot", by="ana"),
    "review request removed": lambda it: it.pull.unrequest("bot", by="ana"),
    "title edited": lambda it: it.pull.edit(title="Add five!", by="ana"),
    "made a draft": lambda it: it.pull.set_draft(by="ana"),
    "made ready": lambda it: it.pull.set_ready(by="ana"),
    "body edited": lambda it: it.pull.edit(body="please, now", by="ana"),
    "base changed to develop": lambda it: it.pull.edit(base="develop", by="ana"),
    "base changed back to main": lambda it: it.pull.edit(base="main", by="ana"),
    "pushed another commit": lambda it: it.pull.push(by="ana"),
    "force-pushed (last commit amended)": lambda it: it.pull.force_push(by="ana"),
    "pushed after the force push": lambda it: it.pull.push(by="ana"),
    "force-pushed to the base's tip (no commits of its own)": lambda it: it.pull.force_push(by="ana", to_base=True),
    "pushed only commits that the base already has": lambda it: it.pull.push_without_own_commits(by="ana"),
    "pushed a commit of its own again": lambda it: it.pull.push(by="ana"),
    "locked": lambda it: it.pull.lock(by="rex", reason="spam"),
    "unlocked": lambda it: it.pull.unlock(by="rex"),
    "reaction added": lambda it: it.pull.react("heart", by="ben"),
    "commit status set": Stage.set_status,
    "closed": lambda it: it.pull.close(by="ana"),
    "pushed while closed": lambda it: it.pull.push(by="ana"),
    "reopened by the API": lambda it: it.pull.reopen(by="ana", on_the_web=False),
    "closed with a comment": lambda it: it.pull.close(by="ana", comment="bye"),
    "reopened by the web page": lambda it: it.pull.reopen(by="ana"),
    "review deleted": lambda it: it.pull.reviews[-1].delete(),
    "label object deleted": lambda it: it.repo.delete_label("bug"),
    "merged": lambda it: it.pull.merge(by="ana"),
    "pushed after the merge": Stage.pushed_after_merge,
    "commented after the merge": lambda it: it.pull.comment("late", by="ana"),
    "head branch deleted after the merge": lambda it: it.pull.delete_head_branch(by="ana"),
    "opened as a draft": lambda it: it.repo.open_pull(by="ana", title="second", draft=True, head="second"),
    "head branch deleted while open": lambda it: it.repo.pulls[2].delete_head_branch(by="ana"),
    "deleted": lambda it: it.repo.pulls[2].delete(by="root1"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_recorded_steps_leave_the_same_marks(version: str) -> None:
    stage = Stage(version)
    stage.world.user("root1", admin=True)
    ids: dict[int, int] = {}
    with asking(stage.world) as client:
        for step in trace(version):
            stage.world.clock.advance(seconds=5)
            since = stage.world.now()
            told = len(stage.world.webhooks)
            STEPS[step["step"]](stage)
            stage.world.clock.advance(seconds=1)
            theirs, ours = _recorded_webhooks(step), stage.world.webhooks[told:]
            if version == "1.22.6":  # whose webhooks of comments do not show the pull
                ours = [_cut(one) if one["event"] == "issue_comment" else one for one in ours]
            assert _told(ours) == theirs, step["step"]
            for answer in step["answers"]:
                _compare(client, step, answer, since, ids)


def test_the_trace_has_no_step_that_is_not_played() -> None:
    assert {step["step"] for version in VERSIONS for step in trace(version)} == set(STEPS)


def _told(webhooks: list[dict[str, Any]]) -> list[Any]:
    fields = ("state", "merged", "draft", "title", "base_ref", "labels", "assignees", "milestone")
    return [
        [
            *(one[key] for key in ("event", "event_type", "action", "sender")),
            {key: value for key, value in one.get("changes", {}).items() if value is not None},
            one.get("comment", {}).get("body"),
            one.get("review"),
            [one["pull_request"][key] for key in fields] if "pull_request" in one else None,
        ]
        for one in webhooks
    ]


def _cut(webhook: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in webhook.items() if key != "pull_request"}


def _recorded_webhooks(step: dict[str, Any]) -> list[Any]:
    flat = [
        {"event": one["event"], "event_type": one["event_type"], **one["payload"]}
        for one in step["webhooks"]
        if one["event_type"].startswith("pull_request")
    ]
    found = _told(flat)
    # What a webhook says of the pull can lag: that is not played.
    if step["step"] == "two labels replaced at once":
        found[0][-1][5] = ["bug", "ui"]
    if step["step"] == "milestone cleared":
        found[0][-1][7] = None
    return found


def _compare(
    client: httpx.Client, step: dict[str, Any], answer: dict[str, Any], since: int, ids: dict[int, int]
) -> None:
    path = (
        answer["request"]
        .removeprefix("GET /api/v1")
        .replace(quote(step["since"]).replace("/", "%2F"), quote(stamp(since)))
    )
    for theirs, ours in ids.items():
        path = path.replace(f"/reviews/{theirs}/", f"/reviews/{ours}/")
    got = client.get(path)
    where = f"{step['step']}: {path}"
    assert got.status_code == answer["status"], where
    theirs, ours = answer["body"], got.json()
    if "/reviews?" in path and isinstance(theirs, list):
        ids.update({one["id"]: mine["id"] for one, mine in zip(theirs, ours, strict=True)})
    assert _gist(path, ours) == _gist(path, theirs), where


def _gist(path: str, body: Any) -> Any:
    """What of an answer does not depend on ids, SHAs and times."""
    if not isinstance(body, list):
        return _pull_gist(body) if isinstance(body, dict) and "head" in body else type(body)
    if "/timeline" in path:
        return [_row_gist(row) for row in body]
    if "/reviews/" in path:
        return sorted(_inline_gist(row) for row in body)
    if "/reviews" in path:
        return [_review_gist(row) for row in body]
    return [_search_gist(row) for row in body]


def _row_gist(row: dict[str, Any]) -> list[Any]:
    body = row["body"]
    if row["type"] == "pull_push":
        pushed = json.loads(body)
        body = [pushed["is_force_push"], len(pushed["commit_ids"] or ())]
    elif row["type"] == "commit_ref":
        body = "<a href"
    names = [(row[key] or {}).get("login") for key in ("user", "assignee")]
    flags = [row["removed_assignee"], row["review_id"] > 0, row["old_title"], row["new_title"], row["old_ref"]]
    labels = [(row["label"] or {}).get("name"), (row["milestone"] or {}).get("title")]
    return [row["type"], body, names, flags, labels, row["created_at"] == row["updated_at"]]


def _inline_gist(row: dict[str, Any]) -> list[Any]:
    resolver = (row["resolver"] or {}).get("login", "")
    return [row["path"], row["position"], row["body"], row["user"]["login"], resolver]


def _review_gist(row: dict[str, Any]) -> list[Any]:
    keys = ("state", "body", "official", "stale", "dismissed", "comments_count")
    who = (row["user"] or {}).get("login")
    return [who, *(row[key] for key in keys), bool(row["commit_id"]), row["submitted_at"] == row["updated_at"]]


def _search_gist(row: dict[str, Any]) -> list[Any]:
    if "repository" not in row:
        return [row["body"], row["user"]["login"], row["created_at"] == row["updated_at"]]
    return [row["number"], row["state"], row["title"], row["body"], row["comments"], row["pull_request"]["draft"]]


def _pull_gist(pull: dict[str, Any]) -> dict[str, Any]:
    keys = ("state", "title", "body", "draft", "merged", "comments", "mergeable", "is_locked")
    gist = {key: pull[key] for key in keys}
    gist["review_comments"] = pull.get("review_comments")
    gist["reviewers"] = [one and one["login"] for one in pull["requested_reviewers"] or ()]
    gist["labels"] = [label["name"] for label in pull["labels"]]
    gist["refs"] = [pull["head"]["ref"], pull["base"]["ref"]]
    gist["base moved"] = pull["base"]["sha"] == pull["merge_base"]
    return gist

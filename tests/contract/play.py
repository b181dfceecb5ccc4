"""A fixed and rich sequence of acts on one pull, with what each is known to send and what it is known to keep quiet.

Knows people's calls over HTTP.  Must not know who listens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.contract.stage import Stage


class Act(NamedTuple):
    """`webhooks`: how many deliveries with an event; `silent`: events that no webhook tells.

    `unseen`: webhooks that leave no trace, `maybe_unseen`: those that some versions send besides.  `do` returns False
    where this server cannot do it: then nothing of it is to come.  With `polled` false the next act follows before
    anybody looks.
    """

    what: str
    do: Callable[[Stage], Any]
    webhooks: int = 1
    silent: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    maybe_unseen: tuple[str, ...] = ()
    polled: bool = True


def opened(stage: Stage) -> None:
    stage.number = stage.ground.open_pull(stage.repo, by=stage.ana)


def commented(name: str, body: str) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        stage.kept[name] = stage.do("POST", "issues/{n}/comments", {"body": body}, by=stage.ana)["id"]

    return do


def edited(name: str, body: str) -> Callable[[Stage], None]:
    return lambda stage: stage.do("PATCH", f"issues/comments/{stage.kept[name]}", {"body": body}, by=stage.ana)


def reviewed(name: str, event: str, body: str, *, lines: int = 0) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        (changed, *_) = stage.do("GET", "pulls/{n}/files", by=stage.ben)
        remarks = [
            {"path": changed["filename"], "new_position": nth, "body": f"{name} {nth}"} for nth in range(1, lines + 1)
        ]
        sent = {"event": event, "body": body, "comments": remarks}
        stage.kept[name] = stage.do("POST", "pulls/{n}/reviews", sent, by=stage.ben)["id"]

    return do


def remark_of(stage: Stage, review: str) -> int:
    found: int = min(
        row["id"] for row in stage.do("GET", f"pulls/{{n}}/reviews/{stage.kept[review]}/comments", by=stage.ben)
    )
    return found


def remark_edited(stage: Stage) -> None:
    stage.do("PATCH", f"issues/comments/{remark_of(stage, 'first')}", {"body": "on second thought"}, by=stage.ben)


def remark_deleted(stage: Stage) -> bool:
    """Before 1.25 the answer is 204 too, and nothing happens."""
    remark = remark_of(stage, "first")
    stage.do("DELETE", f"issues/comments/{remark}", by=stage.ben)
    return stage.send("GET", f"issues/comments/{remark}", by=stage.ben).status_code == 404


def resolved(word: str) -> Callable[[Stage], bool]:
    """By the API from 1.26 on only."""
    return lambda stage: (
        stage.send("POST", f"pulls/comments/{remark_of(stage, 'first')}/{word}", by=stage.ana).is_success
    )


def review_text_edited(stage: Stage) -> None:
    rows = stage.do("GET", "issues/{n}/timeline?page=1&limit=50", by=stage.ben)
    row = next(row for row in rows if row["type"] == "review" and row["review_id"] == stage.kept["first"])
    stage.do("PATCH", f"issues/comments/{row['id']}", {"body": "look closer"}, by=stage.ben)


def labelled(method: str, *names: str) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        for name in ("bug", "ui"):
            if name not in stage.kept:
                stage.kept[name] = stage.ground.label(stage.repo, name)
        sent = {"labels": [stage.kept[name] for name in names]}
        stage.do(method, "issues/{n}/labels", None if method == "DELETE" else sent, by=stage.ana)

    return do


def label_object_deleted(stage: Stage) -> None:
    stage.ground.delete_label(stage.repo, stage.kept["bug"])


def milestone(title: str | None) -> Callable[[Stage], None]:
    def do(stage: Stage) -> None:
        number = 0 if title is None else stage.ground.milestone(stage.repo, title)
        stage.do("PATCH", "issues/{n}", {"milestone": number}, by=stage.ana)

    return do


def patched(**sent: Any) -> Callable[[Stage], None]:
    return lambda stage: stage.do("PATCH", "pulls/{n}", sent, by=stage.ana)


def assigned(*who: str) -> Callable[[Stage], None]:
    return lambda stage: stage.do(
        "PATCH", "issues/{n}", {"assignees": [getattr(stage, name) for name in who]}, by=stage.ana
    )


def requested(method: str) -> Callable[[Stage], None]:
    return lambda stage: stage.do(method, "pulls/{n}/requested_reviewers", {"reviewers": [stage.bot]}, by=stage.ana)


def on_review(verb: str, name: str) -> Callable[[Stage], None]:
    return lambda stage: stage.do(
        "POST", f"pulls/{{n}}/reviews/{stage.kept[name]}/{verb}", {"message": "stale"}, by=stage.owner
    )


def review_deleted(stage: Stage) -> None:
    stage.do("DELETE", f"pulls/{{n}}/reviews/{stage.kept['third']}", by=stage.ben)


def rebased(stage: Stage) -> None:
    stage.ground.branch(stage.repo, "develop")
    stage.do("PATCH", "pulls/{n}", {"base": "develop"}, by=stage.ana)


def merged(stage: Stage) -> bool:
    """The server checks first whether it can be merged: until then it says 405."""
    from tests.contract.patience import eventually

    eventually(lambda: stage.send("POST", "pulls/{n}/merge", {"Do": "merge"}, by=stage.owner).is_success)
    return True


def pushed(stage: Stage) -> None:
    stage.ground.push(stage.repo, stage.number, by=stage.ana)


def force_pushed(stage: Stage) -> None:
    stage.ground.force_push(stage.repo, stage.number, by=stage.ana)


def deleted(name: str) -> Callable[[Stage], None]:
    return lambda stage: stage.do("DELETE", f"issues/comments/{stage.kept[name]}", by=stage.ana)


DISMISSAL, THREAD = "pull_request_review_dismissal", "pull_request_thread"
LABELLED = "pull_request_label label_updated"
PLAY = [
    Act("open", opened, maybe_unseen=("pull_request_sync synchronized",)),
    Act("comment", commented("hello", "hello there")),
    Act("comment, edited by its author", edited("hello", "hello, all of you")),
    Act("edit to the same text", edited("hello", "hello, all of you"), webhooks=0),
    Act("another comment", commented("bye", "never mind"), polled=False),
    Act("push", pushed, polled=False),
    Act("review with lines", reviewed("first", "COMMENT", "look", lines=2)),
    Act("remark edited", remark_edited),
    Act("text of a review edited", review_text_edited),
    Act("thread resolved", resolved("resolve"), webhooks=0, silent=(f"{THREAD} resolved",)),
    Act("thread unresolved", resolved("unresolve"), webhooks=0, silent=(f"{THREAD} unresolved",)),
    Act("remark deleted", remark_deleted),
    Act("changes wanted", reviewed("second", "REQUEST_CHANGES", "no")),
    Act("approved, which supersedes", reviewed("third", "APPROVED", "yes")),
    Act("dismissed", on_review("dismissals", "third"), webhooks=0, silent=(f"{DISMISSAL} dismissed",)),
    Act("undismissed", on_review("undismissals", "third"), webhooks=0, silent=(f"{DISMISSAL} undismissed",)),
    Act("review deleted", review_deleted, webhooks=0, silent=(f"{DISMISSAL} deleted",)),
    Act("labels added", labelled("POST", "bug", "ui")),
    Act(
        "labels added that are there", labelled("POST", "bug"), webhooks=0, unseen=("pull_request_label label_updated",)
    ),
    Act("labels replaced", labelled("PUT", "bug")),
    Act("label object deleted", label_object_deleted, webhooks=0, silent=("pull_request_label label_cleared",)),
    Act("label added", labelled("POST", "ui"), polled=False),
    Act("milestone set", milestone("v1")),
    Act("milestone taken away", milestone(None)),
    Act("two assigned", assigned("ana", "ben"), webhooks=2),
    Act("one unassigned", assigned("ben")),
    Act("review requested", requested("POST"), polled=False),
    Act("title", patched(title="Another title")),
    Act("request taken back", requested("DELETE")),
    Act("draft", patched(title="WIP: Another title")),
    Act("description", patched(body="What it is for")),
    Act("title and description in one call", patched(title="The last title", body="What it is really for"), webhooks=2),
    Act("another base", rebased),
    Act("force-push", force_pushed),
    Act("comment deleted", deleted("bye")),
    Act("labels cleared", labelled("DELETE")),
    Act("closed", patched(state="closed")),
    Act("push while closed", pushed, webhooks=0),
    Act("reopened", patched(state="open")),
    Act("push after that", pushed),
    Act("merged", merged),
]

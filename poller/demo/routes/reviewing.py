"""Routes that write reviews, with all that can stay behind when one fails half-way.

Knows the rules of submitting.  Must not know what a review then does to others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poller.demo.access import is_admin, may_write
from poller.demo.git import line_of
from poller.demo.routes.answers import NOTHING, Answer, Call, done
from poller.demo.shapes.people import Json
from poller.demo.shapes.talk import inline_json, review_json

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.state import Row

_EVENTS = {"APPROVED", "REQUEST_CHANGES", "COMMENT"}


def post_review(call: Call) -> Answer:
    """200.  Any event but the three makes a PENDING review, and there is one of those per user and pull."""
    pull, me = call.pull(), call.me()
    event = call.text("event")
    sent = call.sent.get("comments") if isinstance(call.sent, dict) else None
    remarks: list[Json] = [one for one in sent or [] if isinstance(one, dict)]
    _check(call, pull, event, remarks=bool(remarks))
    if not remarks and event in _EVENTS:
        return done(review_json(pull.review(by=me, event=event, body=call.text("body")), call.view))
    started = pull.pending_of(me) is None
    review = pull.start_review(by=me, commit_id=call.text("commit_id") or pull.head_sha)
    for remark in remarks:
        _add(call, pull, remark)
    if event in _EVENTS:
        review.submit(event=event, body=call.text("body"))
    elif started or call.text("body"):
        review.body = call.text("body")
    return done(review_json(review, call.view))


def _check(call: Call, pull: Pull, event: str, *, remarks: bool) -> None:
    if event in {"APPROVED", "REQUEST_CHANGES"}:
        if pull.state == "closed":
            raise call.error(422, "can't submit review for a closed or merged PR")
        if pull.author is call.user:
            verb = "approve" if event == "APPROVED" else "reject"
            raise call.error(422, f"{verb} your own pull is not allowed")
    bare = event == "REQUEST_CHANGES" or (event == "COMMENT" and not remarks)
    if bare and not call.text("body").strip():
        raise call.error(422, f"review event {event} requires a body or a comment")


def _add(call: Call, pull: Pull, remark: Json) -> Row:
    """500 for a line beyond the end (1.26) and for an unknown commit (all); the pending review stays behind."""
    review = pull.pending_of(call.me())
    if review is None or review.commit_id not in call.world.history:
        raise call.error(500, "")
    line = _whole(remark.get("new_position")) or -_whole(remark.get("old_position"))
    path = str(remark.get("path", ""))
    files = call.world.history[review.commit_id].files
    if call.world.version.checks_lines and path in files and line > 0 and line_of(files, path, line) is None:
        raise call.error(500, "")
    return review.add_inline(path, line, str(remark.get("body", "")))


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def submit_review(call: Call) -> Answer:
    """Submit a pending review, once."""
    review, pull = call.review(), call.pull()
    if review.state != "PENDING" or review.user is not call.me():
        raise call.error(422, "only a pending review can be submitted")
    event = call.text("event")
    _check(call, pull, event, remarks=bool(review.comments))
    if event not in _EVENTS:
        raise call.error(422, "review stay pending")
    return done(review_json(review.submit(event=event, body=call.text("body")), call.view))


def delete_review(call: Call) -> Answer:
    """Its author or a site admin; the way out of a stuck pending one."""
    review, me = call.review(), call.me()
    if review.user is not me and not me.is_admin:
        return Answer(status=403, empty=True)
    review.delete(by=me)
    return NOTHING


def reply(call: Call) -> Answer:
    """`pulls/{n}/comments/{id}/replies`: 201, in the thread of that remark; 404 for what this reader cannot see."""
    from poller.demo.routes.reading import find_row

    pull, me = _writable(call), call.me()
    row = find_row(call, call.repo())
    if row.type != "code":
        raise call.error(400, "comment is not a review comment")
    is_hidden = row.review is not None and row.review.state == "PENDING" and row.review.user is not me
    if row.pull.number != pull.number or is_hidden:
        raise call.not_found()
    if not call.text("body"):
        raise call.error(422, "[Body]: Required")
    return done(inline_json(pull.reply(row, call.text("body"), by=me), call.view), 201)


def add_remark(call: Call) -> Answer:
    """Forgejo's `reviews/{id}/comments`: 200, in anybody's review; at the place of another remark it is a reply."""
    pull, review, me = _writable(call), call.review(), call.me()
    path, body = call.text("path"), call.text("body")
    line = _whole(call.sent.get("new_position"))
    if (old := _whole(call.sent.get("old_position"))) > 0:
        line = -old
    there = next((row for row in review.comments if (row.path, row.line) == (path, line)), None)
    row = pull.reply(there, body, by=me) if there is not None else review.add_inline(path, line, body)
    return done(inline_json(row, call.view))


def _writable(call: Call) -> Pull:
    pull = call.pull()
    if pull.repo.archived:
        raise call.error(423, f"{pull.repo.full_name} is archived")
    return pull


def dismiss(call: Call) -> Answer:
    """For admins of the repository; a COMMENT review cannot be dismissed."""
    review = call.review()
    if not is_admin(call.me(), review.pull.repo):
        raise call.error(403, "Must be repo admin")
    if review.state not in {"APPROVED", "REQUEST_CHANGES"}:
        raise call.error(403, "not need to dismiss this review because it's type is not Approve or change request")
    if call.path.endswith("undismissals"):
        review.undismiss(by=call.me())
    else:
        review.dismiss(by=call.me(), message=call.text("message"))
    return done(review_json(review, call.view))


def requested_reviewers(call: Call) -> Answer:
    """POST asks (201 with the requests), DELETE takes back (204)."""
    pull, me = call.pull(), call.me()
    if not may_write(me, pull.repo) and pull.author is not me:
        return Answer(status=403, empty=True)
    sent = call.sent if isinstance(call.sent, dict) else {}
    teams = [team for team in call.world.teams_over(pull.repo) if team.name in sent.get("team_reviewers", [])]
    if call.method == "DELETE":
        for one in [*sent.get("reviewers", []), *teams]:
            pull.unrequest(one, by=me)
        return NOTHING
    asked = [pull.request_review(one, by=me) for one in [*sent.get("reviewers", []), *teams]]
    return done([review_json(one, call.view) for one in asked if one is not None], 201)


def resolve(call: Call) -> Answer:
    """`pulls/comments/{id}/resolve` and `/unresolve`, from 1.26 on, for writers."""
    from poller.demo.routes.reading import find_row

    row = find_row(call, call.repo())
    if not may_write(call.me(), row.pull.repo):
        return Answer(status=403, empty=True)
    if call.path.endswith("unresolve"):
        row.unresolve(by=call.me())
    else:
        row.resolve(by=call.me())
    return NOTHING

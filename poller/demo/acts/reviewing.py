"""Reviews: verdicts, remarks on lines, pending ones, dismissals, requests.

Knows what Gitea does with them, odd as it is.  Must not know plain comments.
"""

from __future__ import annotations

from collections.abc import Iterable

from poller.demo import git
from poller.demo.access import may_write
from poller.demo.acts.common import Acting
from poller.demo.state import Review, Row, Team, User, act

_TOLD = {
    "APPROVED": "pull_request_review_approved",
    "REQUEST_CHANGES": "pull_request_review_rejected",
    "COMMENT": "pull_request_review_comment",
}
_VERDICTS = {"APPROVED", "REQUEST_CHANGES"}
Remark = tuple[str, int, str]


class Reviewing(Acting):
    """What reviewers do.  A remark is (path, line, text); a negative line is one of the old file."""

    @act
    def review(
        self, *, by: User | str, event: str = "COMMENT", body: str = "", inline: Iterable[Remark] = ()
    ) -> Review:
        """Submit a review at once.  With remarks it goes through a pending one, as Gitea's own code does."""
        remarks = list(inline)
        if remarks or self.pending_of(by) is not None:
            return self.submit_review(self.start_review(by=by, inline=remarks), event=event, body=body)
        person = self.world.person(by)
        self._withdraw_requests(person)
        if event in _VERDICTS:
            self._supersede(person)
            self._withdraw_team_requests(person)
        review = self._new_review(person, state=event, body=body)
        review.commit_id = self.head_sha
        return self._submitted(review, person)

    def pending_of(self, user: User | str) -> Review | None:
        """The one pending review that a user may have on a pull."""
        person = self.world.person(user)
        return next((one for one in self.reviews if one.user is person and one.state == "PENDING"), None)

    @act
    def start_review(self, *, by: User | str, inline: Iterable[Remark] = (), commit_id: str = "") -> Review:
        """Start (or go on with) a pending review: nobody but its author and site admins sees it."""
        person = self.world.person(by)
        review = self.pending_of(person) or self._new_review(person, state="PENDING", body="")
        review.commit_id = review.commit_id or commit_id
        for remark in inline:
            self.add_inline(review, *remark)
        return review

    @act
    def add_inline(self, review: Review, path: str, line: int, body: str) -> Row:
        history = self.world.history
        old, new = history[self.merge_base].files, history[self.head_sha].files
        return self.row(
            "code",
            by=review.user or self.author,
            body=body,
            review=review,
            path=path,
            line=line,
            commit_sha=history.line_commit(self.head_sha, path, line),
            hunk=git.hunk_at(old, new, path, line),
        )

    @act
    def submit_review(self, review: Review, *, event: str = "COMMENT", body: str = "") -> Review:
        """Submit a pending review.  It keeps its id and date, and neither supersedes nor answers a request."""
        person = review.user or self.author
        if event in _VERDICTS:
            self._clear_official(person)
            self._withdraw_team_requests(person)
        review.state, review.body, review.commit_id = event, body, review.commit_id or self.head_sha
        review.updated = self.world.now()
        return self._submitted(review, person)

    def _submitted(self, review: Review, person: User) -> Review:
        review.official = review.state in _VERDICTS and may_write(person, self.repo)
        review.stale = review.commit_id != self.head_sha
        review.row = self.noted("review", by=person, body=review.body, review=review)
        told = _TOLD[review.state]
        about = {"row": review.row.id, "review": review.id}
        self.tell(told, "reviewed", by=person, review={"type": told, "content": review.body}, about=about)
        return review

    def _new_review(self, user: User | None, *, state: str, body: str, team: Team | None = None) -> Review:
        now = self.world.now()
        review = Review(
            id=self.world.ids.review(),
            pull=self._pull,
            user=user,
            team=team,
            state=state,
            body=body,
            commit_id="",
            submitted=now,
            updated=now,
        )
        self.reviews.append(review)
        return review

    def _supersede(self, person: User) -> None:
        self._clear_official(person)
        for older in self.reviews:
            if older.user is person and older.state in _VERDICTS:
                older.dismissed, older.updated = True, self.world.now()

    def _clear_official(self, person: User) -> None:
        for older in self.reviews:
            if older.user is person:
                older.official = False

    def _withdraw_requests(self, person: User) -> None:
        self.reviews = [one for one in self.reviews if one.user is not person or one.state != "REQUEST_REVIEW"]

    def _withdraw_team_requests(self, person: User) -> None:
        """A verdict answers the requests of all teams that its author is in; their rows stay."""
        self.reviews = [one for one in self.reviews if one.team is None or person not in one.team.members]

    @act
    def reply(self, comment: Row, body: str, *, by: User | str) -> Row:
        """Answer an inline comment: the stamp and the counter move, no row shows."""
        person = self.world.person(by)
        same = {"path": comment.path, "line": comment.line, "commit_sha": comment.commit_sha, "hunk": comment.hunk}
        row = self.noted("code", by=person, body=body, review=comment.review, is_reply=True, **same)
        self.recount()
        said = {"id": row.id, "body": body}
        self.tell("pull_request_comment", "created", by=person, comment=said, about={"row": row.id})
        return row

    @act
    def resolve(self, comment: Row, *, by: User | str) -> None:
        """Only the first comment of the conversation shows it, and no time does; once more changes nothing."""
        first, person = self._first_of(comment), self.world.person(by)
        if first.resolver is None:
            first.resolver = person
            self.silent("pull_request_thread", "resolved", by=person, comment=first.id)

    @act
    def unresolve(self, comment: Row, *, by: User | str) -> None:
        first, person = self._first_of(comment), self.world.person(by)
        if first.resolver is not None:
            first.resolver = None
            self.silent("pull_request_thread", "unresolved", by=person, comment=first.id)

    def _first_of(self, comment: Row) -> Row:
        place = (comment.review, comment.path, comment.line)
        return next(row for row in self.rows if row.type == "code" and (row.review, row.path, row.line) == place)

    @act
    def dismiss(self, review: Review, *, by: User | str, message: str = "") -> None:
        """A row and a stamp, but no webhook; once more writes another row."""
        review.dismissed, review.updated = True, self.world.now()
        person = self.world.person(by)
        row = self.noted("dismiss_review", by=person, body=message, review=review)
        self.silent("pull_request_review_dismissal", "dismissed", by=person, review=review.id, row=row.id)

    @act
    def undismiss(self, review: Review, *, by: User | str) -> None:
        """Only the review itself shows it."""
        if review.dismissed:
            self.silent("pull_request_review_dismissal", "undismissed", by=self.world.person(by), review=review.id)
        review.dismissed, review.updated = False, self.world.now()

    @act
    def delete_review(self, review: Review) -> None:
        """The review, its rows and every remark in it are gone, replies of others too.  No stamp."""
        self.reviews.remove(review)
        self.rows = [row for row in self.rows if row.review is not review]
        if review.state in _TOLD:
            self.silent("pull_request_review_dismissal", "deleted", by=review.user, review=review.id)
        if review.official:
            earlier = [one for one in self.reviews if one.user is review.user and one.state in _VERDICTS]
            for last in earlier[-1:]:
                last.official = True

    @act
    def request_review(self, reviewer: User | str | Team, *, by: User | str) -> Review | None:
        """Ask a person or a team; `None` (and nothing happens) if that stands already."""
        person = self.world.person(by)
        team = reviewer if isinstance(reviewer, Team) else None
        asked = None if isinstance(reviewer, Team) else self.world.person(reviewer)
        if self._request_of(asked, team) is not None:
            return None
        if asked is not None:
            self._clear_official(asked)
        review = self._new_review(asked, state="REQUEST_REVIEW", body="", team=team)
        review.official = asked is not None and may_write(asked, self.repo)
        row = self.noted("review_request", by=person, assignee=asked, team=team, review=review)
        self._told_request("review_requested", person, asked, row)
        return review

    @act
    def unrequest(self, reviewer: User | str | Team, *, by: User | str) -> None:
        """Take a request back."""
        person = self.world.person(by)
        team = reviewer if isinstance(reviewer, Team) else None
        asked = None if isinstance(reviewer, Team) else self.world.person(reviewer)
        review = self._request_of(asked, team)
        if review is not None:
            self.reviews.remove(review)
            row = self.noted("review_request", by=person, assignee=asked, team=team, removed=True)
            self._told_request("review_request_removed", person, asked, row)

    def _request_of(self, asked: User | None, team: Team | None) -> Review | None:
        wanted = (one for one in self.reviews if one.state == "REQUEST_REVIEW")
        return next((one for one in wanted if one.user is asked and one.team is team), None)

    def _told_request(self, action: str, person: User, asked: User | None, row: Row) -> None:
        login, about = asked.login if asked else None, {"row": row.id, "reviewer": asked.id if asked else None}
        self.tell("pull_request_review_request", action, by=person, requested_reviewer=login, about=about)

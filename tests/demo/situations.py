"""For every recorded sample: the same situation in the world, and the same request.

Knows what the names of the samples mean.  Must not know how answers are compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from poller.demo.pulls import Pull
from tests.demo.recorded import BOT_SCOPES, sample
from tests.demo.scenery import Scenery


class Ask(NamedTuple):
    """A request of the samples: by whom, with which scopes (`None`: no token at all)."""

    path: str
    method: str = "GET"
    sent: dict[str, Any] | None = None
    by: str = "bot"
    scopes: str | None = BOT_SCOPES
    token: str | None = None


def post(path: str, sent: dict[str, Any], *, by: str = "bot", scopes: str = BOT_SCOPES) -> Ask:
    return Ask(path, "POST", sent, by, scopes)


def at(pull: Pull, rest: str = "", *, kind: str = "pulls") -> str:
    return f"/repos/{pull.repo.full_name}/{kind}/{pull.number}{rest}"


def _posted_review(name: str, event: str, comments: list[dict[str, Any]], **more: Any) -> Callable[[Scenery], Ask]:
    def situation(it: Scenery) -> Ask:
        sent = {"event": event, "comments": comments, "body": "v"} | more
        return post(at(it.own_pull(name, by="ana"), "/reviews"), sent)

    return situation


def _last_page(it: Scenery) -> Ask:
    _ = it.crowd
    pages = -(-len([pull for pull in it.world.index.between(None, None) if pull.is_pull]) // 50)
    return Ask(f"/repos/issues/search?type=pulls&state=all&page={pages}&limit=50")


def _several(it: Scenery) -> Ask:
    _ = it.crowd
    return Ask("/repos/issues/search?type=pulls&state=open&limit=50")


def _locked(it: Scenery) -> Ask:
    pull = it.repo("pub/locked", private=False, collaborators={}).open_pull(by="ana")
    if it.version != "1.22.6":  # the recorder had no call to lock it there
        pull.lock(by="pub")
    return post(at(pull, "/comments", kind="issues"), {"body": "x"})


def _archived(it: Scenery) -> Ask:
    pull = it.own_pull("archived")
    pull.repo.archive()
    return post(at(pull, "/comments", kind="issues"), {"body": "x"})


def _deleted(it: Scenery) -> Ask:
    pull = it.own_pull("deleted")
    pull.delete(by="root1")
    return Ask(at(pull))


def _merged(it: Scenery) -> Ask:
    pull = it.own_pull("merged", by="ana")
    pull.comment("late", by="ana")
    pull.merge(by="ana")
    pull.delete_head_branch(by="ana")
    return Ask(at(pull))


def _headless(it: Scenery) -> Ask:
    pull = it.own_pull("headless", by="ana")
    pull.delete_head_branch(by="ana")
    return Ask(at(pull))


def _dismissal(name: str, by: str) -> Callable[[Scenery], Ask]:
    def situation(it: Scenery) -> Ask:
        pull = it.own_pull(name, by="ana")
        it.repo(pull.repo.full_name).collaborator("rex", "admin")
        review = pull.review(by="ben", event="REQUEST_CHANGES", body="wait")
        return post(at(pull, f"/reviews/{review.id}/dismissals"), {"message": "m"}, by=by)

    return situation


def _closed(it: Scenery) -> Ask:
    pull = it.own_pull("closed")
    pull.close(by="ana")
    return post(at(pull, "/reviews"), {"event": "APPROVED", "body": "x"})


def _submitted(it: Scenery) -> Ask:
    pull = it.own_pull("submitted", by="ana")
    review = pull.start_review(by="bot", inline=[("app.txt", 5, "p1")])
    return post(at(pull, f"/reviews/{review.id}"), {"event": "COMMENT", "body": "now"})


def _plain_issue(it: Scenery) -> Ask:
    return Ask(at(it.repo("acme/plain").open_issue(by="ana")))


def _marked_comment(it: Scenery) -> Ask:
    sent = sample(it.version, "post_comment__with_hidden_marker")["sent"]
    return post(at(it.own_pull("marked"), "/comments", kind="issues"), sent)


def _remarks_of(nth: int) -> Callable[[Scenery], Ask]:
    return lambda it: Ask(at(it.everything, f"/reviews/{it.everything.reviews[nth].id}/comments"))


def _page_of_many(page: int) -> Callable[[Scenery], Ask]:
    return lambda it: Ask(at(it.many, f"/timeline?page={page}&limit=50", kind="issues"))


_GOOD = {"path": "app.txt", "body": "good", "new_position": 5}
_BAD = {"path": "app.txt", "body": "bad", "new_position": 4000}
_AFTER = "after_every_kind_of_action"
SITUATIONS: dict[str, Callable[[Scenery], Ask]] = {
    "assignees__of_the_same_repo": lambda it: Ask(f"/repos/{it.team.full_name}/assignees"),
    f"commit_status__{_AFTER}": lambda it: Ask(
        f"/repos/{it.everything.repo.full_name}/commits/{it.everything.head_ref}/status"
    ),
    "error_bad_token": lambda it: Ask("/user", token="no such token"),
    "error_comment_empty_body": lambda it: post(at(it.own_pull("emptied"), "/comments", kind="issues"), {"body": ""}),
    "error_comment_on_archived_repo": _archived,
    "error_comment_on_locked_pull": _locked,
    "error_comment_on_unknown_pull": lambda it: post(
        f"/repos/{it.everything.repo.full_name}/issues/999/comments", {"body": "x"}
    ),
    "error_deleted_pull": _deleted,
    "error_dismissal_by_a_writer": _dismissal("undismissed", "bot"),
    "error_issue_is_not_a_pull": _plain_issue,
    "error_missing_scope_read_user": lambda it: Ask("/user", scopes="write:issue,write:repository"),
    "error_missing_scope_repository": lambda it: Ask(at(it.everything), scopes="read:issue"),
    "error_missing_scope_write_issue": lambda it: post(
        at(it.everything, "/comments", kind="issues"), {"body": "x"}, scopes="read:issue,read:repository,read:user"
    ),
    "error_no_access_repo": lambda it: Ask(f"/repos/{it.repo('acme/secret', collaborators={}).full_name}/pulls"),
    "error_no_token_private_repo": lambda it: Ask(at(it.everything, kind="issues"), scopes=None),
    "error_no_token_user": lambda it: Ask("/user", scopes=None),
    "error_permission_of_another_asked_by_a_writer": lambda it: Ask(
        f"/repos/{it.everything.repo.full_name}/collaborators/ana/permission"
    ),
    "error_public_only_token_private_repo": lambda it: Ask(at(it.everything), scopes=f"{BOT_SCOPES},public-only"),
    "error_review_approve_closed": _closed,
    "error_review_approve_own": lambda it: post(
        at(it.own_pull("mine"), "/reviews"), {"event": "APPROVED", "body": "me"}
    ),
    "error_review_empty": lambda it: post(at(it.own_pull("bare"), "/reviews"), {"event": "COMMENT"}),
    "error_review_pending_asked_by_another_user": lambda it: Ask(at(it.owned, f"/reviews/{it.owned.reviews[0].id}")),
    "error_search_unknown_owner": lambda it: Ask("/repos/issues/search?type=pulls&state=all&owner=nobody"),
    "error_since_invalid": lambda it: Ask("/repos/issues/search?type=pulls&state=all&since=yesterday"),
    "error_status_unknown_sha": lambda it: post(
        f"/repos/{it.everything.repo.full_name}/statuses/{'0' * 39}1", {"state": "success", "context": "c"}
    ),
    "error_timeline_of_unknown_issue": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/issues/999/timeline"),
    "error_unknown_pull": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/pulls/999"),
    "error_unknown_repo": lambda it: Ask("/repos/acme/nonesuch/pulls"),
    "error_unknown_route": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/nonesuch"),
    f"git_refs_pull__{_AFTER}": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/git/refs/pull"),
    "git_refs_pull__repo_without_pulls": lambda it: Ask(f"/repos/{it.repo('acme/empty').full_name}/git/refs/pull"),
    "issue__after_its_author_was_deleted": lambda it: Ask(at(it.forked.pulls[5], kind="issues")),
    f"issue_comments__{_AFTER}": lambda it: Ask(at(it.everything, "/comments", kind="issues")),
    "permission__of_a_team_writer_asked_by_repo_admin": lambda it: Ask(
        f"/repos/{it.team.full_name}/collaborators/u_w/permission", by="u_a"
    ),
    "permission__of_another_asked_by_repo_admin": lambda it: Ask(
        f"/repos/{it.everything.repo.full_name}/collaborators/ana/permission", by="root1"
    ),
    "permission__of_oneself": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/collaborators/bot/permission"),
    "post_comment__with_hidden_marker": _marked_comment,
    "post_dismissal__by_repo_admin": _dismissal("to-dismiss", "rex"),
    "post_review__inline_line_beyond_the_end": _posted_review("beyond", "COMMENT", [_BAD]),
    "post_review__inline_unknown_path": _posted_review("pathless", "COMMENT", [_GOOD | {"path": "nope.txt"}]),
    "post_review__pending": _posted_review("pending", "PENDING", [_GOOD]),
    "post_review__second_inline_line_beyond_the_end__try_1": _posted_review("try1", "COMMENT", [_GOOD, _BAD]),
    "post_review__second_inline_line_beyond_the_end__try_2": _posted_review("try2", "COMMENT", [_GOOD, _BAD]),
    "post_review__submit_the_pending_one": _submitted,
    "post_review__third_try_without_the_bad_line": _posted_review("try3", "COMMENT", [_GOOD]),
    f"pull__{_AFTER}": lambda it: Ask(at(it.everything)),
    "pull__closed_by_head_branch_deletion": _headless,
    "pull__from_fork": lambda it: Ask(at(it.forked.pulls[1])),
    "pull__from_fork_after_fork_deleted": lambda it: Ask(at(it.forked.pulls[3])),
    "pull__from_fork_after_head_branch_deleted": lambda it: Ask(at(it.forked.pulls[2])),
    "pull__from_fork_made_private": lambda it: Ask(at(it.forked.pulls[4])),
    "pull__merged_after_head_branch_deleted": _merged,
    f"pull_commits__{_AFTER}": lambda it: Ask(at(it.everything, "/commits")),
    f"pull_files__{_AFTER}": lambda it: Ask(at(it.everything, "/files")),
    f"pulls_list__{_AFTER}": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/pulls?state=all&sort=recentupdate"),
    "redirect__get_under_the_old_repo_name": lambda it: Ask(f"/repos/acme/before/pulls/{it.moved.last_number}?x=1"),
    "redirect__post_under_the_old_repo_name": lambda it: post(
        f"/repos/acme/before/issues/{it.moved.last_number}/comments", {"body": "to the old name"}
    ),
    f"repo_comments__{_AFTER}": lambda it: Ask(f"/repos/{it.everything.repo.full_name}/issues/comments"),
    "repo_comments__since_after_edits": lambda it: Ask(
        f"/repos/{it.edited.repo.full_name}/issues/comments?since=2026-11-21T07:00:00Z&page=1"
    ),
    "repo_teams__as_a_collaborator": lambda it: Ask(f"/repos/{it.team.full_name}/teams"),
    **{f"review_comments_{number}__{_AFTER}": _remarks_of(nth) for nth, number in ((0, 1), (1, 2), (3, 5))},
    "review_comments__none": lambda it: Ask(
        at(it.late, f"/reviews/{next(one for one in it.late.reviews if not one.comments).id}/comments")
    ),
    "review_comments__of_a_pending_review_submitted_late": lambda it: Ask(
        at(it.late, f"/reviews/{it.late.reviews[0].id}/comments")
    ),
    "review_comments__of_the_review_after_the_three_tries": lambda it: Ask(
        at(it.tried, f"/reviews/{it.tried.reviews[-1].id}/comments")
    ),
    f"reviews__{_AFTER}": lambda it: Ask(at(it.everything, "/reviews")),
    "reviews__after_pending_review_submitted_late": lambda it: Ask(at(it.late, "/reviews")),
    "reviews__after_push_dismissed_an_approval": lambda it: Ask(at(it.dismissed, "/reviews")),
    "reviews__after_review_body_edited": lambda it: Ask(at(it.edited, "/reviews")),
    "reviews__after_review_request_of_a_team": lambda it: Ask(at(it.teamed("acme/asked"), "/reviews")),
    "reviews__after_the_three_tries": lambda it: Ask(at(it.tried, "/reviews")),
    "reviews__none": lambda it: Ask(at(it.paging.pulls[56], "/reviews")),
    "reviews__pending_one_seen_by_a_site_admin": lambda it: Ask(at(it.owned, "/reviews"), by="root1"),
    "reviews__pending_one_seen_by_another_user": lambda it: Ask(at(it.owned, "/reviews")),
    "reviews__pending_one_seen_by_its_author": lambda it: Ask(at(it.owned, "/reviews"), by="ben"),
    f"search__{_AFTER}": lambda it: Ask(
        f"/repos/issues/search?type=pulls&state=all&owner={it.everything.repo.owner.login}&limit=50"
    ),
    "search__last_page_with_public_repos_of_strangers": _last_page,
    "search__one_row_of_a_fork_pull": lambda it: Ask(f"/repos/issues/search?type=pulls&owner={it.forked.owner.login}"),
    "search__rows_of_several_repos": _several,
    "search__since_nothing_changed": lambda it: Ask(
        "/repos/issues/search?type=pulls&state=all&since=2037-01-01T00%3A00%3A00Z"
    ),
    "settings_api": lambda it: Ask("/settings/api"),
    **{
        f"timeline__9_comments_110_inline_comments_1_comment__page_{page}_of_3": _page_of_many(page)
        for page in (1, 2, 3)
    },
    "timeline__after_comment_and_review_body_edited": lambda it: Ask(at(it.edited, "/timeline", kind="issues")),
    f"timeline__{_AFTER}": lambda it: Ask(at(it.everything, "/timeline", kind="issues")),
    "timeline__after_its_author_was_deleted": lambda it: Ask(at(it.forked.pulls[5], "/timeline", kind="issues")),
    "timeline__after_pending_review_submitted_late": lambda it: Ask(at(it.late, "/timeline", kind="issues")),
    "timeline__after_push_dismissed_an_approval": lambda it: Ask(at(it.dismissed, "/timeline", kind="issues")),
    "timeline__after_review_request_of_a_team": lambda it: Ask(
        at(it.teamed("acme/asked-too"), "/timeline", kind="issues")
    ),
    "timeline__page_after_the_hidden_ones": lambda it: Ask(
        at(it.paging.pulls[1], "/timeline?page=65&limit=1", kind="issues")
    ),
    "timeline__page_of_hidden_rows_only": lambda it: Ask(
        at(it.paging.pulls[1], "/timeline?page=64&limit=1", kind="issues")
    ),
    "timeline__short_page_in_the_middle": lambda it: Ask(
        at(it.paging.pulls[1], "/timeline?page=7&limit=10", kind="issues")
    ),
    "timeline__since_nothing_changed": lambda it: Ask(
        at(it.everything, "/timeline?since=2037-01-01T00:00:00Z", kind="issues")
    ),
    "user": lambda it: Ask("/user"),
    "version": lambda it: Ask("/version"),
}

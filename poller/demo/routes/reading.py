"""Routes that read one pull: its row, timeline, comments, reviews, diff.

Knows what is shown to whom, in which order and pages.  Must not know the search.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from poller.demo import git
from poller.demo.access import may_read
from poller.demo.clock import stamp
from poller.demo.routes.answers import NOTHING, Answer, Call, done, sees, totals
from poller.demo.shapes.people import Json, user_json
from poller.demo.shapes.pulls import pull_json, row_json
from poller.demo.shapes.talk import comment_json, inline_json, review_json, row_of_timeline_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from poller.demo.pulls import Pull
    from poller.demo.repos import Repo
    from poller.demo.state import Row


def issue(call: Call) -> Answer:
    return done(row_json(call.issue(), call.view))


def pull(call: Call) -> Answer:
    return done(pull_json(call.pull(), call.view))


def _within(call: Call, rows: Iterable[Row]) -> list[Row]:
    """Rows whose `updated_at` lies between `since` and `before`, both included, in the order of their making."""
    since, before = call.stamp("since"), call.stamp("before")
    kept = [
        row for row in rows if (since is None or row.updated >= since) and (before is None or row.updated <= before)
    ]
    return sorted(kept, key=lambda row: (row.created, row.id))


def timeline(call: Call) -> Answer:
    """Hidden rows count for the page and are dropped then: the total is what is left, and an empty page is `null`."""
    page = call.cut(_within(call, call.issue_or_crash(even_if_off=True).rows))
    shown = [row_of_timeline_json(row, call.view) for row in page if _shown(call, row)]
    return done(shown or None, headers=totals(len(shown)))


def _shown(call: Call, row: Row) -> bool:
    if row.source is not None and not may_read(call.user, row.source):
        return False
    return row.type != "code"


def issue_comments(call: Call) -> Answer:
    """All plain comments at once, whatever page is asked for."""
    rows = _within(call, call.issue_or_crash().comments)
    return done([comment_json(row, call.view) for row in rows], headers=totals(len(rows)))


def repo_comments(call: Call) -> Answer:
    """Plain comments of all issues and pulls of the repository."""
    rows = _within(call, (row for pull in call.repo().pulls.values() for row in pull.comments))
    return done([comment_json(row, call.view) for row in call.cut(rows)], headers=totals(len(rows)))


def find_row(call: Call, repo: Repo) -> Row:
    """The row of any kind with the id of the path, or 404."""
    wanted = call.number("id")
    found = next((row for pull in repo.pulls.values() for row in pull.rows if row.id == wanted), None)
    if found is None:
        raise call.not_found()
    return found


def comment(call: Call) -> Answer:
    """200 for a plain comment, 204 for rows of other kinds: a cheap probe."""
    row = find_row(call, call.repo())
    return done(comment_json(row, call.view)) if row.type == "comment" else NOTHING


def reviews(call: Call) -> Answer:
    """Others' pending ones are cut out after the page; the total counts them."""
    try:
        found = call.pull()
    except Exception:
        repo = call.repo()
        said = "pull request does not exist [id: 0, issue_id: 0, head_repo_id: 0, base_repo_id: "
        raise call.not_found("GetPullRequestByIndex", [f"{said}{repo.id}, head_branch: , base_branch: ]"]) from None
    page = call.cut(found.reviews)
    rows = [review_json(one, call.view) for one in page if sees(one, call.user)]
    return done(rows, headers=totals(len(found.reviews)))


def review(call: Call) -> Answer:
    return done(review_json(call.review(), call.view))


def review_comments(call: Call) -> Answer:
    """All at once, without a total, and in another order from read to read."""
    rows = call.review().comments
    random.shuffle(rows)
    return done([inline_json(row, call.view) for row in rows])


def diff(call: Call) -> Answer:
    """The pull's changes as text."""
    found = call.pull()
    history = found.world.history
    body = git.diff(history[found.merge_base].files, history[found.head_sha].files) if found.merge_base else ""
    return Answer(body=body, text="text/plain; charset=utf-8")


def files(call: Call) -> Answer:
    """The changed files of the pull."""
    found, history = call.pull(), call.world.history
    head = found.head_sha
    old, new = history[found.merge_base].files if found.merge_base else {}, history[head].files
    web = f"{call.view.url}/{found.repo.full_name}"
    rows: list[Json] = []
    for path in git.changed_paths(old, new):
        added, deleted, _ = git.counts(
            {path: old[path]} if path in old else {}, {path: new[path]} if path in new else {}
        )
        rows.append(
            {
                "filename": path,
                "status": "added" if path not in old else "deleted" if path not in new else "changed",
                "additions": added,
                "deletions": deleted,
                "changes": added + deleted,
                "html_url": f"{web}/src/commit/{head}/{path}",
                "contents_url": f"{call.view.api}/repos/{found.repo.full_name}/contents/{path}?ref={head}",
                "raw_url": f"{web}/raw/commit/{head}/{path}",
            }
        )
    return done(rows, headers=_paged_totals(len(rows)))


def _paged_totals(total: int) -> dict[str, str]:
    return {
        "X-Total-Count": str(total),
        "X-Page": "1",
        "X-PerPage": "50",
        "X-PageCount": "1",
        "X-HasMore": "false",
        "Access-Control-Expose-Headers": "X-Total-Count, X-Page, X-PerPage, X-PageCount, X-HasMore",
    }


def commits(call: Call) -> Answer:
    """The commits of the pull, newest first."""
    found = call.pull()
    rows = [_commit(call, found, sha) for sha in reversed(found.own_commits())]
    return done(rows, headers=_paged_totals(len(rows)))


def _commit(call: Call, found: Pull, sha: str) -> Json:
    history, name = call.world.history, found.repo.full_name
    one = history[sha]
    api, when = f"{call.view.api}/repos/{name}/git", stamp(one.at)
    below = history[one.parents[0]].files if one.parents else {}
    added, deleted, _ = git.counts(below, one.files)
    person = {"name": one.author.login, "email": one.author.email, "date": when}
    unsigned = {
        "verified": False,
        "reason": "gpg.error.not_signed_commit",
        "signature": "",
        "signer": None,
        "payload": "",
    }
    return {
        "url": f"{api}/commits/{sha}",
        "sha": sha,
        "created": when,
        "html_url": f"{call.view.url}/{name}/commit/{sha}",
        "commit": {
            "url": f"{api}/commits/{sha}",
            "author": person,
            "committer": dict(person),
            "message": one.message,
            "tree": {"url": f"{api}/trees/{sha}", "sha": sha, "created": when},
            "verification": unsigned,
        },
        "author": user_json(one.author, call.view),
        "committer": user_json(one.author, call.view),
        "parents": [{"url": f"{api}/commits/{up}", "sha": up, "created": "0001-01-01T00:00:00Z"} for up in one.parents],
        "files": [{"filename": path, "status": "modified"} for path in git.changed_paths(below, one.files)],
        "stats": {"total": added + deleted, "additions": added, "deletions": deleted},
    }

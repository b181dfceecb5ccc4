"""Routes that write: comments, reactions, statuses, edits.

Knows who may, and what a refused or half-done write answers.  Must not know what the act then does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poller.demo.access import is_admin, may_write
from poller.demo.clock import stamp
from poller.demo.routes.answers import NOTHING, Answer, Call, done
from poller.demo.routes.reading import find_row
from poller.demo.shapes.people import user_json
from poller.demo.shapes.pulls import pull_json, row_json
from poller.demo.shapes.talk import comment_json

if TYPE_CHECKING:
    from poller.demo.pulls import Pull
    from poller.demo.repos import Repo
    from poller.demo.state import Row

FORBIDDEN = Answer(status=403, empty=True)


def _writable(call: Call) -> Repo:
    """The repository, unless it is archived; somebody must ask."""
    repo = call.repo()
    call.me()
    if repo.archived:
        name = f"<Repository {repo.id}:{repo.full_name}>" if call.world.version.old_json else repo.full_name
        raise call.error(423, f"{name} is archived")
    return repo


def _mine(call: Call, pull: Pull, author: object) -> bool:
    return call.user is author or may_write(call.user, pull.repo)


def post_comment(call: Call) -> Answer:
    """201; an unknown pull is a 500."""
    _writable(call)
    if not call.text("body"):
        raise call.error(422, "[Body]: Required")
    issue = call.issue_or_crash()
    if issue.locked and not may_write(call.user, issue.repo):
        raise call.error(403, "You cannot comment on a locked issue.")
    return done(comment_json(issue.comment(call.text("body"), by=call.me()), call.view), 201)


def patch_comment(call: Call) -> Answer:
    """Author or writer; also inline comments and the rows of reviews.  Other kinds: 204."""
    row = find_row(call, _writable(call))
    if not _mine(call, row.pull, row.user):
        return FORBIDDEN
    if row.type not in {"comment", "code", "review"}:
        return NOTHING
    if not call.text("body"):
        raise call.error(422, "[Body]: Required")
    row.edit(call.text("body"), by=call.me())
    return done(comment_json(row, call.view))


def delete_comment(call: Call) -> Answer:
    """204, in an archived repository too; of what cannot be deleted so, nothing happens."""
    row = find_row(call, call.repo())
    call.me()
    if not _mine(call, row.pull, row.user):
        return FORBIDDEN
    if row.type == "comment" or (row.type in {"code", "review"} and call.world.version.inline_deletable):
        row.delete(by=call.me())
    return NOTHING


def issue_reactions(call: Call) -> Answer:
    return _reactions(call, call.issue(), None)


def comment_reactions(call: Call) -> Answer:
    row = find_row(call, call.repo())
    return _reactions(call, row.pull, row)


def _reactions(call: Call, pull: Pull, row: Row | None) -> Answer:
    """GET lists, POST is 201 when new and 200 when it was there, DELETE is 200."""
    from poller.demo.routes.instance import REACTIONS

    target = row.id if row else 0
    if call.method == "GET":
        found = [one for one in pull.reactions if one[0] == target]
        return done([_reaction(call, *one) for one in found])
    me, content = call.me(), call.text("content")
    if call.method == "DELETE":
        pull.reactions = [one for one in pull.reactions if one[:3] != (target, me, content)]
        return Answer(empty=True)
    if content not in REACTIONS or (pull.locked and not may_write(me, pull.repo)):
        raise call.error(403, f"'{content}' is not an allowed reaction")
    fresh = pull.react(content, by=me, to=row)
    return done(_reaction(call, target, me, content, call.world.now()), 201 if fresh else 200)


def _reaction(call: Call, _target: int, user: Any, content: str, at: int) -> dict[str, Any]:
    return {"user": user_json(user, call.view), "content": content, "created_at": stamp(at)}


def statuses(call: Call) -> Answer:
    """`statuses/{sha}`: any word is taken as state, a branch or a short SHA as commit; an unknown one is a 500."""
    repo = call.repo()
    sha = repo.branches.get(call.names["sha"]) or call.world.history.resolve(call.names["sha"])
    if call.method == "GET":
        return done(list(repo.statuses.get(sha or "", [])))
    me = call.me()
    if not may_write(me, repo):
        raise call.error(403, "user should have a permission to write to a repo")
    if sha is None:
        raise call.error(500, "")
    known = repo.statuses.setdefault(sha, [])
    now = stamp(call.world.now())
    status = {
        "id": len(known) + 1,
        "status": call.text("state"),
        "target_url": call.text("target_url"),
        "description": call.text("description"),
        "url": f"{call.view.api}/repos/{repo.full_name}/statuses/{sha}",
        "context": call.text("context") or "default",
        "creator": user_json(me, call.view),
        "created_at": now,
        "updated_at": now,
    }
    known.append(status)
    return done(status, 201)


def combined_status(call: Call) -> Answer:
    """`commits/{ref}/status`."""
    from poller.demo.routes.answers import totals
    from poller.demo.shapes.repos import repo_json

    repo = call.repo()
    sha = repo.branches.get(call.names["sha"]) or call.world.history.resolve(call.names["sha"])
    if sha is None:
        raise call.not_found()
    known = repo.statuses.get(sha, [])
    api = f"{call.view.api}/repos/{repo.full_name}/commits/{sha}"
    old = call.world.version.old_json and not known
    body = {
        "state": known[-1]["status"] if known else "",
        "sha": "" if old else sha,
        "total_count": len(known),
        "statuses": known or None,
        "repository": None if old else repo_json(repo, call.view),
        "commit_url": "" if old else api,
        "url": "" if old else f"{api}/status",
    }
    return done(body, headers={} if old else totals(len(known)))


def patch_pull(call: Call) -> Answer:
    """201, also for a change of state.  Labels changed here send no webhook."""
    pull = call.pull()
    return _patched(call, pull) or done(pull_json(pull, call.view), 201)


def patch_issue(call: Call) -> Answer:
    issue = call.issue()
    return _patched(call, issue) or done(row_json(issue, call.view), 201)


def _patched(call: Call, pull: Pull) -> Answer | None:
    me, sent = call.me(), call.sent if isinstance(call.sent, dict) else {}
    if not _mine(call, pull, pull.author):
        return FORBIDDEN
    base = sent.get("base")
    if base is not None and base not in pull.repo.branches:
        raise call.error(404, f"New base '{base}' not exist")
    moment = sent.get("updated_at")
    if isinstance(moment, str) and call.world.version.backdates and is_admin(me, pull.repo):
        with call.world.backdated(moment):
            pull.edit(by=me, title=sent.get("title") or None, body=sent.get("body"))
        return None
    pull.edit(by=me, title=sent.get("title") or None, body=sent.get("body"))
    if isinstance(sent.get("assignees"), list):
        pull.unassign(*[one for one in pull.assignees if one.login not in sent["assignees"]], by=me)
        pull.assign(*sent["assignees"], by=me)
    if "milestone" in sent:
        title = next((one.title for one in pull.repo.milestones if one.id == sent["milestone"]), None)
        pull.milestone(title, by=me)
    if base is not None:
        pull.edit(by=me, base=base)
    if sent.get("state") == "closed" and pull.state == "open":
        pull.close(by=me)
    elif sent.get("state") == "open" and pull.state == "closed" and pull.merged is None:
        pull.reopen(by=me, on_the_web=False)
    return None


def labels(call: Call) -> Answer:
    """`issues/{n}/labels`: POST adds, PUT sets, DELETE clears; names or ids."""
    from poller.demo.shapes.pulls import label_json

    issue = call.issue()
    if call.method != "GET" and not may_write(call.user, issue.repo):
        return FORBIDDEN
    wanted = (call.sent or {}).get("labels", []) if isinstance(call.sent, dict) else []
    names = [one.name for one in issue.repo.labels if one.id in wanted or one.name in wanted]
    if call.method == "POST":
        issue.label(add=names, by=call.me())
    elif call.method == "PUT":
        issue.replace_labels(names, by=call.me())
    elif call.method == "DELETE":
        issue.clear_labels(by=call.me())
        return NOTHING
    return done([label_json(one, issue.repo, call.view) for one in issue.labels])


def lock(call: Call) -> Answer:
    """PUT locks, DELETE unlocks, for admins; versions before 1.25 have no such route."""
    issue = call.issue()
    if not is_admin(call.me(), issue.repo):
        return FORBIDDEN
    if call.method == "PUT":
        issue.lock(by=call.me(), reason=call.text("lock_reason"))
    else:
        issue.unlock(by=call.me())
    return NOTHING


def post_pull(call: Call) -> Answer:
    """Open a pull request from a branch that is there (`owner:branch` for a fork's)."""
    repo, me = _writable(call), call.me()
    fork, _, head = call.text("head").rpartition(":")
    source = call.world.fork_of(repo, fork) if fork else repo
    if source is None or head not in source.branches or call.text("base") not in repo.branches:
        raise call.not_found()
    if any(one.head_ref == head and one.head_repo is source and one.state == "open" for one in repo.pulls.values()):
        raise call.error(409, "pull request already exists for these targets")
    pull = repo.open_pull(
        by=me,
        title=call.text("title"),
        body=call.text("body"),
        head=head,
        base=call.text("base"),
        fork=source.full_name if fork else None,
    )
    return done(pull_json(pull, call.view), 201)


def merge_pull(call: Call) -> Answer:
    """Merge it: 200 without a body, 405 for what cannot be merged."""
    pull, me = call.pull(), call.me()
    if not may_write(me, pull.repo) or pull.state != "open" or pull.draft:
        raise call.error(405, "Please try again later")
    pull.merge(by=me, style=call.text("Do") or "merge", delete_branch=call.flag("delete_branch_after_merge"))
    return Answer(empty=True)

"""Routes that list pulls and repositories: the search above all.

Knows filters, order, pages.  Must not know timelines.
"""

from __future__ import annotations

from collections.abc import Callable

from poller.demo.access import may_read
from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.routes.answers import Answer, Call, done, totals
from poller.demo.shapes.pulls import pull_json, row_json
from poller.demo.shapes.repos import repo_json
from poller.demo.state import User


def search(call: Call) -> Answer:
    """`/repos/issues/search`: everything the token may read, and every public repository of the instance."""
    owner = _owner(call)
    readable: dict[int, bool] = {}

    def shown(pull: Pull) -> bool:
        repo = pull.repo
        if owner is not None and repo.owner is not owner:
            return False
        if repo.id not in readable:
            hidden = call.token is not None and call.token.public_only and repo.private
            readable[repo.id] = not hidden and may_read(call.user, repo)
        return readable[repo.id]

    version = call.world.version
    return _rows(call, shown, default=version.search_limit, capped=version.caps_search)


def _owner(call: Call) -> User | None:
    """`owner` (any case) narrows the search, `team` wants it; both must be known."""
    name = call.query.get("owner", "")
    owner = call.world.users.get(name.lower())
    if name and owner is None:
        raise call.error(400, f"user does not exist [uid: 0, name: {name}]")
    if call.query.get("team"):
        if owner is None:
            raise call.error(400, "Owner organisation is required for filtering on team")
        if not any(team.name == call.query["team"] for team in call.world.teams.get(owner.id, ())):
            raise call.error(400, f"team does not exist [org_id {owner.id}, team_id 0, name: {call.query['team']}]")
    return owner


def repo_issues(call: Call) -> Answer:
    """`/repos/{r}/issues`: the same rows of one repository."""
    repo = call.repo()
    return _rows(call, lambda pull: pull.repo is repo, default=30, capped=True)


def _rows(call: Call, shown: Callable[[Pull], bool], *, default: int, capped: bool) -> Answer:
    found = [pull for pull in call.world.index.between(call.stamp("since"), call.stamp("before")) if shown(pull)]
    wanted = _filters(call)
    found = [pull for pull in found if all(one(pull) for one in wanted)]
    if call.whole("limit") == -1:
        return done([row_json(pull, call.view) for pull in found], headers=totals(len(found)))
    page, limit = call.page(default=default, capped=capped)
    rows = [row_json(pull, call.view) for pull in found[(page - 1) * limit : page * limit]]
    return done(rows, headers=call.links(page=page, limit=limit, total=len(found)))


def _filters(call: Call) -> list[Callable[[Pull], bool]]:
    """Unknown values are ignored, not refused: the answer holds more than was asked for."""
    query = call.query
    filters: list[Callable[[Pull], bool]] = []
    kind = {"pulls": True, "issues": False}.get(query.get("type", ""))
    if kind is not None:
        filters.append(lambda pull: pull.is_pull is kind)
    state = query.get("state") or "open"
    if state in {"open", "closed"}:
        filters.append(lambda pull: pull.state == state)
    known = (
        {label.name for repo in call.world.repos_by_id.values() for label in repo.labels}
        if "labels" in query
        else set()
    )
    names = {name for name in query.get("labels", "").split(",") if name in known}
    if names:
        filters.append(lambda pull: names <= {label.name for label in pull.labels})
    me = call.user
    if query.get("created") == "true":
        filters.append(lambda pull: pull.author is me)
    if query.get("assigned") == "true":
        filters.append(lambda pull: me in pull.assignees)
    if query.get("review_requested") == "true":
        filters.append(lambda pull: any(one.user is me and one.state == "REQUEST_REVIEW" for one in pull.reviews))
    return filters


def pulls(call: Call) -> Answer:
    """`/repos/{r}/pulls`: newest number first, or by last change with `sort=recentupdate`."""
    repo = call.repo()
    if not repo.pulls_enabled:
        raise call.not_found()
    state = call.query.get("state") or "open"
    found = [
        pull
        for pull in repo.pulls.values()
        if pull.is_pull and (state not in {"open", "closed"} or pull.state == state)
    ]
    if call.query.get("sort") == "recentupdate":
        found.sort(key=lambda pull: (pull.updated, pull.id), reverse=True)
    else:
        found.sort(key=lambda pull: pull.number, reverse=True)
    page, limit = call.page()
    rows = [pull_json(pull, call.view, listed=True) for pull in found[(page - 1) * limit : page * limit]]
    return done(rows, headers=call.links(page=page, limit=limit, total=len(found)))


def repos_of_user(call: Call) -> Answer:
    """`/users/{u}/repos`, for organisations too."""
    name = call.names["user"].lower()
    owner = call.world.users.get(name)
    if owner is None:
        raise _user_gone(call, name)
    return _repos(call, [repo for repo in call.world.repos_by_id.values() if repo.owner is owner])


def _user_gone(call: Call, name: str) -> Exception:
    renamed = call.world.renamed_users.get(name)
    if renamed is None:
        return call.not_found("GetUserByName", [f"user does not exist [uid: 0, name: {name}]"])
    parts = call.path.split("/")
    return call.moved("/api/v1/" + "/".join(["users", renamed.login, *parts[3:]]), 307)


def repos_of_org(call: Call) -> Answer:
    """`/orgs/{o}/repos`."""
    owner = call.world.users.get(call.names["org"].lower())
    if owner is None or not owner.is_org:
        raise call.not_found()
    return _repos(call, [repo for repo in call.world.repos_by_id.values() if repo.owner is owner])


def my_repos(call: Call) -> Answer:
    """`/user/repos`: mine or shared with me."""
    me = call.me()

    def mine(repo: Repo) -> bool:
        shared = repo.owner is me or me.id in repo.collaborators
        return shared or any(me in team.members for team in call.world.teams_over(repo))

    return _repos(call, [repo for repo in call.world.repos_by_id.values() if mine(repo)])


def search_repos(call: Call) -> Answer:
    """`/repos/search`: `{ok, data}`."""
    words = call.query.get("q", "").lower()
    found = [repo for repo in call.world.repos_by_id.values() if words in repo.name.lower()]
    listed = _repos(call, found)
    return Answer(body={"ok": True, "data": listed.body}, headers=listed.headers)


def _repos(call: Call, repos: list[Repo]) -> Answer:
    hidden = call.token is not None and call.token.public_only
    shown = [repo for repo in repos if may_read(call.user, repo) and not (hidden and repo.private)]
    page, limit = call.page()
    rows = [repo_json(repo, call.view) for repo in shown[(page - 1) * limit : page * limit]]
    return done(rows, headers=call.links(page=page, limit=limit, total=len(shown)))

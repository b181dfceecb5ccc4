"""Who may do what in a repository.

Knows owners, collaborators and teams.  Must not know tokens' scopes or HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poller.demo.repos import Repo
    from poller.demo.state import Team, User

NONE, READ, WRITE, ADMIN, OWNER = range(5)
LEVELS = {"none": NONE, "read": READ, "write": WRITE, "admin": ADMIN, "owner": OWNER}
UNITS = (
    "repo.actions", "repo.code", "repo.ext_issues", "repo.ext_wiki", "repo.issues",
    "repo.packages", "repo.projects", "repo.pulls", "repo.releases", "repo.wiki",
)  # fmt: skip


def teams_of(user: User, repo: Repo) -> list[Team]:
    """The teams through which the user comes to the repository."""
    return [team for team in repo.world.teams_over(repo) if user in team.members]


def level(user: User | None, repo: Repo, *, unit: str = "repo.code") -> int:
    """What a user may do in a unit: the most that anything gives him."""
    best = NONE if repo.private else READ
    if user is None or user.deleted:
        return best
    if user is repo.owner or user.is_admin:
        return OWNER
    best = max(best, LEVELS[repo.collaborators.get(user.id, "none")])
    for team in teams_of(user, repo):
        best = max(best, LEVELS[team.units.get(unit, "none")], LEVELS[team.permission] if team_is_admin(team) else NONE)
    return best


def team_is_admin(team: Team) -> bool:
    return team.permission in {"admin", "owner"}


def may_read(user: User | None, repo: Repo) -> bool:
    """Whether the repository exists for this user; reading any unit is enough."""
    if not repo.private:
        return True
    if user is None or user.deleted:
        return False
    if user is repo.owner or user.is_admin or user.id in repo.collaborators:
        return True
    return any(set(team.units.values()) - {"none"} for team in teams_of(user, repo))


def may_write(user: User | None, repo: Repo) -> bool:
    """Whether the user may push."""
    return level(user, repo) >= WRITE


def is_admin(user: User | None, repo: Repo) -> bool:
    return level(user, repo) >= ADMIN


def named_permission(user: User, repo: Repo) -> str:
    """What `collaborators/{u}/permission` says, which for members of ordinary teams is not what they may do."""
    reached = level(user, repo)
    teams = teams_of(user, repo)
    if user is repo.owner or user.is_admin or any(team_is_admin(team) for team in teams):
        return "owner"
    if user.id not in repo.collaborators and teams and not repo.world.version.knows_team_writers:
        return "none" if repo.private else "read"
    return next(name for name, number in LEVELS.items() if number == reached)


def assignable(repo: Repo) -> list[User]:
    """Whom `/assignees` names: writers, and every member of a team that comes to the repository."""
    people = {person.id: person for team in repo.world.teams_over(repo) for person in team.members}
    if not repo.owner.is_org:
        people[repo.owner.id] = repo.owner
    for person_id, right in repo.collaborators.items():
        if LEVELS[right] >= WRITE:
            people[person_id] = repo.world.users_by_id[person_id]
    return sorted((one for one in people.values() if not one.deleted), key=lambda one: one.login)

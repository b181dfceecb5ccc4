"""Users, organisations, teams as Gitea's JSON.

Knows their keys.  Must not know what they did.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from poller.demo.clock import stamp

if TYPE_CHECKING:
    from poller.demo.state import Team, User
    from poller.demo.versions import Version

Json = dict[str, Any]
NEVER = "0001-01-01T00:00:00Z"


class View(msgspec.Struct, frozen=True):
    """Who looks, from where: links carry the server's address, some fields depend on the reader."""

    url: str
    version: Version
    user: User | None

    @property
    def api(self) -> str:
        return f"{self.url}/api/v1"


def user_json(user: User, view: View) -> Json:
    """A user as others (or, with more, he himself) see him; a deleted one is the ghost."""
    if user.deleted:
        return _user(-1, "Ghost", view) | {"email": ""}
    himself = user is view.user
    return _user(user.id, user.login, view) | {
        "email": user.email,
        "last_login": "1970-01-01T00:00:00Z" if himself else NEVER,
        "created": stamp(user.created),
        "active": himself,
        "is_admin": himself and user.is_admin,
    }


def _user(user_id: int, login: str, view: View) -> Json:
    picture = hashlib.md5(login.encode(), usedforsecurity=False).hexdigest()
    return {
        "id": user_id,
        "login": login,
        "login_name": "",
        "source_id": 0,
        "full_name": "",
        "email": "",
        "avatar_url": f"{view.url}/avatars/{picture}",
        "html_url": f"{view.url}/{login}",
        "language": "",
        "is_admin": False,
        "last_login": NEVER,
        "created": NEVER,
        "restricted": False,
        "active": False,
        "prohibit_login": False,
        "location": "",
        "website": "",
        "description": "",
        "visibility": "public",
        "followers_count": 0,
        "following_count": 0,
        "starred_repos_count": 0,
        "username": login,
    }


def org_json(org: User, view: View) -> Json:
    """An organisation under `/orgs`."""
    picture = hashlib.md5(org.login.encode(), usedforsecurity=False).hexdigest()
    return {
        "id": org.id,
        "name": org.login,
        "full_name": "",
        "email": "",
        "avatar_url": f"{view.url}/avatars/{picture}",
        "description": "",
        "website": "",
        "location": "",
        "visibility": "private" if org.private else "public",
        "repo_admin_change_team_access": False,
        "username": org.login,
    }


def team_json(team: Team, view: View) -> Json:
    """A team.  From 1.25 on the `permission` of an ordinary team says `none` whatever its units may."""
    ordinary = team.permission not in {"admin", "owner"}
    return {
        "id": team.id,
        "name": team.name,
        "description": "",
        "organization": None,
        "includes_all_repositories": team.repos is None,
        "permission": "none" if ordinary and not view.version.knows_team_writers else team.permission,
        "units": list(team.units),
        "units_map": dict(sorted(team.units.items())),
        "can_create_org_repo": team.permission == "owner",
    }

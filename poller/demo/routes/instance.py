"""Routes about the instance, its people and what a repository is.

Knows who is asked for and who may ask.  Must not know pulls' rows.
"""

from __future__ import annotations

from poller.demo.access import NONE, assignable, is_admin, level, may_read, may_write, named_permission
from poller.demo.routes.answers import NOTHING, Answer, Call, done, totals
from poller.demo.shapes.people import Json, org_json, team_json, user_json
from poller.demo.shapes.repos import repo_json
from poller.demo.state import User

REACTIONS = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"]


def version(call: Call) -> Answer:
    return done({"version": call.world.version.name})


def settings_api(call: Call) -> Answer:
    body: Json = {
        "max_response_items": call.world.max_items,
        "default_paging_num": 30,
        "default_git_trees_per_page": 1000,
        "default_max_blob_size": 10485760,
    }
    return done(body if call.world.version.old_json else body | {"default_max_response_size": 104857600})


def settings_ui(call: Call) -> Answer:
    emojis = ["git", "gitea", "codeberg", "gitlab", "github", "gogs"]
    return done({"default_theme": "gitea-auto", "allowed_reactions": REACTIONS, "custom_emojis": emojis})


def me(call: Call) -> Answer:
    return done(user_json(call.me(), call.view))


def user(call: Call) -> Answer:
    """A person or organisation; a private organisation hides, an old login redirects."""
    name = call.names["user"].lower()
    person = call.world.users.get(name)
    if person is None and name in call.world.renamed_users:
        raise call.moved(f"/api/v1/users/{call.world.renamed_users[name].login}", 307)
    if person is None or (person.private and not _belongs(call, person)):
        raise call.not_found("GetUserByName", [f"user does not exist [uid: 0, name: {call.names['user']}]"])
    return done(user_json(person, call.view))


def _belongs(call: Call, org: User) -> bool:
    return any(call.user in team.members for team in call.world.teams.get(org.id, ()))


def org(call: Call) -> Answer:
    found = call.world.users.get(call.names["org"].lower())
    if found is None or not found.is_org or (found.private and not _belongs(call, found)):
        raise call.not_found()
    return done(org_json(found, call.view))


def repo(call: Call) -> Answer:
    return done(repo_json(call.repo(), call.view))


def repo_by_id(call: Call) -> Answer:
    call.me()
    return done(repo_json(call.readable(call.world.repos_by_id.get(call.number("id"))), call.view))


def git_refs_of_pulls(call: Call) -> Answer:
    """`git/refs/pull…`: unpaged, by name, a prefix; 404 when there is none."""
    found = call.repo()
    start = f"refs/pull{call.names.get('rest') or ''}"
    refs = {f"refs/pull/{pull.number}/head": pull.ref_sha for pull in found.pulls.values() if pull.is_pull}
    at = f"{call.view.api}/repos/{found.full_name}/git"
    rows = [
        {
            "ref": ref,
            "url": f"{at}/{ref}",
            "object": {"type": "commit", "sha": sha, "url": f"{at}/commits/{sha}"},
        }
        for ref, sha in sorted(refs.items())
        if ref.startswith(start)
    ]
    if not rows:
        raise call.not_found()
    return done(rows)


def branch(call: Call) -> Answer:
    """A branch, and whether there is a rule about pushing to it."""
    found, name = call.repo(), call.names["branch"]
    if name not in found.branches:
        raise call.not_found()
    is_protected = name in found.protected_branches
    may = call.user is not None and may_write(call.user, found)
    return done(
        {
            "name": name,
            "commit": {"id": found.branches[name]},
            "protected": is_protected,
            "required_approvals": 0,
            "enable_status_check": False,
            "status_check_contexts": [],
            "user_can_push": may and not is_protected,
            "user_can_merge": may,
            "effective_branch_protection_name": name if is_protected else "",
        }
    )


def collaborators(call: Call) -> Answer:
    """Collaborators without the owner, by id."""
    found = call.repo()
    people = [call.world.users_by_id[one] for one in sorted(found.collaborators)]
    page, limit = call.page()
    rows = [user_json(one, call.view) for one in people[(page - 1) * limit : page * limit]]
    return done(rows, headers=call.links(page=page, limit=limit, total=len(people)))


def collaborator(call: Call) -> Answer:
    """204 for a collaborator, 404 for everybody else (owners too), 422 for an unknown name."""
    found, person = call.repo(), call.world.users.get(call.names["user"].lower())
    if person is None:
        raise call.error(422, f"user does not exist [uid: 0, name: {call.names['user']}]")
    if person.id not in found.collaborators:
        raise call.not_found()
    return NOTHING


def permission(call: Call) -> Answer:
    """Answers admins, and (from 1.25) anyone about himself."""
    found, asked = call.repo(), call.names["user"]
    mine = call.me()
    himself = mine.login.lower() == asked.lower() and not call.world.version.old_json
    if not (is_admin(mine, found) or himself):
        said = "Only admins can query all permissions, repo admins can query all repo permissions, "
        raise call.error(403, f"{said}collaborators can query only their own")
    person = call.world.users.get(asked.lower())
    if person is None:
        raise call.not_found("GetUserByName", [f"user does not exist [uid: 0, name: {asked}]"])
    right = named_permission(person, found)
    return done({"permission": right, "role_name": right, "user": user_json(person, call.view)})


def assignees(call: Call) -> Answer:
    return done([user_json(one, call.view) for one in assignable(call.repo())])


def reviewers(call: Call) -> Answer:
    """Who can be asked for a review: readers too, of a public repository by name only those who have a right."""
    found = call.repo()
    people = {one.id: one for one in assignable(found)}
    people |= {one: call.world.users_by_id[one] for one in found.collaborators}
    shown = [one for one in people.values() if level(one, found) > NONE or may_read(one, found)]
    return done([user_json(one, call.view) for one in sorted(shown, key=lambda one: one.login)])


def teams(call: Call) -> Answer:
    """405 for a user's repository."""
    found = call.repo()
    if not found.owner.is_org:
        raise call.error(405, "repo is not owned by an organization")
    return done([team_json(team, call.view) for team in call.world.teams_over(found)])


def team_member(call: Call) -> Answer:
    """Answers only members of that very team."""
    every = (team for some in call.world.teams.values() for team in some)
    team = next((one for one in every if one.id == call.number("team")), None)
    if team is None or call.user not in team.members:
        raise call.not_found()
    person = call.world.users.get(call.names["user"].lower())
    if person is None or person not in team.members:
        raise call.not_found()
    return done(user_json(person, call.view))


def notifications(call: Call) -> Answer:
    """None: the stand-in notifies nobody."""
    call.me()
    return done([], headers=totals(0))

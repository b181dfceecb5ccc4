"""A request as the routes see it, and the answers they give.

Knows statuses, error bodies, pages, stamps in queries.  Must not know single routes or sockets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from poller.demo.access import may_read
from poller.demo.clock import epoch
from poller.demo.shapes.people import Json, View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poller.demo.pulls import Pull
    from poller.demo.repos import Repo
    from poller.demo.state import Review, Token, User
    from poller.demo.world import World

DEFAULT_ITEMS = 30


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status, body (JSON, or text as it is) and the headers that tell something."""

    status: int = 200
    body: Any = None
    #: Content type of a body that is no JSON.
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    #: 204 and the like: no body at all.
    empty: bool = False


class Refused(Exception):
    """An answer that ends the handling of a request."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, its token checked and its path taken apart."""

    world: World
    view: View
    method: str
    path: str
    names: dict[str, str]
    query: dict[str, str]
    raw_query: str
    sent: Any
    token: Token | None

    @property
    def user(self) -> User | None:
        return self.view.user

    def me(self) -> User:
        """Who asks; nobody may not."""
        if self.view.user is None:
            raise self.error(401, "token is required")
        return self.view.user

    def error(self, status: int, message: str, **more: Any) -> Refused:
        """Gitea's error body."""
        return Refused(Answer(status=status, body={"message": message, "url": f"{self.view.url}/api/swagger"} | more))

    def not_found(self, message: str | None = None, errors: list[str] | None = None) -> Refused:
        body = {"errors": errors, "message": message or self.world.version.not_found}
        return Refused(Answer(status=404, body=body | {"url": f"{self.view.url}/api/swagger"}))

    def repo(self) -> Repo:
        """The repository of the path: 404 if the reader may not know of it, a redirect under an old name."""
        name = f"{self.names['owner']}/{self.names['repo']}".lower()
        repo = self.world.repos.get(name)
        if repo is None and name in self.world.old_names:
            raise self._moved(self.world.old_names[name])
        return self.readable(repo)

    def readable(self, repo: Repo | None) -> Repo:
        """The repository if this reader (and his token) may see it."""
        if repo is None or repo.deleted:
            raise self.not_found()
        if self.token is not None and self.token.public_only and repo.private:
            raise self.error(403, "token scope is limited to public repos")
        if not may_read(self.user, repo):
            raise self.not_found()
        return repo

    def _moved(self, repo: Repo) -> Refused:
        rest = self.path.split("/", 4)[4:]
        target = "/".join([f"/api/v1/repos/{repo.full_name}", *rest])
        target += f"?{self.raw_query}" if self.raw_query else ""
        return self.moved(target)

    def moved(self, target: str, status: int | None = None) -> Refused:
        """A redirect with a relative `Location`, under the path of the instance; only a GET gets a body."""
        target = urlsplit(self.view.url).path + target
        status = status or self.world.version.moved
        words = {301: "Moved Permanently", 307: "Temporary Redirect"}[status]
        page = f'<a href="{target}">{words}</a>.\n\n'.replace("&", "&amp;")
        headers = {"Location": target}
        if self.method != "GET":
            return Refused(Answer(status=status, headers=headers, empty=True))
        return Refused(Answer(status=status, body=page, text="text/html; charset=utf-8", headers=headers))

    def number(self, name: str = "number") -> int:
        text = self.names[name]
        if not text.isdigit():
            raise self.not_found()
        return int(text)

    def issue(self) -> Pull:
        """The issue or pull of the path, or 404."""
        issue = self.repo().pulls.get(self.number())
        if issue is None or (issue.is_pull and not self.repo().pulls_enabled):
            raise self.not_found()
        return issue

    def issue_or_crash(self, *, even_if_off: bool = False) -> Pull:
        """Some of Gitea's routes answer 500 for an issue that is not there, and one shows pulls that are switched
        off."""
        issue = self.repo().pulls.get(self.number())
        if issue is None:
            raise self.error(500, "")
        return issue if even_if_off else self.issue()

    def pull(self) -> Pull:
        """The pull of the path; a plain issue is none, and a repository may have none at all."""
        repo = self.repo()
        pull = repo.pulls.get(self.number())
        if pull is None or not pull.is_pull or not repo.pulls_enabled:
            raise self.not_found()
        return pull

    def review(self) -> Review:
        """The review of the path: of another's pending one nobody but a site admin hears."""
        pull = self.pull()
        review = next((one for one in pull.reviews if one.id == self.number("review")), None)
        if review is None or not sees(review, self.user):
            raise self.not_found("GetReviewByID")
        return review

    def stamp(self, name: str) -> int | None:
        """A time of the query; an empty one is no filter."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return epoch(text)
        except ValueError:
            layout = "2006-01-02T15:04:05Z07:00"
            said = f'parsing time "{text}" as "{layout}": cannot parse "{text}" as "2006"'
            raise self.error(422, said) from None

    def whole(self, name: str) -> int:
        """A number of the query; anything else counts as 0."""
        text = self.query.get(name, "")
        return int(text) if text.lstrip("-").isdigit() else 0

    def text(self, key: str) -> str:
        """A text of the sent body, empty if it is not there."""
        value = self.sent.get(key) if isinstance(self.sent, dict) else None
        return value if isinstance(value, str) else ""

    def flag(self, key: str) -> bool:
        """Whether the sent body says yes."""
        return isinstance(self.sent, dict) and self.sent.get(key) is True

    def page(self, *, default: int = DEFAULT_ITEMS, capped: bool = True) -> tuple[int, int]:
        """Page (from 1) and how many rows it has at most."""
        limit, most = self.whole("limit"), self.world.max_items
        limit = limit if limit > 0 else min(default, most)
        return max(self.whole("page"), 1), min(limit, most) if capped else limit

    def cut(self, found: Sequence[Any], *, always: bool = False) -> list[Any]:
        """One page; versions before 1.26 cut only when asked for a page."""
        if not always and not self.world.version.paged_by_default and self.whole("page") <= 0:
            return list(found)
        page, limit = self.page()
        return list(found[(page - 1) * limit : page * limit])

    def links(self, *, page: int, limit: int, total: int) -> dict[str, str]:
        """`Link` and the total, as Gitea writes them: no `Link` when everything fits."""
        last = max(1, -(-total // limit))
        pages: list[tuple[str, int]] = []
        if page < last:
            pages += [("next", page + 1), ("last", last)]
        if page > 1:
            pages += [("first", 1), ("prev", page - 1)]
        headers = totals(total)
        if pages and last > 1:
            headers["Link"] = ",".join(f'<{self._page_url(number)}>; rel="{name}"' for name, number in pages)
        return headers

    def _page_url(self, number: int) -> str:
        query = dict(sorted((self.query | {"page": str(number)}).items()))
        return f"{self.view.api}{self.path}?{urlencode(query)}"


def totals(total: int) -> dict[str, str]:
    return {"X-Total-Count": str(total), "Access-Control-Expose-Headers": "X-Total-Count"}


def sees(review: Review, user: User | None) -> bool:
    """A pending review shows to its author and to site admins."""
    return review.state != "PENDING" or (user is not None and (review.user is user or user.is_admin))


def done(body: Json | list[Json] | None, status: int = 200, *, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status=status, body=body, headers=headers or {})


NOTHING = Answer(status=204, empty=True)

"""One world in which every situation of the recorded samples can come about.

Knows what was done before the samples were recorded.  Must not know requests.
"""

from __future__ import annotations

from functools import cached_property

from poller.demo.pulls import Pull
from poller.demo.repos import Repo
from poller.demo.world import World

WRITERS = {"ana": "write", "ben": "write", "bot": "write"}


class Scenery:
    """One world in which all situations can come about, each in repositories of its own."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.world = World(version=version)
        self.world.clock.set("2026-11-21T07:00:00Z")
        self.world.user("root1", admin=True)
        self.world.org("acme", owners=["root1"])

    def repo(self, name: str, *, private: bool = True, collaborators: dict[str, str] | None = None) -> Repo:
        people = WRITERS if collaborators is None else collaborators
        return self.world.repo(name, private=private, collaborators=people)

    def wait(self) -> None:
        self.world.clock.advance(seconds=2)

    @cached_property
    def everything(self) -> Pull:
        """About every kind of action, with the same things left over as in the recorded one."""
        repo = self.repo("solo/api")
        repo.branch("develop")
        pull = repo.open_pull(by="ana", body="please", commits=2)
        self._talked(pull)
        self._reviewed(pull)
        self._marked(pull)
        pull.edit(by="ana", base="develop")
        pull.edit(by="ana", base="main", body="please, now")
        pull.force_push(by="ana")
        pull.force_push(by="ana", to_base=True)
        pull.push(by="ana")
        # Pushed after the last look of the server: the single pull's head is the branch's, the list's is the ref's.
        pull.lock(by="solo", reason="x")
        pull.unlock(by="solo")
        pull.close(by="ana")
        pull.reopen(by="ana", on_the_web=False)
        return pull

    def _talked(self, pull: Pull) -> None:
        comment = pull.comment("@bot hello", by="ben")
        self.wait()
        comment.edit("@bot hello again")

    def _reviewed(self, pull: Pull) -> None:
        pull.review(by="ben", body="look", inline=[("app.txt", 5, "why?")])
        pull.review(by="ben", inline=[("app.txt", 5, "line-only")])
        alone = pull.reviews[-1]
        pull.review(by="ben", event="REQUEST_CHANGES", body="no")
        self.wait()
        approval = pull.review(by="ben", event="APPROVED", body="yes")
        alone.reply(alone.comments[0], "because", by="ana")
        alone.comments[0].edit("line-only, edited")
        alone.comments[0].resolve(by="ana")
        pending = pull.start_review(by="ben", inline=[("app.txt", 5, "pending thought")])
        self.wait()
        pull.comment("in between", by="ana")
        pending.submit(body="done thinking")
        approval.dismiss(by="root1", message="stale")
        approval.delete()

    def _marked(self, pull: Pull) -> None:
        pull.assign("ben", by="ana")
        pull.unassign("ben", by="ana")
        pull.milestone("v1", by="ana")
        pull.request_review("bot", by="ana")
        pull.unrequest("bot", by="ana")
        pull.edit(by="ana", title="Add five!")

    @cached_property
    def many(self) -> Pull:
        pull = self.repo("acme/many").open_pull(by="ana")
        for number in range(9):
            pull.comment(f"c{number}", by="ana")
        pull.review(by="ben", body="big", inline=[("app.txt", 1 + number % 20, f"i{number}") for number in range(110)])
        pull.comment("the last one", by="ana")
        return pull

    @cached_property
    def paging(self) -> Repo:
        repo = self.repo("acme/paging")
        pull = repo.open_pull(by="ana")
        for number in range(60):
            pull.comment(f"c{number}", by="ana")
        for number in range(15):
            pull.review(by="ben", body=f"r{number}", inline=[("app.txt", 5 + line, "x") for line in range(3)])
        for number in range(2, 57):
            repo.open_pull(by="ana", title=f"PR {number}")
        return repo

    @cached_property
    def owned(self) -> Pull:
        """A pull with a pending review that ben has begun."""
        pull = self.repo("acme/owned").open_pull(by="ana")
        pull.start_review(by="ben", inline=[("app.txt", 5, "pend 1")])
        return pull

    @cached_property
    def late(self) -> Pull:
        """A pending review that was submitted late, with others between."""
        pull = self.repo("acme/late").open_pull(by="ana")
        pending = pull.start_review(by="ben", inline=[("app.txt", 15, "pend 1")])
        self.wait()
        pull.comment("between", by="ana")
        pull.review(by="ana", body="mine", inline=[("app.txt", 7, "x")])
        pending.add_inline("app.txt", 15, "pending reply")
        pending.add_inline("app.txt", 16, "pend 2")
        pull.comment("bot word", by="bot")
        pull.review(by="bot", body="bot review")
        self.wait()
        pending.submit(event="APPROVED", body="at last")
        return pull

    @cached_property
    def tried(self) -> Pull:
        """A review that was tried twice with a line beyond the end and once without."""
        pull = self.repo("acme/tried").open_pull(by="ana")
        good, bad = ("app.txt", 5, "good"), ("app.txt", 4000, "bad")
        if self.version == "1.26-dev":
            for _ in range(3):
                pull.start_review(by="bot", inline=[good])
            pull.reviews[-1].submit(body="partial")
        else:
            for remarks in ([good, bad], [good, bad], [good]):
                pull.review(by="bot", body="partial", inline=remarks)
        return pull

    def teamed(self, name: str) -> Pull:
        team = self.world.team("acme", "rev", repos=[self.repo(name)], members=["ben"])
        pull = self.repo(name).open_pull(by="ana")
        pull.request_review(team, by="ana")
        return pull

    @cached_property
    def dismissed(self) -> Pull:
        """An approval that a push to a pull against a protected branch dismissed."""
        pull = self.teamed("acme/more")
        pull.unrequest(pull.reviews[0].team or "nobody", by="ana")
        pull.repo.dismissing_branches.add("main")
        pull.review(by="ben", event="APPROVED", body="ok")
        self.wait()
        pull.push(by="ana")
        return pull

    @cached_property
    def edited(self) -> Pull:
        pull = self.repo("acme/edited").open_pull(by="ana")
        comment = pull.comment("first", by="ana")
        review = pull.review(by="ben", body="rb", inline=[("app.txt", 5, "i")])
        pull.repo.dismissing_branches.add("main")
        pull.request_review(self.world.team("acme", "rev", repos=[pull.repo], members=["ben"]), by="ana")
        pull.review(by="ben", event="APPROVED", body="ok")
        pull.push(by="ana")
        self.wait()
        comment.edit("first edited")
        review.edit_body("rb edited")
        return pull

    @cached_property
    def forked(self) -> Repo:
        """Pulls from forks: 1 as it is; 2 without its branch; 3 without its fork; 4 made private; 5 by a ghost."""
        repo = self.repo("pub/fork", private=False)
        fork = self.world.fork(repo, "cat/fk")
        pulls = [repo.open_pull(by="cat", body="mine", fork="cat/fk", head=f"topic{number}") for number in (1, 2)]
        repo.open_pull(by="cat", fork="dan/fk", head="topic3")
        repo.open_pull(by="eve", fork="eve/fk", head="topic4")
        self.world.repo("eve/fk").private = True
        fork.delete_branch(pulls[1].head_ref, by="cat")
        self.world.repo("dan/fk").delete()
        ghostly = repo.open_pull(by="gus", fork="gus/fk", head="topic5")
        ghostly.comment("by ghost", by="gus")
        ghostly.review(by="gus", body="self")
        self.world.delete_user("gus")
        return repo

    @cached_property
    def moved(self) -> Repo:
        repo = self.repo("acme/before")
        repo.open_pull(by="bot")
        repo.rename("after")
        return repo

    @cached_property
    def team(self) -> Repo:
        """An organisation's repository with teams of every kind."""
        repo, units = self.repo("acme/team", collaborators={"bot": "write"}), ("repo.code", "repo.issues", "repo.pulls")
        rights = {
            "w": ("write", "write", "write"),
            "c": ("write", "none", "none"),
            "i": ("read", "write", "read"),
            "r": ("read", "read", "read"),
        }
        for name, some in rights.items():
            permission = "write" if some[0] == "write" else "read"
            given = dict(zip(units, some, strict=True))
            self.world.team("acme", name, permission=permission, units=given, members=[f"u_{name}"], repos=[repo])
        self.world.team("acme", "a", permission="admin", members=["u_a"], repos=[repo])
        return repo

    @cached_property
    def crowd(self) -> None:
        """Rows of several repositories, more than a page of them, strangers' public ones included, one merged."""
        self.repo("cat/thing", private=False, collaborators={}).open_pull(by="cat")
        if self.version != "1.22.6":  # where nothing had been merged yet
            self.repo("acme/web").open_pull(by="ana").merge(by="ana")
        _ = self.paging

    def own_pull(self, name: str, *, by: str = "bot") -> Pull:
        """A fresh pull in a repository of its own, to be written to."""
        return self.repo(f"acme/{name}").open_pull(by=by)

"""What happened, in words for an agent.

Knows every kind of event and which of its fields others wrote.  Must not know templates or turns.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from poller.deltas.events import Event, InlineComment, Subject
from poller.mentions import mention_in
from poller.prompts.fence import quoted

T = TypeVar("T")
#: Commits that a push names by their SHA.
COMMITS = 20
#: Remarks of one review that are told.
REMARKS = 100


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Words of others.  `what` is ours and says what they are; `lead` comes before the block."""

    lead: str = ""
    what: str
    text: str


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One event: a headline that is safe as it is, and blocks that must be fenced."""

    headline: str
    blocks: tuple[Block, ...] = ()
    #: Somebody speaks to the bot in it.
    asks: bool = False


def telling_of(event: Event, *, bot: str) -> Telling:
    """The event in words.  Who acts is named by the login, quoted."""
    who = quoted(event.actor.login if event.actor else None, limit=100)
    subject = event.subject
    match event.event:
        case "pull_request_comment":
            return _comment(event, who, bot)
        case "pull_request_review_approved" | "pull_request_review_rejected" | "pull_request_review_comment":
            return _review(event, who, bot)
        case "pull_request_sync":
            return Telling(headline=_push(subject, who))
        case "pull_request":
            return _pull(event, who)
        case "pull_request_label":
            return Telling(headline=_labels(subject, who))
        case "pull_request_review_dismissal":
            return Telling(headline=f"{who} {event.action} review {_or(subject.review_id, 0)}.")
        case "pull_request_thread":
            return Telling(headline=f"The thread of comment {_or(subject.comment_id, 0)} was {event.action}.")
        case "repository":
            return Telling(headline=f"The repository is now called {quoted(_or(subject.to, None))}.")
        case _:
            return Telling(headline=_people(event, who, bot))


def _comment(event: Event, who: str, bot: str) -> Telling:
    subject = event.subject
    body, number = _or(subject.body, ""), _or(subject.comment_id, 0)
    if event.action == "deleted":
        return Telling(headline=f"Comment {number} was deleted.")
    asks = mention_in(body, bot) is not None
    place = _place(_or(subject.path, None), _or(subject.line, None))
    changed = f"{who} changed comment {number}{place}" if event.action == "edited" else f"{who} commented{place}"
    headline = f"{changed} and asks you:" if asks else f"{changed}:"
    what = f"comment={number}" + (" request" if asks else "")
    return Telling(headline=headline, blocks=(Block(what=what, text=body),), asks=asks)


def _review(event: Event, who: str, bot: str) -> Telling:
    subject = event.subject
    body, remarks = _or(subject.body, ""), _or(subject.comments, [])
    verdict = {
        "pull_request_review_approved": "approved the pull request",
        "pull_request_review_rejected": "requested changes",
    }.get(event.event, "reviewed the pull request")
    commit = _or(subject.commit_id, "")
    headline = f"{who} {verdict}" + (f" (at {_sha(commit)})" if commit else "")
    blocks = [_spoken(body, f"review={_or(subject.review_id, 0)}", bot)] if body.strip() else []
    for remark in remarks[:REMARKS]:
        blocks += _remark(remark, bot)
    if len(remarks) > REMARKS:
        headline += f", with {len(remarks)} remarks of which {REMARKS} are told here"
    asks = any(mention_in(text, bot) for text in subject.texts)
    return Telling(headline=headline + (":" if blocks else "."), blocks=tuple(blocks), asks=asks)


def _remark(remark: InlineComment, bot: str) -> list[Block]:
    spoken = _spoken(remark.body, f"comment={remark.comment_id}", bot)
    lead = f"Remark{_place(remark.path, remark.line)}:"
    if not remark.diff_hunk.strip():
        return [msgspec.structs.replace(spoken, lead=lead)]
    return [Block(lead=lead, what=f"lines-of-comment={remark.comment_id}", text=remark.diff_hunk), spoken]


def _spoken(text: str, what: str, bot: str) -> Block:
    return Block(what=what + (" request" if mention_in(text, bot) else ""), text=text)


def _push(subject: Subject, who: str) -> str:
    before, after = _or(subject.before, ""), _or(subject.after, "")
    commits = _or(subject.commits, [])
    told = f"New commits were pushed by {who}: the head went from {_sha(before)} to {_sha(after)}."
    if _or(subject.forced, False):
        told += " It was a force-push: what you knew of the branch may be gone."
    elif commits:
        named = ", ".join(_sha(commit) for commit in commits[-COMMITS:])
        told += f" Commits ({len(commits)}): {'… ' if len(commits) > COMMITS else ''}{named}."
    return told


def _pull(event: Event, who: str) -> Telling:
    pull = event.pull
    if event.action == "closed":
        return Telling(headline=f"{who} {'merged' if pull and pull.merged else 'closed'} the pull request.")
    if event.action != "edited":
        draft = " as a draft" if event.action == "opened" and pull and pull.draft else ""
        return Telling(headline=f"{who} {event.action} the pull request{draft}.")
    parts = []
    now = {"title": pull.title, "ref": pull.base_ref} if pull else {}
    for field, was in event.changes.items():
        if field == "draft":
            parts.append("marked it ready for review" if was.from_ else "made it a draft")
        elif field in ("title", "ref"):
            name = {"title": "title", "ref": "base branch"}[field]
            parts.append(f"changed its {name} from {quoted(str(was.from_))} to {quoted(now.get(field))}")
    body = _or(event.subject.body, None)
    blocks: tuple[Block, ...] = ()
    if "body" in event.changes:
        parts.append("changed its description" + (", which now says" if body is not None else ""))
        blocks = (Block(what="description", text=body),) if body is not None else ()
    return Telling(headline=f"{who} {'; '.join(parts) or 'edited it'}{':' if blocks else '.'}", blocks=blocks)


def _labels(subject: Subject, who: str) -> str:
    added, removed = _or(subject.added, []), _or(subject.removed, [])
    parts = [f"added {_list(added)}"] * bool(added) + [f"removed {_list(removed)}"] * bool(removed)
    return f"{who} changed the labels: {' and '.join(parts) or 'nothing'}."


def _people(event: Event, who: str, bot: str) -> str:
    subject = event.subject
    match event.action:
        case "milestoned" | "demilestoned":
            milestone = _or(subject.milestone, None)
            return f"{who} set the milestone {quoted(milestone)}." if milestone else f"{who} took the milestone away."
        case "review_requested" | "review_request_removed":
            person = subject.reviewer.login if subject.reviewer else _or(subject.team, None)
            whom = "you" if person and person.lower() == bot.lower() else quoted(person, limit=100)
            if event.action == "review_requested":
                return f"{who} asks {whom} for a review."
            return f"{who} does not ask {whom} for a review any more."
        case "assigned" | "unassigned":
            person = subject.assignee.login if subject.assignee else None
            whom = "you" if person and person.lower() == bot.lower() else quoted(person, limit=100)
            return f"{who} {event.action} {whom}."
    return f"{who}: {event.event} {event.action}."


def _place(path: str | None, line: int | None) -> str:
    if path is None:
        return ""
    return f" on {quoted(path)}" + (f", line {line}" if line is not None else "")


def _list(names: list[str]) -> str:
    return ", ".join(quoted(name, limit=100) for name in names[:50]) + (" and more" if len(names) > 50 else "")


def _sha(sha: str) -> str:
    """Hexadecimal only, whatever the forge says."""
    clean = "".join(sign for sign in sha if sign in "0123456789abcdef")
    return clean[:12] or "an unknown commit"


def _or(value: T | msgspec.UnsetType, default: T) -> T:
    return default if isinstance(value, msgspec.UnsetType) else value

"""One message to an agent, from a template and facts.

Knows where templates come from and what they are given: only words that are safe to print as they are.  Must not know
sessions, SQL or the forge.  Reads template files and nothing else.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from poller.fold import Told, tellable
from poller.prompts.fence import Fence, quoted
from poller.prompts.telling import Telling, telling_of

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

PACKAGED = Path(__file__).parent
#: Characters: of one description or comment, of a diff, and of all comments together; and events told in one message.
WORDS, DIFF, ALL_WORDS, EVENTS = 20_000, 60_000, 200_000, 100


class PromptError(Exception):
    """A template that cannot be used: one line with the file, the line and what is wrong."""


class PromptFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a message is made of.  Taken as ours: `agent`, `bot`, `number`, `how_to_diff`; the rest others wrote."""

    agent: str
    #: The bot's login.
    bot: str
    mode: Literal["fresh", "resume"]
    key: str
    repo: str
    number: int
    title: str
    author: str | None
    head: str
    base: str
    html_url: str
    description: str
    diff: str | None = None
    #: A sentence of ours: how to see the change from the agent's working directory.
    how_to_diff: str = ""
    events: tuple[Told, ...]
    #: Of a conversation before this one: the agent's own note, and what the log says about the turns that it lacks.
    notes: str = ""
    recap: str = ""
    #: An earlier run of the same turn was cut off, or was not answered.
    repeat: bool = False
    #: Ids of events that the conversation is known to hold already: named again, their words not repeated.
    heard: frozenset[str] = frozenset()
    reply: Literal["comment", "review", "none"] = "comment"
    #: A review may end with an approval.
    may_approve: bool = False


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """The pull as templates see it: lines are quoted, blocks are fenced, "" is "there is none"."""

    number: int
    title: str
    author: str
    head: str
    base: str
    url: str
    description: str
    diff: str
    how_to_diff: str
    notes: str
    recap: str


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """An event as templates see it.  `text` is the headline and the fenced blocks."""

    event: str
    action: str
    at: str
    asks: bool
    text: str


def compose(facts: PromptFacts, *, directory: Path | None = None) -> str:
    """The message.  `directory` holds the operator's templates, which go before ours.

    Names: `<agent>.md` and `<agent>-delta.md`, then `prompt.md` and `prompt-delta.md`; a resumed turn takes the delta,
    or, where a name has none, the full one of that name.  Raises `PromptError`.
    """
    return _rendered(directory, facts)


def check(agent: str, *, directory: Path | None) -> None:
    """Compose a first and a later message about a made-up pull.  Raises `PromptError` if a template is broken."""
    facts = PromptFacts(
        agent=agent,
        bot="bot",
        mode="fresh",
        key="gitea.example.com/acme/api#1",
        repo="acme/api",
        number=1,
        title="A title",
        author="ana",
        head="feature",
        base="main",
        html_url="https://gitea.example.com/acme/api/pulls/1",
        description="A description.",
        diff="a diff",
        events=(),
    )
    compose(facts, directory=directory)
    compose(msgspec.structs.replace(facts, mode="resume", repeat=True), directory=directory)


def names_for(agents: Iterable[str]) -> list[str]:
    """Names under which templates are looked for in an operator's directory."""
    return [stem + ending for stem in (*agents, "prompt") for ending in (".md", "-delta.md")]


def unused(directory: Path, agents: Iterable[str]) -> list[str]:
    """Files of an operator's directory that no prompt of these agents is made of, hidden ones and READMEs aside."""
    there = sorted(file.name for file in directory.iterdir() if file.is_file())
    left = [name for name in there if not name.startswith(".") and not name.lower().startswith("readme")]
    used = [name for name in names_for(agents) if name in left]
    for name in used:  # grows by what is included
        text = (directory / name).read_text("utf-8", errors="replace")
        used += [other for other in left if other not in used and other in text]
    return [name for name in left if name not in used]


def _environment(directory: Path | None) -> SandboxedEnvironment:
    # Only a turn needs jinja2; an idle poll must not pay for it.
    from jinja2 import ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    ours = FileSystemLoader(PACKAGED)
    if directory is not None and not directory.is_dir():
        raise PromptError(f"{directory}: there is no such directory of templates")
    theirs = [FileSystemLoader(directory)] if directory is not None else []
    return ImmutableSandboxedEnvironment(
        loader=ChoiceLoader([PrefixLoader({"built-in": ours}), *theirs, ours]),
        undefined=StrictUndefined,
        autoescape=False,  # the result is Markdown for a model; what others wrote is fenced instead
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _template_name(facts: PromptFacts, directory: Path | None) -> str:
    endings = ("-delta.md", ".md") if facts.mode == "resume" else (".md",)
    names = [stem + ending for stem in (facts.agent, "prompt") for ending in endings]
    if directory is not None:
        for name in names:
            if Path(name).name == name and (directory / name).is_file():
                return name
    return f"built-in/prompt{endings[0]}"


def _rendered(directory: Path | None, facts: PromptFacts) -> str:
    environment, variables, name = _environment(directory), _variables(facts), _template_name(facts, directory)
    try:
        template = environment.get_template(name)
        text = template.render(variables)
        # An operator's template that was written without these: the agent is not to lose its memory over it.
        if facts.mode == "fresh" and (missing := _before(environment, variables)) not in text:
            text = f"{text.rstrip()}\n\n{missing}"
    except Exception as error:  # whatever an operator's template does wrong: a division, an odd filter argument, …
        at = PACKAGED / name.removeprefix("built-in/") if directory is None else directory / name
        raise PromptError(_complaint(error, str(at))) from error
    if not text.strip():
        raise PromptError(f"{template.filename}: the message came out empty")
    return text.strip() + "\n"


def _before(environment: SandboxedEnvironment, variables: dict[str, object]) -> str:
    return environment.get_template("built-in/before.md").render(variables).strip()


def _complaint(error: Exception, name: str) -> str:
    """File, line and what is wrong, in one line.  `name`: the file, where the error does not tell it."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return f"{error.filename or name}:{error.lineno}: {_line(error)}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".md")]
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else name
    match error:
        case TemplateNotFound():
            return f"{place}: there is no template {_line(error)}"
        case UnicodeDecodeError():
            return f"{place}: not UTF-8 text"
        case OSError():
            return f"{error.filename or place}: {error.strerror or error}"
    return f"{place}: {_line(error)}"


def _line(error: Exception) -> str:
    message = str(error).strip().split("\n")[0]
    return quoted(message, limit=200)[1:-1] if message else type(error).__name__


def _variables(facts: PromptFacts) -> dict[str, object]:
    told = tellable(facts.events)
    left_out, told = max(len(told) - EVENTS, 0), told[-EVENTS:]
    tellings = [telling_of(each.event, bot=facts.bot) for each in told]
    lines = [facts.title, facts.author or "", facts.head, facts.base, facts.repo, facts.key, facts.html_url]
    blocks = [
        facts.description,
        facts.diff or "",
        facts.notes,
        facts.recap,
        *(part for each in tellings for part in _parts_of(each)),
    ]
    fence = Fence(text[: 2 * DIFF] for text in lines + blocks)
    known = [facts.heard.issuperset(each.ids) for each in told]
    happened = [
        Happening(event=each.event.event, action=each.event.action, at=each.event.at, asks=telling.asks, text=text)
        for each, telling, text in zip(told, tellings, _texts(tellings, known, fence), strict=True)
    ]
    return {
        "agent": facts.agent,
        "bot": facts.bot,
        "mode": facts.mode,
        "repeat": facts.repeat,
        "reply": facts.reply,
        "may_approve": facts.may_approve,
        "key": quoted(facts.key),
        "repo": quoted(facts.repo),
        "pull": _pull(facts, fence),
        "events": happened,
        "events_left_out": left_out,
        "opened": any(each.event == "pull_request" and each.action == "opened" for each in happened),
        "pushed": any(each.event == "pull_request_sync" for each in happened),
        "asked": any(each.asks for each in happened),
        "fence": fence.code,
    }


def _pull(facts: PromptFacts, fence: Fence) -> Pull:
    return Pull(
        number=facts.number,
        title=quoted(facts.title),
        author=quoted(facts.author, limit=100),
        head=quoted(facts.head),
        base=quoted(facts.base),
        url=quoted(facts.html_url),
        description=fence.block("description", facts.description, limit=WORDS) if facts.description.strip() else "",
        diff=fence.block("diff", facts.diff, limit=DIFF) if facts.diff else "",
        how_to_diff=facts.how_to_diff,
        notes=fence.block("your-note", facts.notes, limit=WORDS) if facts.notes else "",
        recap=fence.block("log", facts.recap, limit=2 * WORDS) if facts.recap else "",
    )


def _parts_of(telling: Telling) -> list[str]:
    return [telling.headline, *(part for block in telling.blocks for part in (block.lead, block.text))]


def _texts(tellings: list[Telling], known: list[bool], fence: Fence) -> list[str]:
    """Each telling as text.  When there is more than fits, requests come first, then the latest."""
    texts = [telling.headline for telling in tellings]
    left = ALL_WORDS
    for nth in sorted(range(len(tellings)), key=lambda nth: (tellings[nth].asks, nth), reverse=True):
        if known[nth]:
            texts[nth] = f"{texts[nth].rstrip(':.')} (you know the words already)."
            continue
        for block in tellings[nth].blocks:
            if left <= 0:
                texts[nth] += "\n[… more words are left out: this message is full]"
                break
            limit = min(WORDS, left)
            left -= min(limit, len(block.text))
            texts[nth] += f"\n{block.lead}" * bool(block.lead) + "\n" + fence.block(block.what, block.text, limit=limit)
    return texts

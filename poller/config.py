"""The whole of `config.yaml`: which forge, which repositories, whom to trust, and the sessions' part.

Knows every key of the file.  Must not know how the forge is spoken to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from poller.patterns import JSON_PATTERN, RepositoryPattern, Watchlist
from poller.scalars import ForgeUrl, Groups, Login, People, Secret, Start, is_wake_word, wake_words
from poller.token import Token, token_in
from sessions.config import Agent, ConfigError, Limits, Seconds, SettingsFile, settings_of
from sessions.document import Document
from sessions.wording import closest, shown

__all__ = ["Config", "ConfigError", "Poll", "Secret", "Trust", "json_schema", "load"]


class Gitea(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The forge: Gitea or Forgejo."""

    url: Annotated[
        str,
        ForgeUrl,
        Meta(
            pattern=r"^https?://[^/@?#\s]+(/[^?#\s]*)?$",
            description="Where the forge is, with the path it is served under, if any.",
        ),
    ]
    token: Annotated[
        Secret | None, Meta(description="An access token of the bot's account; better `${GITEA_TOKEN}` than itself.")
    ] = None
    token_file: Annotated[
        str | None, Meta(description="A file that holds nothing but the token; read again when that is refused.")
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="Certificates (PEM) to believe instead of the usual ones; null: those of the machine."),
    ] = None


class Poll(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the forge is asked."""

    every: Annotated[Seconds, Meta(description="Time between two cycles.")] = 30.0
    sweep: Annotated[
        Seconds, Meta(description="Time between two looks for what moves no time stamp; 0s: in every cycle.")
    ] = 600.0
    overlap: Annotated[
        Seconds, Meta(description="How far back each cycle reads again; changes may become visible late.")
    ] = 300.0
    start: Annotated[
        str, Start, Meta(description="The first run acts on what is newer than this: now, 24h, or a time.")
    ] = "now"
    requests_per_minute: Annotated[
        float,
        Meta(gt=0, description="Sweeps wait when more would be sent; what changed never waits."),
    ] = 30.0


class Trust(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose words start an agent."""

    who: Annotated[Groups | tuple[str, ...], People, Meta(description="Who may ask: a group, or logins.")] = "writers"
    forks: Annotated[
        Literal["never", "ask", "always"], Meta(description="Whether a pull request from a fork may start an agent.")
    ] = "ask"
    bots: Annotated[
        tuple[Annotated[str, Login], ...], Meta(description="Other bots that may start an agent, by login.")
    ] = ()
    turns_without_human: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="So many turns in which no person had a part pause a pull; null: none do."),
    ] = 5


class ConfigFile(SettingsFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of bottlepost.  `${NAME}` and `${NAME:-default}` are replaced in values."""

    gitea: Gitea
    repos: Annotated[
        tuple[Annotated[str, RepositoryPattern, Meta(pattern=JSON_PATTERN)], ...],
        Meta(min_length=1, description='What to watch: `owner/name` or `owner/*`; `"!owner/name"` excludes.'),
    ]
    poll: Poll = Poll()
    trust: Trust = Trust()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The same, ready for use: the token is read, paths are absolute."""

    path: Path
    url: str
    token: Token
    #: The file that holds the token itself, `None` when it comes from a variable.
    token_file: Path | None
    #: Certificates to believe instead of the usual ones.
    ca_file: Path | None = None
    watchlist: Watchlist
    poll: Poll
    trust: Trust
    state: Path
    database: str | None
    limits: Limits
    agents: dict[str, Agent]

    @property
    def forge(self) -> str:
        """The forge's name in keys: `gitea.example.com`, with the port and path the URL names."""
        parts = urlsplit(self.url)
        return f"{parts.netloc}{parts.path}"

    @property
    def repos(self) -> tuple[str, ...]:
        """The patterns as they stand in the file."""
        return self.watchlist.patterns

    @property
    def wanted(self) -> tuple[str, ...]:
        """Those that name what is watched: without exclusions, and without what these take back."""
        return self.watchlist.wanted

    @property
    def owners(self) -> tuple[str, ...]:
        """Owners of whom all repositories are asked for (`owner/*`)."""
        return self.watchlist.owners

    def watches(self, full_name: str) -> bool:
        """Does `repos` name this repository?  Case does not matter; exclusions win."""
        return self.watchlist.watches(full_name)


def load(path: Path, *, environ: Mapping[str, str]) -> Config:
    """Read and check the whole file; `ConfigError` says what is wrong.  Nothing is created or changed."""
    missing = "run `poll init` to write one, or name yours with --config"
    document = Document(path, environ=environ, missing=missing)
    file = document.build(ConfigFile)
    settings = settings_of(document, file)
    watchlist = Watchlist.of(file.repos)
    if not watchlist.names and not watchlist.owners:
        found = "an empty list"
        if file.repos:
            found = (
                "only exclusions" if all(one.startswith("!") for one in file.repos) else "nothing that is not excluded"
            )
        raise document.error("repos", found=found, expected="at least one `owner/name` or `owner/*`")
    if file.poll.every < 1:
        raise document.error("poll.every", found=f"{file.poll.every:g}s", expected="1s or more")
    _check_wake_words(document, file)
    token, token_file = _token(document, file.gitea)
    _keep_token_out(document, file, token)
    return Config(
        path=path,
        url=file.gitea.url,
        token=token,
        token_file=token_file,
        ca_file=_ca_file(document, file.gitea),
        watchlist=watchlist,
        poll=file.poll,
        trust=file.trust,
        state=settings.state,
        database=settings.database,
        limits=settings.limits,
        agents=settings.agents,
    )


def json_schema() -> dict[str, Any]:
    """The file's JSON schema (draft 2020-12), for editors and for `poll init --schema`."""
    from poller.schema import schema_of

    return schema_of(ConfigFile)


def _check_wake_words(document: Document, file: ConfigFile) -> None:
    for name, agent in file.agents.items():
        for index, word in enumerate(agent.on):
            if not is_wake_word(word):
                key, words = f"agents.{name}.on[{index}]", wake_words()
                expected = f"one of {', '.join(words)}, labeled:NAME"
                raise document.error(key, found=shown(word), expected=expected, mend=closest(word, words))


def _keep_token_out(document: Document, file: ConfigFile, token: Secret) -> None:
    """The forge's token stays on the host: no bottle gets it, under whatever name."""
    for name, agent in file.agents.items():
        for index, variable in enumerate(agent.env):
            if document.environ.get(variable) == token.reveal():
                key = f"agents.{name}.env[{index}]"
                found, expected = f"{variable}, which holds the forge's token", "what the agent itself needs"
                raise document.error(key, found=found, expected=expected, mend="remove it")


def _token(document: Document, gitea: Gitea) -> tuple[Token, Path | None]:
    if gitea.token is not None and gitea.token_file is not None:
        raise document.error("gitea", found="both `token` and `token_file`", expected="one of them", mend="remove one")
    if gitea.token is not None:
        file = None if document.is_from_variable("gitea.token") else document.path
        return Token(gitea.token.reveal()), file
    if gitea.token_file is None:
        mend = "add `token: ${GITEA_TOKEN}`"
        raise document.error("gitea.token", found="nothing", expected="an access token", mend=mend)
    file = document.path_of(gitea.token_file, key="gitea.token_file")
    try:
        return Token(token_in(file).reveal(), file=file), file
    except ValueError as trouble:
        found = f"{file}, which {trouble}"
        raise document.error("gitea.token_file", found=found, expected="a file that holds the token") from None


def _ca_file(document: Document, gitea: Gitea) -> Path | None:
    """The file of certificates, after a look whether there are any in it."""
    if gitea.ca_file is None:
        return None
    import ssl

    file, context = document.path_of(gitea.ca_file, key="gitea.ca_file"), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cafile=str(file))
        found = "" if context.cert_store_stats()["x509"] else f"{file}, which holds no certificate"
    except ssl.SSLError:
        found = f"{file}, which holds no certificate"
    except OSError as error:
        found = f"{file}, which cannot be read ({error.strerror})"
    if found:
        raise document.error("gitea.ca_file", found=found, expected="a file of certificates (PEM)")
    return file

"""The way to the forge: which proxy leads there, and whose certificates are believed on it.

Knows the environment's variables for both.  Must not know a client library: both clients are given the same way.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from poller.forge.errors import strip_url
from sessions.config import ConfigError
from sessions.logs import hide

_PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True):
    """A proxy, and the variable that names it.  `url` may hold a name and a password: it is never shown."""

    url: str
    variable: str

    def __repr__(self) -> str:
        return f"Proxy({self.shown})"

    @property
    def shown(self) -> str:
        """Fit for a message."""
        return strip_url(self.url)

    @property
    def secrets(self) -> Iterator[str]:
        """What the log must hide: the password, and how it looks in a header."""
        parts = urlsplit(self.url)
        if parts.password:
            from base64 import b64encode

            name, password = unquote(parts.username or ""), unquote(parts.password)
            yield from (parts.password, password, b64encode(f"{name}:{password}".encode()).decode())


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How one forge is reached.  `ca_file`: the only certificates that are believed; `None`: the usual ones."""

    url: str
    ca_file: Path | None = None
    proxy: Proxy | None = None
    #: Does the environment name the usual ones (SSL_CERT_FILE, SSL_CERT_DIR), instead of the machine?
    has_store: bool = False

    @classmethod
    def of(cls, url: str, *, ca_file: Path | None, environ: Mapping[str, str]) -> Way:
        """Raises `ConfigError` when a variable names a proxy of a kind that we cannot use.

        From here on the log hides the proxy's password.
        """
        proxy = proxy_of(url, environ)
        for secret in proxy.secrets if proxy is not None else ():
            hide(secret)
        has_store = bool(environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR"))
        return cls(url=url, ca_file=ca_file, proxy=proxy, has_store=has_store)

    @property
    def is_secret(self) -> bool:
        """Is all of it encrypted, or does it never leave this machine?"""
        return self.url.startswith("https:") or _is_loopback(urlsplit(self.url).hostname or "")

    def context(self) -> ssl.SSLContext:
        """For TLS on this way.  Raises `ConfigError` when the certificates cannot be read any more."""
        if not self.url.startswith("https:") and (self.proxy is None or not self.proxy.url.startswith("https:")):
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # believes nobody, and costs nothing
        if self.ca_file is not None:
            try:
                return ssl.create_default_context(cafile=str(self.ca_file))
            except OSError as error:
                raise ConfigError(f"gitea.ca_file: found {self.ca_file}, which cannot be read ({error})") from None
        context = ssl.create_default_context()
        if not self.has_store and not any(context.cert_store_stats().values()):
            import certifi  # comes with both clients; for machines that have no store of their own

            context.load_verify_locations(certifi.where())
        return context


def proxy_of(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that the environment names for this address; none for our own machine, or what NO_PROXY excepts."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if _is_loopback(host):
        return None  # a proxy elsewhere would find itself there
    found = _first(environ, f"{parts.scheme}_proxy") or _first(environ, "all_proxy")
    if found is None or _is_excepted(host, port, (_first(environ, "no_proxy") or ("", ""))[1]):
        return None
    variable, said = found
    named = said if "://" in said else f"http://{said}"
    try:
        proxy = urlsplit(named)
        usable = proxy.scheme in _PORTS and bool(proxy.hostname) and proxy.port != 0
    except ValueError:
        usable = False
    if not usable:
        expected = "the address of a proxy such as http://proxy.example.com:3128"
        raise ConfigError(f"{variable}: found something else, expected {expected}; NO_PROXY excepts hosts from it")
    return Proxy(named, variable)


def _first(environ: Mapping[str, str], name: str) -> tuple[str, str] | None:
    """The variable that is set, in lower case first, with its value."""
    for variable in (name, name.upper()):
        if variable == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue  # under CGI that is a header of whoever asks
        if value := environ.get(variable, "").strip():
            return variable, value
    return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host == "localhost" or host.endswith(".localhost")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_excepted(host: str, port: int, no_proxy: str) -> bool:
    return any(_excepts(entry.strip().lower(), host.lower(), port) for entry in no_proxy.split(","))


def _excepts(entry: str, host: str, port: int) -> bool:
    """One entry of NO_PROXY: `*`, a host with all below it (a dot before it or not), an address, a network; `:port`."""
    if entry == "*":
        return True
    address = _address(host)
    try:
        if address is not None and address in ipaddress.ip_network(entry.strip("[]"), strict=False):
            return True
    except ValueError:
        pass  # a name
    name, colon, said = entry.rpartition(":")
    if colon and said.isdecimal() and not name.endswith(":"):
        if int(said) != port:
            return False
        entry = name
    name = entry.strip("[]").removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or (address is None and host.endswith(f".{name}")))

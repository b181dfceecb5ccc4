"""What `poll doctor` says of the way to the forge: its proxy, and whose certificates are believed on it.

Knows the way.  Must not speak to anybody: whether it leads there is found out by who asks the forge.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from poller.amounts import counted
from poller.checks import Check, fail, ok, warn
from poller.forge.way import Way
from sessions.config import ConfigError


def of_the_way(way: Way) -> Iterator[Check]:
    """The proxy; whether others can listen; the certificates."""
    host = urlsplit(way.url).netloc
    found = f"straight to {host}"
    if way.proxy is not None:
        found = f"to {host} by the proxy {way.proxy.shown} ({way.proxy.variable})"
    if way.is_secret:
        yield ok("way", found)
    else:
        yield warn("way", f"{found}, over plain http: who listens there reads the token", "write https:// if it can be")
    if way.url.startswith("https:"):
        yield certificates(way, now=time.time())
    elif way.ca_file is not None:
        yield ok("certificates", f"{way.ca_file} is not needed: the address is http")


def certificates(way: Way, *, now: float) -> Check:
    """Whose certificates are believed, and whether they still may be."""
    try:
        context = way.context()
    except ConfigError as error:
        return fail("certificates", str(error), "check `gitea.ca_file`", exit_code=error.exit_code)
    if way.ca_file is None:
        return ok("certificates", "those that SSL_CERT_FILE or SSL_CERT_DIR names" if way.has_store else
                  "those that this machine believes")  # fmt: skip
    number = context.cert_store_stats()["x509"]
    what = f"{way.ca_file}, {counted(number, 'certificate')}"
    ends = [ssl.cert_time_to_seconds(str(one["notAfter"])) for one in context.get_ca_certs() if "notAfter" in one]
    if not ends:
        return ok("certificates", what)
    day = time.strftime("%Y-%m-%d", time.gmtime(min(ends)))
    if min(ends) < now:
        return warn("certificates", f"{what}, of which one has expired on {day}", "put the new one into the file")
    return ok("certificates", f"{what}, {'which' if number == 1 else 'the first'} expires on {day}")

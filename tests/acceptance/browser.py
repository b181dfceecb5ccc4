"""A real browser that looks at one page: what it makes of the markup, and how wide it comes out.

Knows headless Chromium.  Must not know whose page it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

#: Loads the page in a frame of a phone's width and says how wide the page wants to be.
_FRAME = """<!DOCTYPE html><title>?</title>
<iframe id="f" style="width:360px;height:800px;border:0" src="{name}"></iframe>
<script>document.getElementById("f").onload = function () {{
  const page = this.contentDocument.documentElement;
  document.title = [page.scrollWidth, page.clientWidth, this.contentDocument.scripts.length].join(" ");
}};</script>"""


class Element:
    """A tag with its attributes and the text right in it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes, self.text = tag, attributes, ""


class Document(HTMLParser):
    """What the browser's own DOM came to, flat, in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input", "base"})

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].text += data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]


class Browser:
    """`profile`: where it may keep its own things."""

    def __init__(self, profile: Path) -> None:
        found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if found is None:
            reason = "no Chromium on PATH; mend: apt-get install chromium"
            if os.environ.get("BOTTLEPOST_REQUIRE_ALL") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        self._call = [found, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        self._call += ["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"]
        self._environ = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(profile)}

    def document(self, page: Path) -> Document:
        """The page as the browser understands it."""
        return Document(self._run("--dump-dom", page.as_uri()))

    def on_a_phone(self, page: Path) -> tuple[int, int, int]:
        """How wide it wants to be, how wide the window is, how many scripts there are."""
        frame = page.with_name("frame.html")
        frame.write_text(_FRAME.format(name=page.name))
        seen = Document(self._run("--allow-file-access-from-files", "--dump-dom", frame.as_uri()))
        wants, has, scripts = map(int, seen.all("title")[0].text.split())
        return wants, has, scripts

    def picture(self, page: Path, out: Path, *, size: str, dark: bool = False) -> bytes:
        """A PNG of it."""
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        self._run(*scheme, f"--window-size={size}", f"--screenshot={out}", page.as_uri())
        return out.read_bytes()

    def _run(self, *more: str) -> str:
        ran = subprocess.run([*self._call, *more], capture_output=True, text=True, timeout=100, env=self._environ)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

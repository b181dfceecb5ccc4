"""`poll report`: one page that needs nothing, runs nothing, and takes people's words for words."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from poller.demo.repos import Repo
from tests.acceptance.bot import Bot
from tests.acceptance.browser import Browser

HOSTILE = (
    "</title><script>document.title='owned'</script><img src=x onerror=alert(1)> \u202egnp.exe {{7*7}} " + "w" * 300
)


@pytest.fixture
def page(bot: Bot, repo: Repo) -> Path:
    """Of a bot that has answered, failed and refused."""
    bot.agent(limits={"turns": 1})
    pull = repo.open_pull(by="ana", title=HOSTILE)
    repo.open_pull(by="ben", body="[agent: fail]")
    pull.comment("@bot me too", by="eve")
    bot.once(code=1)
    bot.poll("pause", "acme/api#2", "--reason", "<b>later</b>")
    out = bot.directory / "report.html"
    bot.poll("report", "--out", str(out))
    return out


def test_a_browser_finds_the_words_and_nothing_that_acts(bot: Bot, page: Path, tmp_path: Path) -> None:
    seen = Browser(tmp_path / "chromium").document(page)
    tags = {element.tag for element in seen.elements}
    assert not tags & {"script", "img", "iframe", "object", "link", "form", "base", "b", "foreignobject", "use"}
    assert not [name for element in seen.elements for name in element.attributes if name.startswith("on")]
    reach = [element.attributes[name] for element in seen.elements for name in ("src", "href", "action")
             if name in element.attributes]  # fmt: skip
    assert sorted(reach) == sorted(f"{bot.url}/acme/api/pulls/{number}" for number in (1, 2))
    assert "url(" not in seen.all("style")[0].text and "@import" not in seen.all("style")[0].text
    assert re.fullmatch(r"bottlepost: \S+, .* to .*", seen.all("title")[0].text)
    headings = " ".join(element.text for element in seen.all("h3"))
    assert HOSTILE.replace("\u202e", "\\u202e") in headings
    policy = next(one.attributes["content"] for one in seen.all("meta") if "http-equiv" in one.attributes)
    assert policy.startswith("default-src 'none'")
    assert {"light dark"} == {one.attributes["content"] for one in seen.all("meta")
                              if one.attributes.get("name") == "color-scheme"}  # fmt: skip
    drawn = [one.attributes["class"] for one in seen.all("rect")]
    assert {"cost", "done", "waiting", "words", "other"} <= set(drawn)
    text = " ".join(element.text for element in seen.elements)
    for words in ("eve is no collaborator of acme/api", "<b>later</b>", "exit", "NOT healthy"):
        assert words in text, words
    assert stat.S_IMODE(page.stat().st_mode) == 0o600


def test_it_fits_on_a_phone_and_minds_the_dark(page: Path, tmp_path: Path) -> None:
    browser = Browser(tmp_path / "chromium")
    wants, has, scripts = browser.on_a_phone(page)
    assert (wants <= has, scripts) == (True, 0)
    light = browser.picture(page, tmp_path / "light.png", size="500,900")
    dark = browser.picture(page, tmp_path / "dark.png", size="500,900", dark=True)
    assert light.startswith(b"\x89PNG") and light != dark


def test_before_anything_has_happened_there_is_a_page_too(bot: Bot) -> None:
    page = bot.poll("report").out
    assert "Nothing has happened." in page and page.startswith("<!DOCTYPE html>")
    assert not bot.state.exists(), "a question makes no database"
    assert "expected 30d, 24h" in bot.poll("report", "--since", "soon", code=2).complaint
    told = bot.poll("report", "--out", "r.html", "--since", "2026-11-01T00:00:00Z", "--format", "json").json
    written = (bot.directory / "r.html").stat().st_size
    assert told == {"file": "r.html", "bytes": written, "since": "2026-11-01T00:00:00Z"}
    assert "goes with --out FILE" in bot.poll("--format", "json", "report", code=2).complaint
    assert "--out nowhere/r.html: " in bot.poll("report", "--out", "nowhere/r.html", code=2).complaint

"""What the bot says, and how it knows its own posts again."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from poller.markdown import shape_of
from poller.mentions import mention_in
from poller.replies import (
    LIMIT,
    LONG,
    NOTHING_SAID,
    SILENCER,
    about_push,
    answer,
    cut,
    folded,
    harmless,
    has_marker,
    marker,
    marks_in,
    notice,
    quoted,
    told_later,
    with_remarks,
)
from sessions.sources import Pushed

MARKDOWN = st.text(st.sampled_from("@ana `~>-*_<!/.\n\tbottlepost turn=1 part=1-->\r\x00é"), max_size=80)


def only(text: str, **options: Any) -> str:
    return answer(text, 12, **options)


def test_a_marker_has_exactly_this_form() -> None:
    assert marker(12, 1) == "<!-- bottlepost turn=12 part=1 -->"


def test_an_answer_is_one_comment_that_ends_with_its_marker() -> None:
    part = only("Looks good.", mode="resume")
    assert (
        part == "Looks good.\n\n<sub>bottlepost · turn 12 · resumed session</sub>\n\n<!-- bottlepost turn=12 part=1 -->"
    )


def test_footer_says_why_the_conversation_did_not_simply_go_on() -> None:
    part = only("Looks good.", mode="fresh", because="its transcript is damaged; it is kept aside\n@ana <!-- x")
    footer = part.split("\n\n")[1]
    assert "a fresh session: its transcript is damaged; it is kept aside @" in footer
    assert "<!--" not in footer and "@ana" not in footer


def test_the_footer_says_why_the_conversation_is_new_and_what_the_turn_cost() -> None:
    part = only("Looks good.", mode="fresh", because="it had grown <b>\n@ana", usd=0.1234)
    assert f"<sub>bottlepost · turn 12 · a fresh session: it had grown &lt;b> @{SILENCER}ana · $0.12</sub>" in part
    assert "turn 12 · a fresh session · under $0.01</sub>" in only("Looks good.", mode="fresh", usd=0.00476)
    assert "a fresh session · $0.01</sub>" in only("Looks good.", mode="fresh", usd=0.005)
    assert "$" not in only("Looks good.", mode="fresh", usd=0.0), "nobody said what it cost"


@pytest.mark.parametrize("text", ["", "  \n", "\r\n\t"])
def test_an_empty_answer_is_said_to_be_empty(text: str) -> None:
    assert only(text).startswith(NOTHING_SAID)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("thanks @ana", f"thanks @{SILENCER}ana"),
        ("_@ana_ (@bob) **@cy**", f"_@{SILENCER}ana_ (@{SILENCER}bob) **@{SILENCER}cy**"),
        ("> @ana wrote", f"> @{SILENCER}ana wrote"),
        ("mail ana@example.com", "mail ana@example.com"),
        ("https://unpkg.com/@types/node", "https://unpkg.com/@types/node"),
        ("use `@property`", "use `@property`"),
        ("```python\n@dataclass\nclass A: ...\n```", "```python\n@dataclass\nclass A: ...\n```"),
        ("    @dataclass", f"    @{SILENCER}dataclass"),
        ("a lone @ sign", "a lone @ sign"),
        ("```\ncode\n```\n@ana", f"```\ncode\n```\n@{SILENCER}ana"),
        ("x `\r```\r@ana", "x `\n```\n@ana"),  # to the forge a lone CR ends no line
        ("open ` tick @ana", f"open ` tick @{SILENCER}ana"),
        ("a\ud800b\x1bc", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"),
    ],
)
def test_mentions_in_the_agents_words_notify_nobody(text: str, said: str) -> None:
    assert harmless(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "Term\n:   def\n\n    @ana look", "Term\n: ```\n  ```\n@ana\n```", "x[^1]\n\n[^1]: n\n\n    @ana",
        "<code>@ana</code>", "x <pre>@ana</pre>", "<pre/>\n\n```\n</pre>\n@ana", "<div>\n```\n\n@ana", 
        "<?\n```\n?>\n@ana", "<!DOCTYPE\n```\n>\n@ana", "<![CDATA[\n\n```\n]]>\n@ana", "<div>\n\u00a0\n```\n\n@ana",
        "text\n<b>\n```\n\n```\n@ana\n```", "<blockquote>\n\n```\n</blockquote>\n```\n@ana\n```",
        "`\n\u00a0\n`@ana `", '<a title=">`">@ana `', '<a title="<`">@ana `', "<`a@b.cd> @ana `", "[x](<`>) @ana `",
        '[x](y "`") @ana `', '[x](y ")`") @ana `', "[x][a`b] @ana `\n\n[a`b]: /u", "[a]: /u '`'\n@ana ` b",
        "[http://x]( ` ) @ana `", "http://a.bc/`x @ana `", "http://a.bc/x]`y @ana `", "x a`b@c.de @ana `",
        "`@a`(b`c@d.ef @ana `", "a|b\n-|-\n`|@ana `", "a|b\n-|-\n` | x ` `@ana ` |", '# ` @ana {x="`"}',
        "www.a.bc@ana", "http://a.bc@ana", "a@b.cd@ana", "`a\nb` c `@ana `",
    ],
)  # fmt: skip
def test_what_only_looks_like_code_notifies_nobody_either(text: str) -> None:
    assert "@ana" not in harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "Use `@pytest.fixture` rather than `@pytest.mark.parametrize`, see [the docs](https://a.bc/d) and `@x`.",
        "- Do:\n  ```py\n  @cache\n  def a(): ...\n  ```\n- `@cache`",
        "<details><summary>More</summary>\n\n```py\n@cache\n```\n\n</details>\n\n`@cache`",
        "**`@cache`** (`@cache`), ana@example.com: `@cache` <br> `@cache`; 1 < 2 <= 3 `@cache`",
        "Here:\n~~~\n<div>\n@cache\n~~~\n`@cache`",
    ],
)
def test_code_that_is_surely_some_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


#: How Gitea finds a reference, and the word before it (with `CLOSE_KEYWORDS` of another language, too).
ISSUE = (
    r"[#!]\d+|[\w.-]+/[\w.-]+[#!]\d+|<?(?:https?://|www\.)\S+/(?:issues|pulls)/\d+|\[[^\[]*\]\(\S+/(?:issues|pulls)/\d+"
)
CLOSING = re.compile(
    rf"(?:^|[\s(\[*>])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|reopen(?:s|ed)?|schließt):? (?:{ISSUE})", re.I
)


@pytest.mark.parametrize(
    "text",
    [
        "closes #1", "This Fixes: acme/other#5.", "(reopens #2)", "resolved !3", "**closed #4**", "> fix #1",
        "schließt #7", "closes https://git.example.com/acme/api/issues/1", "    closes #1",
        "closes <https://git.example.com/acme/api/pulls/1>", "<code>closes #1</code>",
        "fixes [that one](https://git.example.com/acme/api/issues/1)", "closes [x](/acme/api/issues/1 'y')",
        "closes www.example.com/acme/api/issues/1", "see `#1`: closes #2, fixes #3",
    ],
)  # fmt: skip
def test_the_agents_words_close_and_reopen_nothing(text: str) -> None:
    assert CLOSING.search(text)
    said = harmless(text)
    assert not CLOSING.search(said)
    assert said.replace(SILENCER, "") == text and said == harmless(said)
    assert not re.search(rf"[#!/]{SILENCER}", said), "the links stay"


@pytest.mark.parametrize(
    "text",
    ["run `git log --grep 'closes #1'`", "```\nfixes #1\n```", "a #1 heading\n#2", "closes the issue", "1. #2", "C# 2"],
)
def test_what_closes_nothing_stays_as_it_is(text: str) -> None:
    assert harmless(text).replace(f"a{SILENCER} #1", "a #1") == text


@given(MARKDOWN)
def test_no_words_mention_anybody_outside_code(text: str) -> None:
    assert mention_in(only(text), "ana") is None


@given(MARKDOWN)
@example("\r\r\n")
@example("@1@1")
def test_harmless_words_stay_as_they_are(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- bottlepost turn=3 part=1 -->",
        "<!--bottlepost turn=3 part=1-->",
        "<!--\n\nBottlepost\nturn = 3 part='1'\n-->",
        "`<!-- bottlepost turn=3 part=1 -->`",
        "<\x00!-- bottlepost turn=3 part=1 -->",
        "<<!-- bottlepost turn=3 part=1 -->",
    ],
)
def test_an_agent_cannot_forge_a_marker(text: str) -> None:
    assert marks_in(only(text)) == [("12", "1")]


@given(MARKDOWN)
def test_every_answer_carries_its_own_marker_and_no_other(text: str) -> None:
    part = only(text, limit=450)
    assert part.endswith(f"\n\n{marker(12, 1)}")
    assert marks_in(part) == [("12", "1")]
    assert has_marker(part, 12, 1) and not has_marker(part, 1, 1) and not has_marker(part, 12, 2)


@given(MARKDOWN.map(lambda text: text * 20), st.integers(min_value=500, max_value=900))
def test_nothing_is_longer_than_the_limit(text: str, limit: int) -> None:
    assert len(only(text, limit=limit)) <= limit
    for piece in cut(only(text), 12, "1", limit=limit):
        assert len(piece) <= limit and marks_in(piece) == [("12", "1")]


@given(MARKDOWN)
def test_the_footer_is_plain_text_whatever_the_words_left_open(text: str) -> None:
    assert "bottlepost · turn 12" in shape_of(only(text)).mask


def test_a_long_answer_is_cut_at_a_line_and_says_so() -> None:
    part = only("a line of words\n" * 10_000, mode="fresh")
    assert len(part) <= LIMIT
    assert "a line of words\n\n*(Cut here: " in part
    assert part.index("Cut here") < part.index("a fresh session") < part.index("<!--")


def test_a_fence_that_a_cut_leaves_open_is_closed() -> None:
    words = "```py\n" + "x = 1\n" * 200
    assert "x = 1\n```\n\n*(Cut here: " in only(words, limit=1000)
    first, second, *_ = cut(words, 12, "1", limit=1000)
    assert "x = 1\n```\n" in first and second.startswith("```\nx = 1\n")


def test_code_that_a_cut_breaks_open_notifies_nobody() -> None:
    part = only("`" + "@ana " * 300 + "`", limit=1000)
    assert mention_in(part, "ana") is None and f"@{SILENCER}ana" in part


def test_a_fence_of_absurd_length_still_fits() -> None:
    assert len(only("`" * 50_000 + "\ncode", limit=1000)) <= 1000


@pytest.mark.parametrize(
    "body",
    [
        "words\r\n\r\n<!-- bottlepost turn=12 part=1 -->\r\n",
        "<!--bottlepost  turn=12  part=1-->",
        "somebody wrote this above\n<!-- BOTTLEPOST turn='12' part=\"1\" -->\nand this below",
        "<!-- bottlepost turn=11 part=1 --> <!-- bottlepost turn=12 part=1 -->",
    ],
)
def test_a_marker_is_found_after_people_have_edited_the_comment(body: str) -> None:
    assert has_marker(body, 12, 1)
    assert not has_marker(body, 1, 1) and not has_marker(body, 12, 2)


@pytest.mark.parametrize("why", ["failed", "limited", "refused", "too_long"])
def test_a_notice_says_what_happened_and_what_can_be_done(why: str) -> None:
    body = notice(
        why, 12, key="gitea.example.com/acme/api#7", reason="exit 1: `@ana`\n<!-- bottlepost turn=1 part=1 -->"
    )
    assert "`poll why 'gitea.example.com/acme/api#7'`" in body
    assert "{" not in body and len(body) < 1000
    assert marks_in(body) == [("12", f"notice-{why}")]
    assert mention_in(body, "ana") is None


def test_the_second_notice_of_a_turn_is_another_part() -> None:
    assert marks_in(notice("failed", 12, key="k", before=1)) == [("12", "notice-failed-2")]


def test_a_failure_says_what_runs_it_again_and_only_that() -> None:
    body = notice("failed", 12, key="k", bot="bot")
    assert "`@bot retry` (for the operator: `poll retry 12`) runs it again." in body
    assert "mentions me" not in body and "new comment" not in body
    assert "lost: `poll retry 12` runs it again." in notice("failed", 12, key="k")


def test_a_limited_turn_shows_how_far_it_came_and_no_further() -> None:
    body = notice("limited", 12, key="k", reason="so", so_far="```py\n@ana = 1\n" + "x = 1\n" * 9_000, usd=1.0)
    assert len(body) <= LIMIT and f"By then I had said:\n\n```py\n@{SILENCER}ana = 1" in body
    assert "\n```\n\n*(Cut here.)*\n\n<sub>bottlepost · turn 12 · $1.00</sub>" in body
    assert body.endswith(marker(12, "notice-limited"))


@given(MARKDOWN)
def test_no_unfinished_words_notify_or_forge(text: str) -> None:
    body = notice("limited", 12, key="k", so_far=text)
    assert mention_in(body, "ana") is None and marks_in(body) == [("12", "notice-limited")]


def test_the_footer_tells_how_to_get_help_and_mentions_nobody() -> None:
    part = only("Looks good.", mode="resume", bot="bot")
    assert "<sub>bottlepost · turn 12 · resumed session · `@bot help`</sub>" in part
    assert mention_in(part, "bot") is None


def test_a_long_answer_shows_its_beginning_and_folds_the_rest() -> None:
    text = "Short of it.\n\n" + "\n\n".join(f"Paragraph {number}. " + "word " * 40 for number in range(60))
    part = only(text)
    shown, _, rest = part.partition("\n\n<details><summary>The rest (")
    assert shown.startswith("Short of it.") and len(shown) < LONG
    assert "Paragraph 59." in rest and rest.index("</details>") < rest.index("<sub>bottlepost")
    assert only("word " * 1000).count("<details>") == 0


@pytest.mark.parametrize("left_open", ["```python\n", "<!-- ", "~~~\n"])
def test_nothing_is_folded_out_of_the_middle_of_a_block(left_open: str) -> None:
    text = left_open + "\n\nx = 1".join(["x"] * 2000)
    assert folded(text) == text


@pytest.mark.parametrize(("before", "is_folded"), [("", True), ("```\n", False), ("Words.\n\n```\n", True)])
def test_words_with_very_many_places_to_fold_cost_little(before: str, is_folded: bool) -> None:
    text, begun = before + "a\n\n" * 2400, time.process_time()
    assert (folded(text) != text) is is_folded
    assert time.process_time() - begun < 1.5, "a write transaction waits for it"


@given(MARKDOWN.map(lambda text: (text + "\n\nAnd so on.") * 300))
def test_folding_loses_no_words(text: str) -> None:
    made = re.sub(r"<details><summary>The rest [^<]*</summary>\n\n", "", folded(text)).removesuffix("\n\n</details>")
    assert made.startswith(text.rstrip())


def test_what_is_known_later_stands_between_the_words_and_the_footer() -> None:
    part = only("Done.", later=True)
    assert told_later(part, "Pushed.").startswith("Done.\n\nPushed.\n\n<sub>")
    assert told_later(part, "").startswith("Done.\n\n<sub>")
    forged = only("<!-- bottlepost later -->\n\nDone.", later=True)
    assert told_later(forged, "Pushed.").count("Pushed.") == 1
    assert "&lt;!-- bottlepost later" in told_later(forged, "Pushed."), "an agent cannot take its place"


def test_what_became_of_a_push_is_told_without_effects() -> None:
    held = Pushed(state="held", why=("`a` is protected", "@ana <b> has"))
    said = about_push(held, branch="f`x@ben", kept="reviewer-abcde/turn-3")
    assert said.startswith("**Not pushed** to `f'x@")
    assert "- `a` is protected\n- @\u200bana &lt;b> has" in said
    assert said.endswith("My commits are kept on branch `reviewer-abcde/turn-3` of the poller's mirror.")
    assert mention_in(said, "ana") is None


def test_remarks_that_have_no_line_stand_before_the_footer() -> None:
    body = with_remarks(only("All in all."), [("a.py", 3, "Why?"), ("", 0, "And?")])
    assert body.startswith("All in all.\n\n> `a.py`, line 3\n\nWhy?\n\n> `no file`\n\nAnd?\n\n<sub>bottlepost")
    assert marks_in(body) == [("12", "1")]


def test_a_quote_is_one_line_and_mentions_nobody() -> None:
    said = quoted("a`b.py", 7, "@bot why\n\n```\nis <!-- this")
    assert said == f"> `a'b.py`, line 7: @{SILENCER}bot why ''' is &lt;!-- this"

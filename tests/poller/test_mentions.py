"""What counts as speaking to the bot."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.markdown import DEEPEST
from poller.mentions import LOOKED_AT, first_mention, mention_in

FENCES = [
    "```\n@bot\n```",
    "~~~ python\n@bot\n~~~",
    "````\n```\n@bot\n````",
    "- item\n  ```\n  @bot\n  ```",
    "```\n@bot",
]
MENTIONED = [
    "@bot",
    "@BOT please look",
    "hey @bot, why?",
    "hey (@bot)",
    "please,@bot",
    "**@bot** look",
    "_@bot_",
    "~~@bot~~",
    "@bot.",
    "@bot...",
    "@bot!",
    "@bot: rename it",
    "@bot's turn",
    "cc:@bot",
    "| a | @bot |",
    "# @bot",
    "- @bot",
    "1. a\n   @bot",
    "text\n    @bot is a continuation line, no code",
    "> quoted\n\n@bot why?",
    "```\ncode\n```\n@bot",
    "~~~\n```\n~~~\n@bot",
    "`code` @bot",
    "`` ` `` @bot `x`",
    "unclosed ` @bot",
    "<!-- hidden --> @bot",
    "<!-- hidden\n\nstill hidden -->\n@bot",
    "`<!--` @bot `-->`",
    "text <!-- never closed, so shown @bot",
    "<b>@bot</b>",
    "@ana @bot",
    "«@bot»",
    "（@bot）",
    "a\r\n@bot\r\nb",
    "[@bot](https://example.com)",
    "@bot-2 said so, @bot",
]
NOT_MENTIONED = [
    *FENCES,
    "bot",
    "`@bot`",
    "`` @bot ` ``",
    "`a\n@bot`",
    "    @bot",
    "\t@bot",
    "- a\n\n      @bot",
    "> @bot",
    ">@bot",
    "> > @bot",
    "- > @bot",
    "> quoted\nand lazily on @bot",
    "> ```\n> @bot",
    "<!-- @bot -->",
    "<!--\n\n@bot\n\n-->",
    "<!-- @bot",
    "a <!-- @bot --> b",
    "<pre>\n\n@bot</pre>",
    "<code>@bot</code>",
    "<blockquote>\n\n@bot\n\n</blockquote>",
    '<img alt="@bot">',
    "ana@bot",
    "ana@bot.example.com",
    "@bot@example.com",
    "@bot2",
    "@bot-2",
    "@bot_2",
    "@bot.x",
    "@bot--2",
    "@bottle",
    "@bot/team",
    "a/@bot",
    "@@bot",
    r"\@bot",
    r"\`@bot\`",
    "[x](@bot)",
    "https://example.com/@bot",
    "x=@bot",
    "word.@bot",
    "word_@bot",
    "-@bot",
    "é@bot",
    "@boté",
    "@bot\u0301",
    "@bot\u200b",
    "\u200b@bot",
    "@\u200bbot",
    "@b\u00adot",
    "\u202e@bot",
    "＠bot",
    "@ｂｏｔ",
    "@bоt",  # a Cyrillic o
    "foo<b></b>@bot",
    "@bot<!-- -->2",
    "> " * (DEEPEST + 10) + "@bot",
    "- " * (DEEPEST + 10) + "@bot",
    "x" * LOOKED_AT + " @bot",
]


@pytest.mark.parametrize("text", MENTIONED)
def test_words_to_the_bot_are_a_mention_and_the_whole_comment_is_the_request(text: str) -> None:
    mention = mention_in(text, "bot")
    assert mention is not None
    assert mention.words == text.strip()


@pytest.mark.parametrize("text", NOT_MENTIONED)
def test_words_about_or_quoting_the_bot_are_no_mention(text: str) -> None:
    assert mention_in(text, "bot") is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("@bot stop", "stop"),
        ("@bot  OK-to-test please", "ok-to-test"),
        ("hey @bot, retry!", "retry"),
        ("**@bot** status", "status"),
        ("@bot: help", "help"),
        ("@bot", ""),
        ("@bot\nstop", ""),
        ("@bot's status", ""),
        ("@bot `stop`", ""),
        ("@bot stop-", ""),
        ("@bot stop2", ""),
        ("`@bot cost` @bot pause", "pause"),
    ],
)
def test_the_first_word_is_the_one_right_after_the_mention(text: str, word: str) -> None:
    found = mention_in(text, "bot")
    assert found is not None and (found.words, found.first_word) == (text, word)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("@bot stop", ""),
        ("@bot pause: release week.", "release week"),
        ("@bot ok-to-test 1234abc\nand more", "1234abc"),
        ("@bot cost `in code`", ""),
        ("@bot", ""),
    ],
)
def test_what_stands_behind_the_first_word_is_plain_words_of_its_line(text: str, rest: str) -> None:
    found = mention_in(text, "bot")
    assert found is not None and found.rest == rest


@pytest.mark.parametrize(
    ("text", "login", "mentioned"),
    [
        ("@claude.bot please", "claude.bot", True),
        ("@claudexbot please", "claude.bot", False),
        ("@Bot_1", "bot_1", True),
        ("@kit", "kit", True),
        ("@\u212ait", "kit", False),  # the Kelvin sign folds to k
        ("@ſam", "sam", False),
        ("@", "", False),
    ],
)
def test_logins_compare_as_ascii_letter_by_letter(text: str, login: str, mentioned: bool) -> None:
    assert (mention_in(text, login) is not None) is mentioned


@given(st.text(st.sampled_from("@bot `~>-*_<!\n\t \u200b1.é")))
def test_no_text_is_too_strange_to_be_read(text: str) -> None:
    mention = mention_in(text, "bot")
    assert mention is None or "@bot" in mention.words


@given(st.text().filter(lambda text: "@" not in text))
def test_a_text_without_an_at_sign_mentions_nobody(text: str) -> None:
    assert mention_in(text, "bot") is None


@given(st.text(st.sampled_from("@bot `~>-*_<!\n\t ")), st.sampled_from(["> ", "    "]))
def test_quoting_every_line_of_a_comment_silences_it(text: str, prefix: str) -> None:
    assert mention_in("\n".join(prefix + line for line in text.split("\n")), "bot") is None


def test_of_a_review_with_its_remarks_so_much_is_looked_at_in_all() -> None:
    remarks = ["x" * (LOOKED_AT // 2), "y" * (LOOKED_AT // 2 - 20)]
    found = first_mention([*remarks, "@bot stop now", "@bot retry"], "bot")
    assert found is not None and (found.words, found.first_word, found.rest) == ("@bot stop now", "stop", "now")
    assert first_mention([*remarks, "and words of no concern", "@bot stop now"], "bot") is None


@pytest.mark.parametrize("lines", ["\n", "a\n", "> \n"], ids=["empty", "lazy", "quotes"])
def test_remarks_that_were_made_to_be_dear_cost_little_however_often_they_are_asked_about(lines: str) -> None:
    remark = ("- " * (DEEPEST - 1) + "x\n" + lines * LOOKED_AT)[: LOOKED_AT - 10] + "\n`@bot`"
    began = time.process_time()
    for _ in range(10):
        assert first_mention([remark] * 10, "bot") is None
    assert time.process_time() - began < 2

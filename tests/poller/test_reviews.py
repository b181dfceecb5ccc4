"""An agent's review: read whatever shape it is in, and fitted to the lines that a diff shows."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poller.posting import Remark, Review
from poller.reviews import SCHEMA, fitted, read, spots_of

DIFF = """diff --git a/app.py b/app.py
index 1..2 100644
--- a/app.py
+++ b/app.py
@@ -1,3 +1,4 @@ def f():
 one
-two
+2
+three
 four
@@ -20 +21 @@
-x
+--- a/fake.py
diff --git a/gone.py b/gone.py
deleted file mode 100644
--- a/gone.py
+++ /dev/null
@@ -1,2 +0,0 @@
-a
-b
diff --git a/old name.py b/new name.py
similarity index 90%
rename from old name.py
rename to new name.py
--- a/old name.py\t
+++ b/new name.py\t
@@ -5 +5 @@
-c
+d
\\ No newline at end of file
"""


def test_added_removed_and_unchanged_lines_that_the_diff_shows_can_carry_remarks() -> None:
    shown = spots_of(DIFF)
    assert {(old, line) for path, old, line in shown if path == "app.py"} == {
        (False, 1), (False, 2), (False, 3), (False, 4), (False, 21), (True, 1), (True, 2), (True, 3), (True, 20),
    }  # fmt: skip
    assert {(old, line) for path, old, line in shown if path == "gone.py"} == {(True, 1), (True, 2)}
    assert ("new name.py", True, 5) in shown and ("new name.py", False, 5) in shown
    assert not any(path.startswith("fake") for path, *_ in shown), "a line of a file is no head of another"


@pytest.mark.parametrize(
    ("line", "number"), [('"6"', 6), ('" 6 "', 6), ('"six"', 0), ('"-6"', 0), ('"99999999999"', 0)]
)
def test_a_line_in_quotes_is_one(line: str, number: int) -> None:
    said = read(f'{{"summary": "No.", "comments": [{{"path": "a", "line": {line}, "side": "new", "body": "b"}}]}}', "")
    assert said.remarks == (Remark(path="a", line=number, body="b"),)


@pytest.mark.parametrize("words", ['{"summary":' + "[" * many for many in (1_200, 100_000)])
def test_brackets_in_brackets_are_words(words: str) -> None:
    assert read(words, words).summary == words
    assert read(f"{words}{']' * words.count('[')}}}", "…").remarks == ()


def test_half_a_character_in_a_path_can_be_written_down() -> None:
    [remark] = read('{"summary": "x", "comments": [{"path": "a\\ud800.py", "line": 1, "body": "b"}]}', "").remarks
    assert remark.path == "a\N{REPLACEMENT CHARACTER}.py"
    assert msgspec.json.encode(Review(remarks=(remark,)))


def test_remarks_elsewhere_do_not_fit() -> None:
    here, there = Remark(path="app.py", line=2, body="x"), Remark(path="app.py", line=9, body="y")
    assert fitted([here, there, Remark(path="app.py", line=0, body="z")], DIFF)[0] == [here]


def test_a_crowd_of_remarks_is_bounded_and_none_is_lost() -> None:
    many = [Remark(path="app.py", line=2, body=str(number)) for number in range(130)]
    fits, others = fitted(many, DIFF)
    assert (len(fits), len(others)) == (100, 30)


def test_names_that_git_quotes_are_understood(tmp_path: Path) -> None:
    name = 'a "b"\té.py'
    (tmp_path / name).write_text("one\n")
    for call in (["init", "-q"], ["add", "-N", "."]):
        subprocess.run(["git", *call], cwd=tmp_path, check=True)
    diff = subprocess.run(["git", "diff"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert spots_of(diff) == {(name, False, 1)}


@given(st.text(alphabet='@-+ 0123456789,\ndiff/ab\\"'))
def test_no_text_that_calls_itself_a_diff_breaks_the_reading(text: str) -> None:
    assert isinstance(spots_of("+++ b/x\n@@ -1 +1 @@\n" + text), set)


def test_a_review_by_the_schema_is_read() -> None:
    said = read(
        '{"verdict":"request_changes","summary":"No.","comments":[{"path":"a","line":3,"side":"old","body":"b"}]}', ""
    )
    assert (said.verdict, said.summary) == ("request_changes", "No.")
    assert said.remarks == (Remark(path="a", line=3, body="b", old=True),)


@pytest.mark.parametrize(
    ("structured", "text", "verdict", "summary", "remarks"),
    [
        ("", "Just words.", "comment", "Just words.", 0),
        ("", '```json\n{"summary": "S", "verdict": "APPROVE"}\n```', "approve", "S", 0),
        ('{"verdict":"perhaps","summary":"S"}', "", "comment", "S", 0),
        ('{"summary":"S","comments":[{"path":"a","line":"7","body":"b"},{"body":""},7,"loose"]}', "", "comment",
         "S\n\n- loose", 1),
        ('{"summary":null,"comments":[{"body":"b","line":true}]}', "", "comment", "", 1),
        ('["no review"]', "Words.", "comment", "Words.", 0),
        ("{not json", "Words.", "comment", "Words.", 0),
    ],
)  # fmt: skip
def test_whatever_shape_it_is_in_nothing_is_lost(
    structured: str, text: str, verdict: str, summary: str, remarks: int
) -> None:
    said = read(structured, text)
    assert (said.verdict, said.summary, len(said.remarks)) == (verdict, summary, remarks)


def test_the_schema_is_one_line_of_json_that_asks_for_all_of_it() -> None:
    schema = json.loads(SCHEMA)
    assert schema["required"] == ["verdict", "summary", "comments"] and "\n" not in SCHEMA

"""What may be told as one event, or as none, because nobody who polls could have seen more.  Each has its name."""

from __future__ import annotations

COMMENT = "comment made and deleted between two looks"
BACKDATED = "comment of an earlier time, deleted before its pull was looked at closely"
REVIEW = "review submitted and deleted between two looks"
REMARK = "remark deleted, and then its whole review, between two looks"
ROW_OF_REVIEW = "row of a review deleted without its review"
LABEL = "label put on, and its object deleted, between two looks"
LABELS = "labels of one person within a second"
MILESTONE = "milestone's object deleted before its row was looked at"
PULL = "pull (or repository) deleted before the next look"
EDITS = "edited more than once between two looks"
BODIES = "described more than once between two looks"
PUSHES = "pushed again before the row or the head was looked at"
PUSH_LOST = "pushed, and closed before the row or the head was looked at"
EMPTY_PUSH = "pushed again before the head of a push without commits was looked at"
UNSEEN_PUSH = "pushed without a row before the pull was looked at for the first time"
FLAG = "undone and done again between two looks"
LOSS = "given and lost, or lost and given, between two looks"
NAMES = "renamed more than once between two looks"
COLLAPSES = (
    COMMENT, BACKDATED, REVIEW, REMARK, ROW_OF_REVIEW, LABEL, LABELS, MILESTONE, PULL, EDITS, BODIES, PUSHES, PUSH_LOST,
    EMPTY_PUSH, UNSEEN_PUSH, FLAG, LOSS, NAMES,
)  # fmt: skip

"""The numbers beside the pictures."""

from dataclasses import replace

from yulan.recipe import Book
from yulan.report import tables
from yulan.report.facts import Count, Facts


def test_a_benchmark_is_told_with_what_was_looked_for_and_by_parts(book: Book, facts: Facts):
    rows = tables.leaks(book, facts).rows
    assert rows[0] == ("arc_easy", "2,946, 2,942 looked for", "30", "31", "4.3 kB")
    assert rows[1] == ("", "kind: ngram", "26", "31", "4.3 kB")


def test_bytes_per_token_leave_ends_out_and_need_text(book: Book, facts: Facts):
    def count(source: str, family: str, size: int) -> Count:
        return Count(stage="train", family=family, source=source, documents=10, bytes=size, tokens=110)

    counts = (count("en/wiki", "encyclopaedia", 330), count("en/passages", "encyclopaedia", 370), count("qa/arc", "qa", 0))
    found = tables.tokens(book, replace(facts, counts=counts, mixes=()))
    assert found.rows == (("encyclopaedia", "700 B", "220", "3.500"), ("qa", "–", "110", "–"))

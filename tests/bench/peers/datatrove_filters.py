"""Run by the peer's own python: datatrove's filters on texts.jsonl, decisions into decisions.jsonl."""

import json
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter


def main() -> None:
    folder = Path(sys.argv[1])
    # FineWeb's chain (arXiv 2406.17557) and thresholds: every default but C4's full stop.
    chain = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
    ]
    texts = [json.loads(line) for line in (folder / "texts.jsonl").open(encoding="utf-8")]
    decide(chain, "One text first: loading takes a while.")
    began = time.perf_counter(), time.process_time()
    decisions = [decide(chain, text) for text in texts]
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    with (folder / "decisions.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(decision) + "\n" for decision in decisions)
    print(*seconds)


def decide(chain: list, text: str) -> str | None:
    """Why a text is dropped; None: it is kept."""
    document = Document(text=text, id="")
    for each in chain:
        told = each.filter(document)
        if told is not True:
            return told[1]
    return None


if __name__ == "__main__":
    main()

"""Run by the peer's own python: datatrove's tokenizer on FOLDER/text/*.parquet, without shuffling, into FOLDER/theirs."""

import shutil
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.tokens import DocumentTokenizer


def main() -> None:
    folder, eos = Path(sys.argv[1]), sys.argv[2]
    shutil.rmtree(folder / "theirs", ignore_errors=True)

    def tokenizer(into: Path) -> DocumentTokenizer:
        return DocumentTokenizer(str(into), str(folder / "tokenizer" / "tokenizer.json"), eos_token=eos, shuffle_documents=False)

    # One text first: loading takes a while.
    tokenizer(folder / "theirs" / "first").run([Document(text="One text first.", id="")])
    step = tokenizer(folder / "theirs" / "all")
    assert step.tokenizer
    reader = ParquetReader(str(folder / "text"), glob_pattern="**/*.parquet", text_key="text", id_key="id")
    began = time.perf_counter(), time.process_time()
    step.run(reader.run())
    print(time.perf_counter() - began[0], time.process_time() - began[1])


if __name__ == "__main__":
    main()

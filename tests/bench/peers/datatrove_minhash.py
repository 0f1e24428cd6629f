"""Run by the peer's own python: datatrove's MinHash on texts.jsonl, the group of each text into groups.json."""

import json
import struct
import sys
import time
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature


def main() -> None:
    folder = Path(sys.argv[1])
    texts = [json.loads(line) for line in (folder / "texts.jsonl").open(encoding="utf-8")]
    config = MinhashConfig(n_grams=5, num_buckets=14, hashes_per_bucket=8, seed=1)
    stages = [str(folder / name) for name in ("signatures", "buckets", "clusters")]
    sign = MinhashDedupSignature(stages[0], config)
    sign.get_shingles("One text first: loading takes a while.")
    began = time.perf_counter(), time.process_time()
    sign.run((Document(text=text, id=str(row)) for row, text in enumerate(texts)), 0, 1)
    for bucket in range(config.num_buckets):
        MinhashDedupBuckets(stages[0], stages[1], config=config).run(None, bucket, config.num_buckets)
    MinhashDedupCluster(stages[1], stages[2], config, save_cluster_id=True).run(None, 0, 1)
    seconds = time.perf_counter() - began[0], time.process_time() - began[1]
    groups: list[int | None] = [None] * len(texts)
    for row, group in struct.iter_unpack("<2I", (Path(stages[2]) / "000000.clusters").read_bytes()):
        groups[row] = group
    (folder / "groups.json").write_text(json.dumps(groups))
    print(*seconds)


if __name__ == "__main__":
    main()

"""Text that someone else brings: JSON lines, Parquet or a data set's folder, as documents with ids, sorted by them."""

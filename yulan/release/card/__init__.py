"""Cards whose every number comes from a result file, with the file and the key it came from."""

"""Where outputs go: part files, renames that never overwrite, copies that share blocks."""

"""What a library holds: the walk, the filters, the identity of a file, the watch."""

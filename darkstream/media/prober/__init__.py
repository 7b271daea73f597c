"""The isolated half of probing: runs caged, imports PyAV and the standard library alone."""

"""The use-cases of the worker wing: one module each, a record in, a record out."""

"""`python -m darkstream` is `darkstream`."""

from darkstream.cli.main import main

main()

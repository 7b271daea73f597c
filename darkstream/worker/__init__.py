"""The Prefect worker type `darkstream`: flow runs in forks of a process that imported everything.

Prefect loads this package through its entry point `prefect.collections`; then, and only then, the
worker type is registered here. Whoever imports the package before Prefect (the command line, which
sets Prefect's environment first) pays nothing.
"""

import sys

if "prefect.main" in sys.modules:
    import darkstream.worker.kind  # noqa: F401 - importing the class registers the type

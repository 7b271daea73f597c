"""Records of the catalog made into Prefect's flow runs; speaks only Prefect's client API."""

from darkstream.dispatch.dispatcher import PrefectDispatcher

__all__ = ["PrefectDispatcher"]

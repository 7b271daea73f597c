"""Use-cases of the server wing: the only room that joins catalog, dispatch and notify."""

"""The doors: HTTP in, HTTP out. `app.py` shows the whole API on one screen.

A handler reads, authenticates and validates, calls a service and writes the answer. Wire spelling
(`SLN_GRP`, `jigId`) lives in `schemas.py` alone, every error's status in `errors.py` alone.
"""

"""What runs in browsers: `client/`, the library and its service worker, and `app/`, the reference app.

No Python but this: `api/phone.py` serves the files, and they talk to the API like any other client.
"""

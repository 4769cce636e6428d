"""The sandbox: stand-ins for push services and a page with phones that ring.

A process of its own, started by `clarion sandbox` and by `scripts/run`. It knows the vendors' published
rules and nothing of Clarion: it imports no other part of this package, speaks HTTP/2 through the `h2` library
rather than through ours, and reads provider tokens with its own code, so that each side checks the other.

    wire.py           HTTP/2 over TLS for every stand-in: requests in, replies out
    apns.py           the stand-in for Apple: one conversation per connection
    apns_rules.py     what Apple accepts and how it refuses, as a pure function
    apns_token.py     the provider token (JWT, ES256)
    outcomes.py       the table of outcomes that a token can ask for
    faults.py         trouble for all requests, switched on and off while running
    registry.py       the keys and phones that the stand-ins know
    received.py       every accepted push, for tests and measurements
    screens.py        what is on each phone's screen
    watchers.py       who watches the page live
    stage.py          what the stand-ins and the page share
    web.py, page/     the page and its API
    server.py         starts and stops all of it

A further provider is one more file beside `apns.py`, with a line in `server.py`.
"""

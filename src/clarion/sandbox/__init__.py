"""The sandbox: stand-ins for push services and a page with phones that ring.

A process of its own, started by `clarion sandbox` and by `scripts/run`. It knows the vendors' published
rules and nothing of Clarion: it imports no other part of this package, speaks HTTP/2 through the `h2` library
rather than through ours, and reads tokens and messages with its own code, so that each side checks the other.

    conversation.py   what a stand-in and the wire say to each other
    wire.py           HTTP/2 over TLS for every stand-in: requests in, replies out
    http1.py          the same over HTTP/1.1
    jose.py           signed tokens, read
    outcomes.py       outcomes that an address can ask for; the table of Apple's
    fates.py          what befalls a push that is right: a fault for all, or its wish
    faults.py         trouble for all requests, switched on and off while running

    apns.py           the stand-in for Apple: one conversation per connection
    apns_rules.py     what Apple accepts and how it refuses, as a pure function
    apns_token.py     the provider token
    fcm.py            the stand-in for Google
    fcm_rules.py      what FCM accepts and how it refuses, as a pure function
    fcm_schema.py     the fields of a message and their types
    fcm_auth.py       the token endpoint, and the access tokens that it granted
    fcm_errors.py     Google's error object
    fcm_outcomes.py   the table of outcomes
    webpush.py        the stand-in for browsers' push services
    webpush_rules.py  what a service accepts and how it refuses, as a pure function
    webpush_decryption.py, webpush_message.py
                      what a browser does with a message: decrypts it, reads it
    webpush_errors.py, webpush_outcomes.py
                      refusals, and the table of outcomes
    subscriptions.py  makes subscriptions as a browser would

    registry.py       the credentials and devices that the stand-ins know
    received.py       every accepted push, for tests and measurements
    screens.py        what is on each phone's screen
    watchers.py       who watches the page live
    stage.py          what the stand-ins and the page share
    web.py, page/     the page and its API
    certificates.py   the authority that everybody has to trust
    server.py         starts and stops all of it

A further provider is one more file beside `apns.py`, with a line in `server.py`.
"""

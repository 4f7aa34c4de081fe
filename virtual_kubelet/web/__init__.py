"""One HTTPS server for everything that this package listens on: HTTP/1.1, upgraded connections, certificates.

From the wire upwards:

    server        the listener; owns all threads; start, stop
    poller        one thread that waits for every quiet socket: listener, handshakes, request heads, idle ones
    connection    one client: handshake, then requests in turn (h11), then perhaps an upgrade
    delivery      one request: its handler, and its answer whole, in pieces, or by an upgrade
    exchange      its bytes: the body read, the answer written
    transport     a socket that one thread may read while another writes, TLS or not
    pool          threads for work that is short; a thread whose work turns out long leaves the count
    routing       from a path to a handler
    messages      what handlers get and give
    tls           which certificate is shown, whose clients are trusted, and their reload
"""

from __future__ import annotations

"""Serves a directory: `web_of_files.py DIRECTORY PORT`. Unlike `http.server` it asks no DNS for the machine's name."""

from __future__ import annotations

import functools
import sys
from http.server import SimpleHTTPRequestHandler
from socketserver import ThreadingTCPServer


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    handler = functools.partial(SimpleHTTPRequestHandler, directory=sys.argv[1])
    Server(("", int(sys.argv[2])), handler).serve_forever()

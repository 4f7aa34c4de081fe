"""Run by test_embedding: a Django site and the agent in one process, by the document's `serve`. Ctrl-C ends both."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from wsgiref import simple_server

import serving
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from jobs.provider import JobProvider

from virtual_kubelet.settings import Settings


def surroundings():
    root = logging.getLogger()
    return [signal.getsignal(number) for number in signal.valid_signals()], list(root.handlers), root.level


def announcing(*arguments, **options):
    server = simple_server.make_server(*arguments, **options)
    say(str(server.server_port))
    return server


def say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
site = get_wsgi_application()  # which configures logging
before = surroundings()
serving.make_server = announcing
try:
    serving.serve(Settings(**settings.VIRTUAL_KUBELET), JobProvider(), lambda agent: site, 0)
except KeyboardInterrupt:
    for thread in set(threading.enumerate()) - {threading.current_thread()}:
        thread.join(30)  # the server's have answered, and may take a moment to end
    same = surroundings() == before and threading.active_count() == 1
    say("as it was" if same else f"changed: {surroundings()} {threading.enumerate()}")

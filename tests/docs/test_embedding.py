"""docs/embedding.md: the agent in a threaded WSGI program and in a Django site; both are left as they were."""

from __future__ import annotations

import contextlib
import logging
import signal
import socketserver
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from wsgiref import simple_server

import pytest
from support import documents
from support.devapi import control_plane
from support.programs import users_environment
from support.provider import PushingProvider
from support.waiting import eventually

from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.settings import Settings

DOCUMENT = "docs/embedding.md"
HERE = Path(__file__).parent


@pytest.fixture
def plane(tmp_path):
    with control_plane() as plane:
        plane.write_kubeconfig(tmp_path / "kubeconfig")
        yield plane


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except (TimeoutError, urllib.error.URLError):
        return None


def surroundings():
    """Return what belongs to the program and not to the agent."""
    root = logging.getLogger()
    ours = logging.getLogger("virtual_kubelet")
    handlers = [
        signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
    ]
    return handlers, list(root.handlers), root.level, list(ours.handlers), ours.level, threading.excepthook


def ready(plane, name):
    record = plane.storage.get("nodes", "", name)
    conditions = record.body.get("status", {}).get("conditions", []) if record else []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def test_in_a_threaded_wsgi_program(plane, tmp_path, monkeypatch):
    """It serves and stops with its host; requests are answered while it works; nothing else is touched."""
    before = surroundings()
    servers, threads = [], set()
    made = simple_server.make_server

    def make_server(*arguments, **options):
        servers.append(made(*arguments, **options))
        return servers[-1]

    monkeypatch.setattr(simple_server, "make_server", make_server)
    monkeypatch.setattr(simple_server.WSGIRequestHandler, "log_message", lambda *_: None)
    scope = documents.python(DOCUMENT)
    assert issubclass(scope["ThreadingServer"], socketserver.ThreadingMixIn)

    def application(agent):
        inner = scope["readiness"](agent)

        def noting(environ, start_response):
            threads.add(threading.get_ident())
            return inner(environ, start_response)

        return noting

    settings = Settings(
        kubeconfig=str(tmp_path / "kubeconfig"), node_name="batch", node_ip="127.0.0.1", address="127.0.0.1", port=0,
        state_dir=str(tmp_path / "state"),
    )  # fmt: skip
    host = spawn(scope["serve"], settings, PushingProvider(), application, 0, name="host")
    eventually(lambda: servers, 30)
    try:
        url = f"http://127.0.0.1:{servers[0].server_port}/"
        eventually(lambda: get(url) == (200, b"ready"), 30)
        assert ready(plane, "batch")
        with ThreadPoolExecutor(8) as callers:
            assert set(callers.map(get, [url] * 40)) == {(200, b"ready")}
        assert host.ident not in threads
    finally:
        servers[0].shutdown()
    host.join(30)
    assert not host.is_alive()
    assert surroundings() == before
    assert not [thread.name for thread in threading.enumerate() if "batch" in thread.name]


# --- Django

FILES = {
    "manage.py": "import os, sys\nos.environ['DJANGO_SETTINGS_MODULE'] = 'settings'\n"
    "from django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n",
    "urls.py": "from django.http import HttpResponse\nfrom django.urls import path\n"
    "urlpatterns = [path('hello', lambda request: HttpResponse('hello from Django'))]\n",
    "jobs/__init__.py": "",
    "jobs/management/__init__.py": "",
    "jobs/management/commands/__init__.py": "",
    "jobs/provider.py": "from virtual_kubelet.providers.mock.config import MockConfig\n"
    "from virtual_kubelet.providers.mock.provider import MockProvider\n\n\n"
    "class JobProvider(MockProvider):\n    def __init__(self):\n        super().__init__(MockConfig())\n",
}


@pytest.fixture
def site(plane, tmp_path):
    """A Django project with one application, whose command is the document's."""
    pytest.importorskip("django")
    agent = {
        "kubeconfig": str(tmp_path / "kubeconfig"), "node_name": "jobs", "node_ip": "127.0.0.1", "port": 0,
        "address": "127.0.0.1", "state_dir": str(tmp_path / "state"),
    }  # fmt: skip
    settings = (
        "SECRET_KEY = 'x'\nALLOWED_HOSTS = ['*']\nINSTALLED_APPS = ['jobs']\nROOT_URLCONF = 'urls'\nUSE_TZ = True\n"
        f"VIRTUAL_KUBELET = {agent!r}\n"
    )
    files = {**FILES, "settings.py": settings, "beside.py": (HERE / "django_beside.py").read_text()}
    files |= {block.what: block.text for block in documents.blocks(DOCUMENT) if block.do == "file"}
    files["serving.py"] = next(
        block.text for block in documents.blocks(DOCUMENT) if (block.do, block.language) == ("run", "python")
    )
    for name, text in files.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    return tmp_path / "site"


@contextlib.contextmanager
def running(site, *words):
    command = [sys.executable, "-W", "error::ResourceWarning", *words]
    environment = users_environment()
    with subprocess.Popen(command, cwd=site, env=environment, stdout=subprocess.PIPE, text=True) as program:
        try:
            yield program
        finally:
            program.kill()


def test_as_a_django_command(site, plane):
    with running(site, "manage.py", "runnode") as program:
        eventually(lambda: ready(plane, "jobs"), 40)
        program.send_signal(signal.SIGTERM)
        assert program.wait(40) == 0
    assert plane.storage.get("nodes", "", "jobs") is not None


def test_beside_a_django_site_in_one_process(site, plane):
    with running(site, "beside.py") as program:
        url = f"http://127.0.0.1:{program.stdout.readline().strip()}/hello"
        eventually(lambda: ready(plane, "jobs"), 40)
        with ThreadPoolExecutor(8) as callers:
            assert set(callers.map(get, [url] * 20)) == {(200, b"hello from Django")}
        program.send_signal(signal.SIGINT)
        said = program.stdout.read()
        assert program.wait(40) == 0
    assert said == "as it was\n"

from __future__ import annotations

import threading

import pytest
from support.azure.arm import FakeArm
from support.azure.io import FakeIO
from support.azure.tls import own_tls
from support.pods import make_pod
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotFound, NotSupported, ProviderError, Unavailable
from virtual_kubelet.provider import ProviderConfig, TerminalSize
from virtual_kubelet.providers.azure import sessions
from virtual_kubelet.providers.azure.client import Session
from virtual_kubelet.providers.azure.provider import create
from virtual_kubelet.runtime.threads import spawn


@pytest.fixture
def pod(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    return pod


@pytest.fixture
def run(provider, pod):
    def run(command, io, container="main"):
        return provider.exec_in_container("default", "web", pod["metadata"]["uid"], container, command, io)

    return run


def session_of(arm):
    return next(iter(arm.sessions.values()))


def test_a_command_with_arguments_and_its_output(arm, run):
    io = FakeIO()
    assert run(["sh", "-c", "echo 'a  b'; echo err >&2"], io) == 0
    assert io.output == b"a  b\nerr\n"
    assert session_of(arm).command == """sh -c 'echo '"'"'a  b'"'"'; echo err >&2'"""
    assert session_of(arm).size == (24, 80)


def test_simple_words_stay_as_they_are():
    assert sessions.command_line(["ls", "-l", "/tmp"]) == "ls -l /tmp"


def test_input_and_its_end(arm, run):
    io = FakeIO(stdin=True)
    io.type(b"hello\n", b"half a line", None)
    assert run(["cat"], io) == 0
    assert io.output == b"hello\nhalf a line"
    assert session_of(arm).received == b"hello\nhalf a line\x04\x04"


def test_a_terminal_tells_its_size_and_ends_its_input_itself(arm, run, monkeypatch):
    monkeypatch.setattr(sessions, "SIZE_WAIT", 30.0)
    io = FakeIO(stdin=True, tty=True, size=TerminalSize(120, 40))
    io.type(b"exit\n", None)
    assert run(["sh"], io) == 0
    assert session_of(arm).size == (40, 120)
    assert b"\x04" not in session_of(arm).received


def test_a_client_that_goes_ends_the_session(arm, run):
    io = FakeIO(stdin=True)
    done = []
    thread = spawn(lambda: done.append(run(["cat"], io)), name="exec")
    io.type(b"x\n")
    eventually(lambda: io.output == b"x\n")
    io.hang_up()
    thread.join(30)
    assert done == [0]
    assert session_of(arm).ended.wait(30)


def test_a_client_that_does_not_read(arm, run):
    io = FakeIO()
    io.broken = True
    assert run(["echo", "x"], io) == 0


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_azure_by_tls_with_a_ca_of_ones_own(tmp_path, monkeypatch, context, variable):
    tls, bundle = own_tls(tmp_path)
    for other in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(variable, bundle)
    with FakeArm(tls=tls) as arm:
        provider = create(ProviderConfig(node_name="vk", environ=arm.environ(tmp_path / "auth.json")))
        try:
            provider.bind(context)
            pod = make_pod()
            provider.create_pod(pod)
            arm.time.advance(10)
            io = FakeIO()
            provider.exec_in_container("default", "web", pod["metadata"]["uid"], "main", ["echo", "x"], io)
            assert io.output == b"x\n"
        finally:
            provider.close(5)


def test_a_command_that_is_not_there(run):
    with pytest.raises(ProviderError, match="1011: cannot execute"):
        run(["/no/such/command"], FakeIO())


def test_a_container_that_does_not_run(arm, run):
    arm.of_pod("web").terminate("main")
    with pytest.raises(InvalidInput, match="is not running"):
        run(["sh"], FakeIO())
    with pytest.raises(NotFound, match='container "nope"'):
        run(["sh"], FakeIO(), "nope")


def test_attach_shows_output_until_the_end(arm, provider, pod):
    group = arm.of_pod("web")
    group.write("main", "hello", "again")
    io = FakeIO()
    thread = spawn(
        provider.attach_to_container, "default", "web", pod["metadata"]["uid"], "main", io, name="attach"
    )
    eventually(lambda: io.output == b"hello\nagain\n")
    io.hang_up()
    thread.join(30)
    assert not thread.is_alive()


def test_attach_cannot_write(provider, pod):
    with pytest.raises(NotSupported, match="without stdin"):
        provider.attach_to_container("default", "web", pod["metadata"]["uid"], "main", FakeIO(stdin=True))


def test_a_wrong_password_is_an_error(arm, run, monkeypatch):
    original = Session.__init__

    def wrong(self, uri, password):
        original(self, uri, "wrong")

    monkeypatch.setattr(Session, "__init__", wrong)
    with pytest.raises(ProviderError, match="1008: wrong password"):
        run(["sh"], FakeIO())


@pytest.mark.parametrize(
    ("uri", "secure", "error", "words"),
    [
        ("http://127.0.0.1/x", False, ProviderError, "not wss"),
        ("ws://127.0.0.1/x", True, ProviderError, "not wss"),
        ("ws://127.0.0.1:1/x", False, Unavailable, "cannot be reached"),
    ],
)
def test_addresses_that_will_not_do(uri, secure, error, words):
    with pytest.raises(error, match=words):
        sessions.connect(Session(uri, "p"), FakeIO(), secure=secure, with_input=False)


def test_an_address_that_is_no_session(arm):
    uri = arm.url.replace("http", "ws") + "/exec/none"
    with pytest.raises(Unavailable, match="cannot be reached"):
        sessions.connect(Session(uri, "p"), FakeIO(), secure=False, with_input=False)


def test_a_terminal_that_does_not_tell_its_size(monkeypatch):
    monkeypatch.setattr(sessions, "SIZE_WAIT", 0.01)
    io = FakeIO(tty=True)
    assert sessions.terminal_size(io) == TerminalSize(80, 24)
    io.hang_up()
    eventually(lambda: "azure-exec-size" not in {thread.name for thread in threading.enumerate()})

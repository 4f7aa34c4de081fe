"""The client, images, logs and commands against an engine that does what a test wants."""

from __future__ import annotations

import base64
import json
import threading

import pytest
from support.exec_io import FakeIO
from support.waiting import eventually

from virtual_kubelet.errors import Conflict, NotFound, Unavailable
from virtual_kubelet.podruntime.driver import CommandResult, ImageError
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.providers.engine.client import Client
from virtual_kubelet.providers.engine.endpoint import Endpoint
from virtual_kubelet.providers.engine.images import Images
from virtual_kubelet.providers.engine.inventory import Inventory
from virtual_kubelet.providers.engine.logs import open_log
from virtual_kubelet.providers.engine.sessions import Sessions
from virtual_kubelet.runtime.clock import SYSTEM, SteppedClock
from virtual_kubelet.runtime.threads import StopSignal, spawn


def test_the_version_is_negotiated_once(engine, client):
    engine.answers["GET", "/info"] = (200, {"NCPU": 3})
    assert client.json("GET", "/info") == {"NCPU": 3}
    assert client.json("GET", "/info", query={"a b": True, "f": {"x": ["y"]}, "none": None}) == {"NCPU": 3}
    assert engine.paths("GET") == ["/_ping", "/info", "/info"]
    assert engine.asked[-1]["query"] == {"a b": "1", "f": '{"x":["y"]}'}
    assert client.engine().api == "1.43"


def test_who_answered_before_the_connection_was_lost_is_not_remembered(engine, client):
    made, sent = threading.Event(), threading.Event()

    def older(_, handler):
        del engine.answers["GET", "/_ping"]
        made.set()
        assert sent.wait(30)
        handler.send_response(200)
        handler.send_header("Api-Version", "1.41")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return None, b""

    engine.answers["GET", "/_ping"] = older
    late = spawn(client.engine, name="late")
    assert made.wait(30)
    client.forget_engine()
    assert client.engine().api == "1.43"
    sent.set()
    late.join(30)
    assert client.engine().api == "1.43"


def test_the_connection_of_a_stream_is_no_other_calls(engine, client):
    """It is shut down when the stream is closed, which may be just after its end."""
    served = []

    def answer(_, handler):
        served.append(handler)
        return 200, b"{}"

    engine.answers["GET", "/containers/x/logs"] = engine.answers["GET", "/info"] = answer
    log = open_log(client, "x", LogOptions(), tty=True)
    assert b"".join(iter(log.read, b"")) == b"{}"
    client.json("GET", "/info")
    log.close()
    assert len(set(served)) == 2


def test_only_what_may_be_asked_twice_is(engine, client):
    engine.answers["GET", "/info"] = (503, "busy")
    engine.answers["POST", "/containers/create"] = (503, "busy")
    with pytest.raises(Unavailable, match="busy"):
        client.json("GET", "/info")
    with pytest.raises(Unavailable, match="busy"):
        client.json("POST", "/containers/create", body={})
    assert engine.paths("GET").count("/info") == 3
    assert engine.paths("POST") == ["/containers/create"]


def test_docker_says_conflict_its_own_way(engine, client):
    engine.answers["POST", "/containers/x/kill"] = (409, {"message": "container x is not running"})
    with pytest.raises(Conflict, match="is not running"):
        client.send("POST", "/containers/x/kill")


def test_no_engine_is_unavailable_with_its_name(tmp_path):
    client = Client(Endpoint(path=str(tmp_path / "none.sock")))
    with pytest.raises(Unavailable, match=r"none.sock cannot be reached: No such file or directory"):
        client.json("GET", "/info")
    client.close()


def secret(user):
    return {"auths": {"r.io": {"username": user, "password": "p"}}}


def test_pull_errors_come_inside_an_answer_of_200(engine, client):
    engine.answers["POST", "/images/create"] = (
        200,
        b'{"status":"Pulling"}\r\n{"errorDetail":{"message":"denied"},"error":"denied"}\r\n',
    )
    clock = SteppedClock(0)
    images = Images(client, clock=clock)
    with pytest.raises(ImageError, match="denied") as caught:
        images.ensure("r.io/app:1", "IfNotPresent", [])
    assert caught.value.reason == "ErrImagePull"
    pulls, begun = len(engine.paths("POST")), []
    with pytest.raises(ImageError) as caught:
        images.ensure("r.io/app:1", "IfNotPresent", [], lambda: begun.append(1))
    assert (caught.value.reason, len(engine.paths("POST")), begun) == ("ImagePullBackOff", pulls, [])
    clock.advance(11)
    with pytest.raises(ImageError) as caught:
        images.ensure("r.io/app:1", "IfNotPresent", [], lambda: begun.append(1))
    assert begun == [1]
    assert (caught.value.reason, len(engine.paths("POST"))) == ("ErrImagePull", pulls + 1)


def test_credentials_are_tried_one_after_the_other_and_never_told(engine, client):
    there = threading.Event()

    def pull(asked, _):
        auth = asked["headers"].get("X-Registry-Auth")
        user = json.loads(base64.urlsafe_b64decode(auth))["username"] if auth else ""
        if user != "right":
            return 200, b'{"error":"unauthorized"}'
        there.set()
        return 200, b'{"status":"done"}'

    engine.answers["POST", "/images/create"] = pull
    engine.answers["GET", "/_ping"] = (200, "OK")
    engine.answers["GET"] = lambda asked, _: (
        (200, {"Id": "sha256:1", "Config": {"User": "7"}}) if there.is_set() else None
    )
    images = Images(client)
    image = images.ensure("r.io/app:1", "IfNotPresent", [secret("wrong"), secret("right")])
    assert (image.id, image.pulled) == ("sha256:1", True)
    assert images.facts("sha256:1").user == "7"
    assert engine.asked[-2]["query"] == {"fromImage": "r.io/app", "tag": "1"}
    assert images.ensure("r.io/app:1", "IfNotPresent", []).message.endswith("already present on machine")


def test_a_pull_ends_with_the_provider(engine, client):
    begun = threading.Event()

    def pull(_, handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b'{"status":"Downloading"}\n')
        handler.wfile.flush()
        begun.set()
        engine.hold.wait(60)
        return None, b""

    engine.answers["POST", "/images/create"] = pull
    ended = []

    def ensure():
        with pytest.raises(Unavailable, match="is stopping"):
            Images(client).ensure("r.io/app:1", "IfNotPresent")
        ended.append(1)

    thread = spawn(ensure, name="puller")
    assert begun.wait(30)
    client.close()
    thread.join(30)
    assert ended


def test_never_means_never(engine, client):
    with pytest.raises(ImageError) as caught:
        Images(client).ensure("r.io/app", "Never", [])
    assert caught.value.reason == "ErrImageNeverPull"
    assert not engine.paths("POST")


def test_a_log_that_is_closed_wakes_its_reader(engine, client):
    def follow(_, handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        frame = b"\1\0\0\0\0\0\0\5hello"
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(frame), frame))
        handler.wfile.flush()
        engine.hold.wait(30)
        return None, b""

    engine.answers["GET", "/containers/x/logs"] = follow
    log = open_log(client, "x", LogOptions(follow=True), tty=False)
    assert log.read() == b"hello"
    results = []
    reader = spawn(lambda: results.append(log.read()), name="reader")
    eventually(lambda: log._stream._stream._reading)
    log.close()
    reader.join(30)
    assert results == [b""]


def test_a_whole_log_of_an_engine_that_has_gone_without_a_word_ends(engine, client, monkeypatch):
    monkeypatch.setattr("virtual_kubelet.providers.engine.logs.SILENCE", 0.05)

    def silent(_, __):
        engine.hold.wait(60)
        return None, b""

    engine.answers["GET", "/containers/x/logs"] = silent
    with pytest.raises(Unavailable, match="timed out"):
        open_log(client, "x", LogOptions(tail=80), tty=False)


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
def test_an_answer_that_has_begun_may_take_its_time(engine, client, monkeypatch, connection):
    monkeypatch.setattr("virtual_kubelet.providers.engine.logs.PATIENCE", 0.2)
    go_on = threading.Event()

    def follow(_, handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Connection", connection)
        handler.end_headers()
        handler.wfile.flush()
        go_on.wait(30)
        frame = b"\1\0\0\0\0\0\0\5hello"
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(frame), frame))
        return None, b""

    engine.answers["GET", "/containers/x/logs"] = follow
    log = open_log(client, "x", LogOptions(follow=True), tty=False)
    read = []
    reader = spawn(lambda: read.extend(iter(log.read, b"")), name="test-reader")
    eventually(lambda: log._stream._stream)  # begun; on a machine that stood still not by the first answer
    asked = engine.paths("GET").count("/containers/x/logs")
    reader.join(1)  # several times its patience
    assert reader.is_alive()
    go_on.set()
    reader.join(30)
    log.close()
    assert read == [b"hello"]
    assert engine.paths("GET").count("/containers/x/logs") == asked


def test_an_answer_that_begins_late_can_be_let_go(engine, client, monkeypatch):
    """Podman begins the answer with the first line; until then there is nothing to close but the request."""
    monkeypatch.setattr("virtual_kubelet.providers.engine.logs.PATIENCE", 0.05)
    over = threading.Event()

    def silent(asked, handler):
        over.wait()
        return None, None

    engine.answers["GET", "/containers/x/logs"] = silent
    log = open_log(client, "x", LogOptions(follow=True), tty=False)
    read = []
    reader = spawn(lambda: read.append(log.read()), name="test-reader")
    try:
        eventually(lambda: len(engine.paths("GET")) >= 3)
        log.close()
        reader.join(30)
        assert read == [b""]
    finally:
        over.set()


def test_a_late_answer_is_asked_for_again_and_misses_nothing(engine, client, monkeypatch):
    monkeypatch.setattr("virtual_kubelet.providers.engine.logs.PATIENCE", 0.05)
    asked_again = threading.Event()

    def late(asked, handler):
        if asked["query"]["tail"] == "0":
            asked_again.wait()
            return None, None
        asked_again.set()
        return 200, b"\x01\0\0\0\0\0\0\x05line\n"

    engine.answers["GET", "/containers/x/logs"] = late
    before = SYSTEM.now()
    log = open_log(client, "x", LogOptions(follow=True, tail=0), tty=False)
    assert log.read() == b"line\n"
    log.close()

    def asked(tail):
        paths = [item for item in engine.asked if item["path"] == "/containers/x/logs"]
        return [item["query"] for item in paths if item["query"]["tail"] == tail]

    (first,) = eventually(lambda: asked("0"))
    assert "since" not in first
    assert float(asked("all")[0]["since"]) >= before


def test_a_refused_exec_says_why(engine, client):
    engine.answers["POST", "/containers/x/exec"] = (201, {"Id": "e"})
    engine.answers["POST", "/exec/e/start"] = (
        400,
        {"message": 'exec: "nosuch": executable file not found in $PATH'},
    )
    sessions = Sessions(client, local=False, stop=StopSignal())
    io = FakeIO()
    assert sessions.execute("x", ["nosuch"], io) == 127
    assert b"executable file not found" in bytes(io.err)
    results: list[CommandResult] = []
    sessions.run("x", ["nosuch"], 1.0, results.append)
    assert results[0].exit_code == 127
    engine.answers["POST", "/exec/e/start"] = (404, {"message": "No such exec instance"})
    with pytest.raises(NotFound):
        sessions.execute("x", ["sh"], FakeIO())


@pytest.mark.parametrize("head", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_output_in_an_ordinary_answer_ends_with_it(engine, client, head):
    """A connection that an engine keeps open after it is not waited for."""
    frame = b"\x01\0\0\0\0\0\0\x02hi"

    def start(_, handler):
        body = (
            frame
            if head.startswith("Content")
            else b"4\r\n%b\r\n6\r\n%b\r\n0\r\n\r\n" % (frame[:4], frame[4:])
        )
        handler.wfile.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
        engine.hold.wait(30)
        return None, b""

    engine.answers["POST", "/containers/x/exec"] = (201, {"Id": "e"})
    engine.answers["POST", "/exec/e/start"] = start
    engine.answers["GET", "/exec/e/json"] = (200, {"Running": False, "ExitCode": 3})
    io = FakeIO()
    assert Sessions(client, local=False, stop=StopSignal()).execute("x", ["hi"], io) == 3
    assert bytes(io.out) == b"hi"


def test_an_exit_code_that_an_engine_knew_late_is_asked_for_once_more(engine, client, monkeypatch):
    """Whatever stood still, engine or agent: an answer from before the end of the wait is not the last one."""
    clock = SteppedClock()
    monkeypatch.setattr("virtual_kubelet.providers.engine.sessions.time", clock)
    answers = [{"Running": False, "ExitCode": 3}, {"Running": True}]

    def look(_, __):
        clock.advance(60)
        return 200, answers.pop()

    engine.answers["POST", "/containers/x/exec"] = (201, {"Id": "e"})
    engine.answers["POST", "/exec/e/start"] = (200, b"")
    engine.answers["GET", "/exec/e/json"] = look
    assert Sessions(client, local=False, stop=StopSignal()).execute("x", ["hi"], FakeIO()) == 3


def test_only_what_has_changed_is_looked_at_closely(engine, client):
    def item(number, state):
        labels = {
            "virtual-kubelet.io/node": "n",
            "virtual-kubelet.io/kind": "container",
            "virtual-kubelet.io/cluster": "k",
        }
        return {"Id": f"c{number}", "State": state, "Labels": labels}

    engine.answers["GET", "/containers/json"] = (200, [item(1, "running"), item(2, "exited")])
    for number, state in ((1, "running"), (2, "exited")):
        engine.answers["GET", f"/containers/c{number}/json"] = (
            200,
            {"State": {"Status": state}, "Config": None, "NetworkSettings": None},
        )
    inventory = Inventory(client)
    inventory.identify("n", "k")
    assert [info.state for info in inventory.look().containers] == ["running", "exited"]
    engine.asked.clear()
    inventory.look()
    assert engine.paths("GET") == ["/containers/json"]
    inventory.identify("n", "another cluster")
    assert inventory.look().containers == []

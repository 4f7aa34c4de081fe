"""The driver against an engine that does what a test wants: what a crash in between leaves behind."""

from __future__ import annotations

import pytest
from support.fake_engine import FakeEngine
from support.pod_context import FakeContext

from virtual_kubelet.errors import Conflict, Unavailable
from virtual_kubelet.podruntime.driver import ContainerRequest, Sandbox
from virtual_kubelet.podruntime.operations import labels_of
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.engine import labels
from virtual_kubelet.providers.hyper import config as hyper_config
from virtual_kubelet.providers.hyper.provider import driver_of
from virtual_kubelet.runtime.threads import Deadline

POD = {
    "metadata": {"namespace": "d", "name": "web", "uid": "u"},
    "spec": {"containers": [{"name": "c", "image": "r.io/x"}]},
}


@pytest.fixture
def engine(tmp_path):
    with FakeEngine(tmp_path / "engine.sock") as found:
        found.answers["GET", "/info"] = (200, {})
        found.answers["GET", "/images/r.io/x/json"] = (200, {"Id": "sha256:1", "Config": {}})
        found.answers["GET", "/images/sha256:1/json"] = (200, {"Id": "sha256:1", "Config": {}})
        yield found


@pytest.fixture
def driver(engine, tmp_path):
    environ = {"HYPER_HOST": f"unix://{engine.path}", "HYPER_ACCESS_KEY": "A", "HYPER_SECRET_KEY": "S"}
    found = driver_of(
        hyper_config.load(ProviderConfig(node_name="n", state_dir=str(tmp_path), environ=environ))
    )
    found.bind(FakeContext())
    yield found
    found.close(Deadline(5))


def request():
    container = POD["spec"]["containers"][0]
    return ContainerRequest(
        pod=POD, container=container, attempt=1, sandbox=Sandbox("u"), command=("run",), args=("it",),
        environment={"A": "b"}, image="r.io/x", image_id="sha256:1",
        labels=labels_of(POD, container, 1, "node-1", "cluster-1"),
    )  # fmt: skip


def test_a_container_is_made_from_its_request(engine, driver):
    engine.answers["POST", "/containers/create"] = (201, {"Id": "new", "Warnings": None})
    assert driver.create(request()) == "new"
    body = engine.asked[-1]["body"]
    assert (body["Entrypoint"], body["Cmd"], body["Env"]) == (["run"], ["it"], ["A=b"])
    assert body["Labels"]["sh_hyper_instancetype"] == "s4"
    assert body["Labels"][labels.UID] == "u"
    assert engine.asked[-1]["query"]["name"] == labels.container_name(request().labels)
    assert engine.asked[-1]["headers"]["Authorization"].startswith("HYPER-HMAC-SHA256 Credential=A/")


@pytest.mark.parametrize(
    "refusal", [(409, {"message": "Conflict."}), (500, {"message": "that name is already in use"})]
)
def test_an_attempt_that_is_there_already_is_given_back(engine, driver, refusal):
    engine.answers["POST", "/containers/create"] = refusal
    path = f"/containers/{labels.container_name(request().labels)}/json"
    engine.answers["GET", path] = (
        200,
        {"Id": "old", "Config": {"Labels": labels.of_container(request().labels)}},
    )
    assert driver.create(request()) == "old"
    engine.answers["GET", path] = (200, {"Id": "old", "Config": {"Labels": {}}})
    with pytest.raises(Conflict, match="somebody else"):
        driver.create(request())


def state(status, **more):
    own = labels.of_container(request().labels)
    return 200, {"Id": "x", "Config": {"Labels": own}, "State": {"Status": status, **more}}


@pytest.mark.parametrize("status", [204, 304])
def test_what_is_started_already_is_fine(engine, driver, status):
    engine.answers["POST", "/containers/x/start"] = (status, b"")
    engine.answers["GET", "/containers/x/json"] = state("running")
    assert driver.start("x").state == "running"


def test_a_command_that_is_not_there_has_ended_for_good(engine, driver):
    text = (
        "failed to create task for container: OCI runtime create failed: executable file not found in $PATH"
    )
    engine.answers["POST", "/containers/x/start"] = (400, {"message": text})
    engine.answers["GET", "/containers/x/json"] = state("created", ExitCode=0)
    info = driver.start("x")
    assert (info.state, info.reason, info.exit_code) == ("exited", "ContainerCannotRun", 128)
    listed = {"Id": "x", "State": "created", "Labels": labels.of_container(request().labels)}
    engine.answers["GET", "/containers/json"] = (200, [listed])
    assert [item.reason for item in driver.list_containers()] == ["ContainerCannotRun"]


def test_an_engine_that_is_busy_is_not_the_containers_fault(engine, driver):
    engine.answers["POST", "/containers/x/start"] = (503, b"")
    with pytest.raises(Unavailable):
        driver.start("x")


@pytest.mark.parametrize("written", ["SIGQUIT", "QUIT", "sigquit", "quit"])
def test_the_images_own_stop_signal_however_it_is_written(engine, driver, written):
    code, body = state("running")
    engine.answers["GET", "/containers/x/json"] = (
        code,
        {**body, "Config": {**body.get("Config", {}), "StopSignal": written}},
    )
    engine.answers["POST", "/containers/x/kill"] = (204, b"")
    driver.signal("x", "TERM")
    assert [asked["query"] for asked in engine.asked if asked["method"] == "POST"] == [{"signal": "SIGQUIT"}]


def test_signals_to_what_has_ended_do_nothing(engine, driver):
    engine.answers["GET", "/containers/x/json"] = state("exited")
    for answer in (
        (409, {"message": "is not running"}),
        (500, {"message": "can only kill running containers"}),
        (404, b""),
    ):
        engine.answers["POST", "/containers/x/kill"] = answer
        driver.signal("x", "TERM")
        driver.kill("x")
    engine.answers["DELETE", "/containers/x"] = (404, b"")
    engine.answers["GET", "/volumes"] = (200, {"Volumes": None})
    driver.remove("x")

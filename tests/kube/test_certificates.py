from __future__ import annotations

import base64
import datetime as dt
import stat
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from support.certificates import Authority
from support.waiting import eventually

from virtual_kubelet.errors import ApiForbidden, ApiNotFound, ApiUnavailable
from virtual_kubelet.kube.certificate_shelf import Shelf, Signed
from virtual_kubelet.kube.certificates import ServingCertificate
from virtual_kubelet.pure.subject_names import names_of
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline

DAY = dt.timedelta(days=1)
DAY_S = 86400


@pytest.fixture(scope="module")
def authority():
    return Authority()


class Cluster:
    """The API server's half: stores requests; a test decides about them."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = {}
        self.created = []
        self.error = None

    def create(self, resource, body):
        assert (resource.plural, body["apiVersion"]) == (
            "certificatesigningrequests",
            "certificates.k8s.io/v1",
        )
        with self.lock:
            if self.error:
                raise self.error
            name = f"csr-{len(self.created)}"
            body["metadata"].update(name=name, uid=f"uid-{len(self.created)}")
            self.requests[name] = body
            self.created.append(body)
            return body

    def get(self, resource, name):
        with self.lock:
            if self.error:
                raise self.error
            if name not in self.requests:
                raise ApiNotFound("gone")
            return self.requests[name]

    def csr(self, n=-1):
        """The n-th request, decoded."""
        return x509.load_pem_x509_csr(base64.b64decode(self.created[n]["spec"]["request"]))

    def issue(self, authority, n=-1, **window):
        pem = base64.b64decode(self.created[n]["spec"]["request"])
        self.status(n, certificate=base64.b64encode(authority.sign(pem, **window)).decode())

    def decide(self, kind, n=-1):
        self.status(n, conditions=[{"type": kind, "status": "True", "message": "because"}])

    def status(self, n, **status):
        with self.lock:
            name = self.created[n]["metadata"]["name"]
            self.requests[name] = {**self.requests[name], "status": status}


class Life:
    """A process with a `ServingCertificate`, in stepped time."""

    def __init__(self, cluster, directory, clock, names=("node", "10.0.0.1")):
        self.names = set(names)
        self.clock = clock
        self.certificate = ServingCertificate(
            cluster,
            node_name="node",
            directory=str(directory) if directory else "",
            names=lambda: self.names,
            clock=clock,
            chance=lambda: 0.5,
        )

    def __enter__(self):
        self.certificate.start()
        self.clock.block_until(1)
        return self

    def __exit__(self, *_):
        self.certificate.stop(Deadline(5))

    def wait(self, seconds):
        """Let time go by, with every look that falls into it."""
        end = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end:
            self.clock.block_until(1)
            due = self.clock.next_deadline()
            self.clock.advance(max(0.001, min(due, end) - self.clock.monotonic()))
        self.clock.block_until(1)

    def shown(self):
        pair = self.certificate.current()
        return None if pair is None else names_of(x509.load_pem_x509_certificate(pair[0]))


@pytest.fixture
def clock():
    return SteppedClock(dt.datetime.now(dt.timezone.utc).timestamp())  # noqa: TID251 - certificates go by it


def test_a_request_as_the_signer_wants_it(clock, tmp_path):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        [body] = cluster.created
        assert body["metadata"]["generateName"] == "csr-"
        assert body["spec"]["signerName"] == "kubernetes.io/kubelet-serving"
        assert body["spec"]["usages"] == ["digital signature", "server auth"]
        csr = cluster.csr()
        assert csr.is_signature_valid
        assert csr.subject.rfc4514_string() == "CN=system:node:node,O=system:nodes"
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert {str(name.value) for name in names} == {"node", "10.0.0.1"}
        assert life.shown() is None


def test_nothing_is_requested_before_the_names_are_known(clock, tmp_path):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock, names=()) as life:
        life.wait(30)
        assert cluster.created == []
        life.names = {"node", "10.0.0.1"}
        life.wait(5)
        assert len(cluster.created) == 1


def test_it_is_shown_once_it_is_issued(clock, tmp_path, authority, caplog):
    caplog.set_level("INFO")
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        assert "kubectl certificate approve csr-0" in caplog.text
        life.wait(3600)
        assert life.shown() is None
        cluster.issue(authority)
        life.wait(61)
        assert life.shown() == {"node", "10.0.0.1"}
        life.wait(600)
    assert len(cluster.created) == 1
    assert "PRIVATE" not in caplog.text
    [file] = tmp_path.iterdir()
    assert file.name == "kubelet-server.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_next_life_takes_it_over(clock, tmp_path, authority):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        cluster.issue(authority)
        life.wait(10)
        first = life.certificate.current()
    with Life(cluster, tmp_path, clock) as life:
        assert life.certificate.current() == first
        life.wait(100)
    assert len(cluster.created) == 1


def test_the_next_life_waits_for_the_same_request(clock, tmp_path, authority):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock):
        pass
    cluster.issue(authority)
    with Life(cluster, tmp_path, clock) as life:
        eventually(lambda: life.shown() is not None)
    assert len(cluster.created) == 1


def test_without_a_directory_it_lives_in_memory(clock, authority):
    cluster = Cluster()
    with Life(cluster, None, clock) as life:
        cluster.issue(authority)
        life.wait(10)
        assert life.shown() is not None


@pytest.mark.parametrize("kind", ["Denied", "Failed"])
def test_a_denial_is_asked_about_again_later_and_later(clock, tmp_path, kind, caplog):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        waits = []
        for n in range(4):
            cluster.decide(kind, n)
            before = clock.monotonic()
            while len(cluster.created) == n + 1:
                life.wait(5)
            waits.append(clock.monotonic() - before)
        assert 60 <= waits[0] < 90
        assert 120 <= waits[1] < 170
        assert waits[3] > waits[2] > waits[1]
    assert f"it is {kind.lower()}: because" in caplog.text


@pytest.mark.parametrize("how", ["removed", "another one", "rubbish", "for another key", "expired"])
def test_a_request_that_came_to_nothing_is_made_again(clock, tmp_path, authority, how):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        if how == "removed":
            cluster.requests.clear()
        elif how == "another one":
            cluster.requests["csr-0"] = {"metadata": {"uid": "another"}}
        elif how == "rubbish":
            cluster.status(0, certificate="rubbish")
        elif how == "for another key":
            other = authority.server("node").certificate
            cluster.status(0, certificate=base64.b64encode(other).decode())
        else:
            cluster.issue(authority, before=-3 * DAY, after=-DAY)
        life.wait(100)
        assert life.shown() is None
        assert len(cluster.created) == 2
        cluster.issue(authority)
        life.wait(100)
        assert life.shown() is not None


def test_new_names_need_a_new_certificate_and_the_old_one_serves_meanwhile(clock, tmp_path, authority):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        cluster.issue(authority)
        life.wait(10)
        life.names = {"node", "10.0.0.1", "10.0.0.2"}
        life.wait(61)
        assert len(cluster.created) == 2
        assert life.shown() == {"node", "10.0.0.1"}
        cluster.issue(authority)
        life.wait(61)
        assert life.shown() == life.names
        life.names = {"node"}  # one name too many is no reason
        life.wait(300)
    assert len(cluster.created) == 2


def test_names_that_change_while_a_request_is_pending(clock, tmp_path):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        life.names = {"node", "10.9.9.9"}
        life.wait(61)
        assert len(cluster.created) == 2


def test_a_signer_that_leaves_names_out_is_not_asked_for_ever(clock, tmp_path, authority):
    cluster = Cluster()

    class Stingy(Authority):
        def sign(self, csr_pem, **window):
            whole = x509.load_pem_x509_certificate(super().sign(csr_pem, **window))
            return self._build(
                whole.subject,
                whole.public_key(),
                x509.BasicConstraints(ca=False, path_length=None),
                [x509.SubjectAlternativeName([x509.DNSName("node")])],
                (-DAY, DAY),
            ).public_bytes(serialization.Encoding.PEM)

    with Life(cluster, tmp_path, clock) as life:
        cluster.issue(Stingy())
        life.wait(600)
        assert life.shown() == {"node"}
    assert len(cluster.created) == 1


def test_it_is_renewed_before_it_ends(clock, tmp_path, authority):
    cluster = Cluster()
    with Life(cluster, tmp_path, clock) as life:
        cluster.issue(authority, before=dt.timedelta(0), after=10 * DAY)
        life.wait(10)
        life.wait(7 * DAY_S)
        assert len(cluster.created) == 1
        life.wait(DAY_S + 100)  # 0.7 + 0.2 * 0.5 of its life
        assert len(cluster.created) == 2
        assert life.shown() is not None
        life.wait(2 * DAY_S)  # nobody approves: it ends
        assert life.shown() is None
        cluster.issue(authority, after=100 * DAY)
        life.wait(61)
        assert life.shown() is not None


@pytest.mark.parametrize("error", [ApiUnavailable("away"), ApiForbidden("no rights")])
def test_an_api_server_that_fails_is_asked_again(clock, tmp_path, authority, error, caplog):
    cluster = Cluster()
    cluster.error = error
    with Life(cluster, tmp_path, clock) as life:
        life.wait(300)
        assert caplog.text.count("could not be requested") == 1
        assert ("--rotate-server-certificates" in caplog.text) is isinstance(error, ApiForbidden)
        cluster.error = None
        life.wait(100)
        cluster.issue(authority)
        life.wait(61)
        assert life.shown() is not None


@pytest.mark.parametrize("name", ["kubelet-server.pem", "kubelet-server-pending.json"])
@pytest.mark.parametrize(
    "content", [b"", b"rubbish", b"[]", b"{}", b'{"name": 1, "uid": 2, "key": "x", "names": []}']
)
def test_damaged_files_are_left_aside(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    shelf = Shelf(str(tmp_path))
    assert shelf.load_signed() is None
    assert shelf.load_pending() is None


def test_a_directory_that_cannot_be_written_costs_only_the_next_life(clock, tmp_path, authority, caplog):
    (tmp_path / "file").write_text("")
    cluster = Cluster()
    with Life(cluster, tmp_path / "file" / "pki", clock) as life:
        cluster.issue(authority)
        life.wait(100)
        assert life.shown() is not None
    assert "lost with this process" in caplog.text


def test_values_do_not_show_keys(authority):
    issued = authority.server("x")
    signed = Signed.parse(issued.certificate, issued.key)
    assert "PRIVATE" not in repr(signed)
    with pytest.raises(ValueError, match="another key"):
        Signed.parse(issued.certificate, authority.server("y").key)

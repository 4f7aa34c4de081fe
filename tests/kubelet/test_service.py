"""The whole service over real TLS: who gets in, what he sees, and how it ends."""

from __future__ import annotations

import base64
import datetime as dt
import json
import ssl

import pytest
from support.certificates import Authority
from support.kubelet import Bare, ReviewingClient, node, pod
from support.waiting import eventually
from support.web import ask, client_tls, connected, http_client, read_all, read_until

from virtual_kubelet.errors import ApiForbidden, ApiUnavailable, ConfigError
from virtual_kubelet.kubelet.service import KubeletServer
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import Settings, split_address

DAY = dt.timedelta(days=1)
TOKENS = {"good": {"username": "prometheus"}, "poor": {"username": "nobody"}, "lost": ApiUnavailable("away")}


def allow(attributes, user):
    if user == "unlucky":
        return ApiUnavailable("away")
    return user in {"kube-apiserver", "prometheus"}


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def start(tmp_path, authority):
    """Starts services; the client CA is in a file unless `client_ca_file=""`."""
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.pem)
    running = []

    def started(provider=None, pods=(), client=None, addresses=("127.0.0.1",), **settings):
        def known():
            return [{"type": "InternalIP", "address": address} for address in addresses]

        made = Settings(
            **{"node_name": "vk", "address": "127.0.0.1", "port": 0, "client_ca_file": str(ca), **settings}
        )
        service = KubeletServer(
            node(provider, pods, made),
            client or ReviewingClient(tokens=TOKENS, allow=allow),
            addresses=known,
            published=known,
        )
        running.append(service)
        service.start()
        return service

    yield started
    for service in running:
        service.stop(Deadline(5))


@pytest.fixture
def caller(authority, tmp_path):
    """Makes TLS contexts of callers by name."""

    def made(name):
        issued = {
            "nobody": lambda: None,
            "api server": lambda: authority.client("kube-apiserver", ["system:masters"]),
            "without rights": lambda: authority.client("somebody"),
            "unlucky": lambda: authority.client("unlucky"),
            "nameless": lambda: authority.client(""),
            "of another CA": lambda: Authority().client("kube-apiserver"),
            "expired": lambda: authority.client("kube-apiserver", before=-3 * DAY, after=-DAY),
        }[name]()
        return client_tls(issued, tmp_path)

    return made


ALERT = "TLS alert"
PATHS = ("/containerLogs/a/b/c", "/pods", "/exec/a/b/c", "/metrics", "/healthz", "/nothing")


@pytest.mark.parametrize(
    ("name", "token", "outcome"),
    [
        ("nobody", None, 401),
        ("nobody", "wrong", 401),
        ("nobody", "good", 200),
        ("nobody", "poor", 403),
        ("nobody", "lost", 500),
        ("api server", None, 200),
        ("api server", "wrong", 200),  # the certificate says enough
        ("without rights", None, 403),
        ("without rights", "good", 403),
        ("nameless", None, 401),
        ("nameless", "good", 200),
        ("unlucky", None, 500),
        ("of another CA", None, ALERT),
        ("expired", None, ALERT),
    ],
)
def test_who_gets_in(start, caller, name, token, outcome):
    service = start()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if outcome == ALERT:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(service.port, "GET", "/pods", context=caller(name), headers=headers)
        return
    # A review that fails is tried again, which takes its time: one path will do.
    with http_client(service.port, caller(name)) as client:
        for path in PATHS if outcome != 500 else PATHS[:1]:
            client.request("GET", path, headers=headers)
            response = client.getresponse()
            body = response.read()
            if outcome == 200:
                assert response.status not in {401, 403, 500}
            else:
                assert response.status == outcome
                assert b"does not exist" not in body


def test_plain_http_gets_nothing(start):
    service = start()
    with connected(service.port) as sock:
        sock.sendall(b"GET /pods HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"400 Bad Request" in read_all(sock)


def test_trials_are_warned_of(start, caplog):
    service = start(authorization_mode="AlwaysAllow", anonymous_auth=True)
    assert "--authorization-mode AlwaysAllow" in caplog.text
    assert "--anonymous-auth" in caplog.text
    assert ask(service.port, "GET", "/pods", context=client_tls())[0] == 200


def test_anonymous_callers_have_the_rights_of_anonymous_callers(start):
    seen = []

    def review(attributes, user):
        seen.append(user)
        return attributes["subresource"] == "healthz"

    service = start(client=ReviewingClient(allow=review), anonymous_auth=True)
    assert ask(service.port, "GET", "/healthz", context=client_tls())[0] == 200
    assert ask(service.port, "GET", "/pods", context=client_tls())[0] == 403
    assert set(seen) == {"system:anonymous"}


def test_the_clusters_own_client_ca(start, caller, authority):
    client = ReviewingClient(allow=allow, config_map={"data": {"client-ca-file": authority.pem.decode()}})
    service = start(client=client, client_ca_file="")

    def status():
        return ask(service.port, "GET", "/pods", context=caller("api server"))[0]

    assert eventually(lambda: status() == 200)


def test_without_any_client_ca_tokens_still_work(start, caller):
    client = ReviewingClient(tokens=TOKENS, allow=allow, config_map=ApiForbidden("not for nodes"))
    service = start(client=client, client_ca_file="")
    assert ask(service.port, "GET", "/pods", context=caller("api server"))[0] == 401
    status, _, _ = ask(
        service.port, "GET", "/pods", context=client_tls(), headers={"Authorization": "Bearer good"}
    )
    assert status == 200


def test_a_client_ca_that_changes(start, caller, tmp_path):
    service = start()
    assert ask(service.port, "GET", "/pods", context=caller("api server"))[0] == 200
    (tmp_path / "ca.new").write_bytes(Authority().pem)
    (tmp_path / "ca.new").replace(tmp_path / "ca.crt")

    def refused():
        try:
            ask(service.port, "GET", "/pods", context=caller("api server"))
        except (ssl.SSLError, ConnectionError):
            return True
        return False

    eventually(refused)


def peer_names(service):
    from cryptography import x509

    from virtual_kubelet.pure.subject_names import names_of

    with connected(service.port, client_tls()) as sock:
        return names_of(x509.load_der_x509_certificate(sock.getpeercert(binary_form=True)))


def test_the_certificate_is_for_the_node(start, tmp_path):
    service = start(addresses=("10.1.2.3", "fd00::5"), state_dir=str(tmp_path / "state"))
    assert peer_names(service) == {"vk", "10.1.2.3", "fd00::5"}
    assert [path.name for path in (tmp_path / "state" / "pki").iterdir()] == ["kubelet-self-signed.pem"]


def test_a_certificate_from_files(start, authority, tmp_path):
    certificate, key = authority.server("from-files").write(tmp_path, "server")
    service = start(tls_cert_file=certificate, tls_private_key_file=key)
    assert peer_names(service) == {"from-files"}


class SigningClient(ReviewingClient):
    """A cluster whose signer approves at once."""

    def __init__(self, authority):
        super().__init__(allow=allow)
        self.authority, self.request = authority, None

    def create(self, resource, body, **options):
        if resource.kind != "CertificateSigningRequest":
            return super().create(resource, body, **options)
        body["metadata"].update(name="csr-x", uid="1")
        signed = self.authority.sign(base64.b64decode(body["spec"]["request"]))
        self.request = {**body, "status": {"certificate": base64.b64encode(signed).decode()}}
        return body

    def get(self, resource, name, namespace=None):
        return self.request if name == "csr-x" else super().get(resource, name, namespace)


def test_the_clusters_certificate_takes_the_place_of_our_own(start, authority, tmp_path):
    service = start(
        client=SigningClient(authority), rotate_server_certificates=True, state_dir=str(tmp_path / "state")
    )
    verifying = ssl.create_default_context(cadata=authority.pem.decode())

    def verified():
        try:
            return ask(service.port, "GET", "/pods", context=verifying)[0] == 401
        except ssl.SSLCertVerificationError:
            return False

    assert peer_names(service) == {"vk", "127.0.0.1"}  # there from the first moment
    eventually(verified)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"client_ca_file": "/nowhere/ca.crt"},
            "--client-ca-file: cannot read /nowhere/ca.crt: No such file",
        ),
        (
            {"tls_cert_file": "/nowhere/c", "tls_private_key_file": "/nowhere/k"},
            "--tls-cert-file: cannot read",
        ),
        ({"metrics_addr": "nonsense"}, '--metrics-addr "nonsense" is not HOST:PORT'),
        ({"address": "192.0.2.7"}, "cannot listen on 192.0.2.7"),
    ],
)
def test_what_cannot_start_says_why(start, settings, message):
    with pytest.raises(ConfigError) as caught:
        start(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_plain_listener(start):
    service = start(metrics_addr="127.0.0.1:0")
    assert ask(service.metrics_port, "GET", "/healthz")[::2] == (200, b"ok")
    status, _, body = ask(service.metrics_port, "GET", "/metrics")
    assert status == 200
    assert b"virtual_kubelet_build_info" in body
    assert ask(service.metrics_port, "GET", "/pods")[0] == 404


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("127.0.0.1:9090", ("127.0.0.1", 9090)),
        (":9090", ("127.0.0.1", 9090)),
        ("9090", ("127.0.0.1", 9090)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9090", ("::1", 9090)),
        ("localhost:0", ("localhost", 0)),
    ],
)
def test_split_address(value, expected):
    assert split_address(value) == expected


@pytest.mark.parametrize("value", ["", "host", "host:", ":70000", "host:x", ":-1", ":٣"])
def test_split_address_refuses(value):
    with pytest.raises(ConfigError):
        split_address(value)


class Following(Bare):
    """A log that goes on until somebody closes it."""

    def __init__(self):
        super().__init__()
        self.streams = []

    def container_logs(self, *_):
        import queue

        lines = queue.SimpleQueue()
        lines.put(b"first line\n")

        class Stream:
            def read(self):
                return lines.get()

            def close(self):
                lines.put(b"")

        self.streams.append(lines)
        return Stream()


def test_a_followed_log_ends_with_its_client_or_its_server(start, caller):
    provider = Following()
    service = start(provider, [pod()])
    get = b"GET /containerLogs/default/web/app?follow=true HTTP/1.1\r\nHost: x\r\n\r\n"
    with connected(service.port, caller("api server")) as sock:
        sock.sendall(get)
        read_until(sock, b"first line\n")
        provider.streams[0].put(b"second line\n")
        read_until(sock, b"second line\n")
    eventually(lambda: service._server.streams == 0)
    with connected(service.port, caller("api server")) as sock:
        sock.sendall(get)
        read_until(sock, b"first line\n")
        service.stop(Deadline(10))
        assert not read_all(sock).endswith(b"0\r\n\r\n")


def test_pods_as_json(start, caller):
    service = start(pods=[pod()])
    status, headers, body = ask(service.port, "GET", "/pods", context=caller("api server"))
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["items"][0]["metadata"]["name"] == "web"


def test_it_can_be_stopped_before_it_started_and_twice(tmp_path):
    service = KubeletServer(
        node(settings=Settings(node_name="vk", address="127.0.0.1", port=0)),
        ReviewingClient(),
        addresses=list,
        published=list,
    )
    service.stop(Deadline(1))
    service.stop(Deadline(1))
    assert service.metrics_port == 0

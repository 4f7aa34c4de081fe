"""Certificate signing requests of nodes."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from support.devapi import Api, control_plane
from support.waiting import eventually

PATH = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SERVING = "kubernetes.io/kubelet-serving"
CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"


def request(name="system:node:n1", organization="system:nodes", addresses=("127.0.0.1",)):
    import ipaddress

    subject = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if addresses:
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def body(pem, signer=SERVING, usages=("digital signature", "server auth"), **spec):
    encoded = base64.b64encode(pem).decode()
    return {
        "metadata": {"name": "csr"},
        "spec": {"request": encoded, "signerName": signer, "usages": list(usages), **spec},
    }


def approve(api, type_="Approved"):
    held = api.get(f"{PATH}/csr").json
    held["status"]["conditions"] = [{"type": type_, "status": "True", "reason": "Test", "message": "by hand"}]
    return api.update(f"{PATH}/csr/approval", held)


def issued(api):
    status = api.get(f"{PATH}/csr").json["status"]
    if "certificate" not in status:
        return None
    return x509.load_pem_x509_certificate(base64.b64decode(status["certificate"]))


def lifetime(certificate):
    if hasattr(certificate, "not_valid_after_utc"):  # cryptography 42
        return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds()
    return (certificate.not_valid_after - certificate.not_valid_before).total_seconds()


@pytest.fixture
def as_node(plane):
    api = Api(plane, token=plane.token("system:node:n1", ["system:nodes"]))
    yield api
    api.close()


def test_a_serving_certificate_is_signed_once_approved(api, as_node, plane):
    made = as_node.create(PATH, body(request(), username="somebody else"))
    assert made.status == 201
    assert made.json["spec"]["username"] == "system:node:n1"
    assert "system:nodes" in made.json["spec"]["groups"]
    assert issued(api) is None
    assert approve(api).status == 200
    certificate = eventually(lambda: issued(api))
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    authority = x509.load_pem_x509_certificate(plane.ca)
    certificate.verify_directly_issued_by(authority)
    assert as_node.get(f"{PATH}/csr").status == 200


def test_a_client_certificate(api):
    pem = request(addresses=())
    api.create(PATH, body(pem, CLIENT, ("digital signature", "client auth"), expirationSeconds=3600))
    approve(api)
    certificate = eventually(lambda: issued(api))
    assert lifetime(certificate) < 2 * 3600


def test_approval_without_being_asked():
    with control_plane(approve_certificates=True) as plane:
        api = Api(plane, token=plane.token("system:node:n1", ["system:nodes"]))
        api.create(PATH, body(request()))
        assert eventually(lambda: issued(api))
        api.close()


@pytest.mark.parametrize(
    ("pem", "changes", "complaint"),
    [
        (request(organization="others"), {}, "subject organization is not system:nodes"),
        (request(name="n1"), {}, "subject common name does not begin with system:node:"),
        (request(name="system:node:n2"), {}, "subject common name is not the requesting node's"),
        (request(addresses=()), {}, "DNS or IP subjectAltName is required"),
        (request(), {"usages": ["client auth"]}, "usages did not match: server auth is missing"),
        (request(), {"signer": CLIENT, "usages": ["client auth"]}, "subjectAltNames are not allowed"),
    ],
)
def test_what_a_signer_refuses(api, as_node, pem, changes, complaint):
    as_node.create(PATH, body(pem, **changes))
    approve(api)
    conditions = eventually(
        lambda: [c for c in api.get(f"{PATH}/csr").json["status"]["conditions"] if c["type"] == "Failed"]
    )
    assert complaint in conditions[0]["message"]
    assert issued(api) is None


def test_a_denied_request_is_left_alone(api, as_node):
    as_node.create(PATH, body(request()))
    assert approve(api, "Denied").status == 200
    assert approve(api, "Approved").status == 422
    as_node.create(PATH, {**body(request()), "metadata": {"name": "other"}})
    assert issued(api) is None


def test_foreign_signers_are_left_alone(api):
    api.create(PATH, body(request(), "example.com/signer"))
    approve(api)
    assert issued(api) is None


def test_requests_that_are_none(api):
    assert api.create(PATH, body(b"nonsense")).status == 422
    assert api.create(PATH, body(request(), "nobody")).status == 422
    assert api.create(PATH, body(request(), expirationSeconds=5)).status == 422


def test_a_spec_stays(api):
    api.create(PATH, body(request()))
    changed = api.merge(f"{PATH}/csr", {"spec": {"signerName": "example.com/other"}})
    assert changed.json["spec"]["signerName"] == SERVING

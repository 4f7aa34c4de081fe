from __future__ import annotations

import pytest
from cryptography import x509

from virtual_kubelet.pure.subject_names import alternative_names, names_of


def test_names_and_addresses_are_told_apart():
    names = list(alternative_names(["node-1", "10.0.0.1", "fd00::1", "a.example", "node-1"]))
    assert {(type(name), str(name.value)) for name in names} == {
        (x509.DNSName, "node-1"),
        (x509.DNSName, "a.example"),
        (x509.IPAddress, "10.0.0.1"),
        (x509.IPAddress, "fd00::1"),
    }
    assert len(names) == 4


@pytest.mark.parametrize("names", [[], ["nöde"]])
def test_names_that_cannot_be(names):
    with pytest.raises(ValueError, match="."):
        alternative_names(names)


def test_a_certificate_without_names():
    from support.certificates import Authority

    pem = Authority().client("somebody").certificate
    assert names_of(x509.load_pem_x509_certificate(pem)) == frozenset()

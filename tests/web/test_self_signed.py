from __future__ import annotations

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure.subject_names import names_of
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.web.self_signed import SelfSigned, self_signed

DAY = 86400


def parsed(pair):
    return x509.load_pem_x509_certificate(pair.certificate)


def test_a_certificate_for_names_and_addresses():
    clock = SteppedClock()
    certificate = parsed(self_signed(["node-1", "10.0.0.1", "fd00::1", "node-1.example"], clock=clock))
    assert names_of(certificate) == {"node-1", "10.0.0.1", "fd00::1", "node-1.example"}
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    assert certificate.not_valid_before_utc.timestamp() < clock.now()
    assert certificate.not_valid_after_utc.timestamp() == clock.now() + 365 * DAY
    certificate.verify_directly_issued_by(certificate)


def test_a_long_name_fits():
    name = "n" * 60 + ".example.com"
    assert names_of(parsed(self_signed([name]))) == {name}


def test_it_stays_as_long_as_it_fits():
    clock, names = SteppedClock(), {"node"}
    source = SelfSigned("", lambda: names, clock=clock)
    first = source.current()
    clock.advance(300 * DAY)
    assert source.current() is first
    clock.advance(36 * DAY)  # less than a month is left
    second = source.current()
    assert second != first
    names.add("10.0.0.9")
    third = source.current()
    assert names_of(parsed(third)) == {"node", "10.0.0.9"}
    names.discard("10.0.0.9")  # one name too many is no reason
    assert source.current() is third


def test_it_outlives_the_process(tmp_path):
    directory = tmp_path / "state" / "pki"
    first = SelfSigned(str(directory), lambda: {"node"}).current()
    [file] = directory.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert SelfSigned(str(directory), lambda: {"node"}).current() == first
    other = SelfSigned(str(directory), lambda: {"other"}).current()
    assert other != first
    assert SelfSigned(str(directory), lambda: {"other"}).current() == other


@pytest.mark.parametrize("content", [b"", b"rubbish", b"-----BEGIN CERTIFICATE-----\nrubbish"])
def test_a_damaged_file_is_made_anew(tmp_path, content, caplog):
    SelfSigned(str(tmp_path), lambda: {"node"}).current()
    [file] = tmp_path.iterdir()
    file.write_bytes(content)
    pair = SelfSigned(str(tmp_path), lambda: {"node"}).current()
    assert names_of(parsed(pair)) == {"node"}
    assert "is damaged" in caplog.text
    assert file.read_bytes() == pair.key + pair.certificate


def test_a_directory_that_cannot_be_had(tmp_path):
    (tmp_path / "file").write_text("")
    source = SelfSigned(str(tmp_path / "file" / "pki"), lambda: {"node"})
    with pytest.raises(ConfigError, match="--state-dir: cannot"):
        source.current()

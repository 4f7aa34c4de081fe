from __future__ import annotations

import logging
import ssl

import pytest
from support.certificates import Authority

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.web.self_signed import self_signed
from virtual_kubelet.web.tls import FileBytes, FilePair, Fixed, KeyPair, ServerTls


@pytest.fixture
def files(tmp_path):
    pair = self_signed(["one"])
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return certificate, key


def write(path, data):
    """As those who renew certificates do: a new file in the place of the old one."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)


def test_the_context_stays_while_nothing_changes(files):
    clock = SteppedClock()
    tls = ServerTls(FilePair(*map(str, files)), clock=clock)
    context = tls.context()
    clock.advance(100)
    assert tls.context() is context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_NONE


def test_changed_files_make_a_new_context(files):
    clock = SteppedClock()
    tls = ServerTls(FilePair(*map(str, files)), clock=clock)
    context = tls.context()
    pair = self_signed(["two"])
    write(files[0], pair.certificate)
    write(files[1], pair.key)
    assert tls.context() is context  # looked less than a second ago
    clock.advance(1)
    assert tls.context() is not context


def test_half_a_renewal_keeps_the_old_certificate(files, caplog):
    clock = SteppedClock()
    tls = ServerTls(FilePair(*map(str, files)), clock=clock)
    context, pair = tls.context(), self_signed(["two"])
    write(files[0], pair.certificate)
    for _ in range(3):
        clock.advance(1)
        assert tls.context() is context
    assert caplog.text.count("the certificates in use stay") == 1
    write(files[1], pair.key)
    clock.advance(1)
    assert tls.context() is not context


def test_files_that_vanish_keep_the_old_certificate(files, caplog):
    clock = SteppedClock()
    tls = ServerTls(FilePair(*map(str, files)), clock=clock)
    context = tls.context()
    files[1].unlink()
    clock.advance(1)
    assert tls.context() is context
    assert f"--tls-private-key-file: cannot read {files[1]}: No such file" in caplog.text


def test_client_cas_come_and_change(files):
    clock, ca = SteppedClock(), [None]
    tls = ServerTls(FilePair(*map(str, files)), lambda: ca[0], clock=clock)
    assert tls.context().verify_mode == ssl.CERT_NONE
    trust = tls.trust()
    ca[0] = Authority().pem
    clock.advance(1)
    assert tls.context().verify_mode == ssl.CERT_OPTIONAL
    assert tls.trust() != trust
    assert tls.trust() == tls.trust()


@pytest.mark.parametrize("break_it", ["missing", "not a certificate", "other key", "encrypted key"])
def test_what_cannot_be_used_at_start_is_an_error_that_names_it(files, break_it):
    certificate, key = files
    if break_it == "missing":
        certificate.unlink()
        expected = f"--tls-cert-file: cannot read {certificate}: No such file"
    elif break_it == "not a certificate":
        certificate.write_bytes(b"hello")
        expected = "the serving certificate and its key cannot be used: .*see --tls-cert-file"
    elif break_it == "other key":
        key.write_bytes(self_signed(["x"]).key)
        expected = "KEY_VALUES_MISMATCH.*see --tls-cert-file and --tls-private-key-file"
    else:
        key.write_bytes(ENCRYPTED)
        expected = "the private key is encrypted"
    with pytest.raises(ConfigError, match=expected) as caught:
        ServerTls(FilePair(str(certificate), str(key))).context()
    assert "\n" not in str(caught.value)


def test_a_client_ca_file_without_certificates(files, tmp_path):
    path = tmp_path / "ca.crt"
    path.write_bytes(b"nothing here")
    with pytest.raises(ConfigError, match="client CA"):
        ServerTls(FilePair(*map(str, files)), FileBytes(str(path), "--client-ca-file")).context()


def test_loading_a_pair_leaves_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ServerTls(Fixed(self_signed(["x"]))).context()
    with pytest.raises(ConfigError):
        ServerTls(Fixed(KeyPair(b"x", b"y"))).context()
    assert not list(tmp_path.iterdir())


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    content = FileBytes(str(path), "--x")
    assert content() is content()
    write(path, b"two")
    assert content() == b"two"


def test_keys_are_not_shown(files, caplog):
    caplog.set_level(logging.DEBUG)
    pair = FilePair(*map(str, files)).current()
    ServerTls(Fixed(pair)).context()
    assert "PRIVATE" not in repr(pair) + caplog.text


def _encrypted():
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


ENCRYPTED = _encrypted()

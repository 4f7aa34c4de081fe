from __future__ import annotations

import os

import pytest

from virtual_kubelet.podruntime import payload
from virtual_kubelet.provider import File


def test_a_group_that_cannot_be_given_is_no_reason_not_to_run(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    assert payload.write(tmp_path / "v", {"key": File(b"x", 0o440)}, group=1000660000)
    assert (tmp_path / "v" / "key").read_bytes() == b"x"


def test_what_could_not_be_written_whole_is_not_left_behind(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(OSError, match="No space"):
        payload.write(tmp_path / "v", {"key": File(b"secret", 0o440)})
    assert list((tmp_path / "v").iterdir()) == []

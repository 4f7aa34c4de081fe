"""The files that configMap, secret, downwardAPI and projected volumes hold.

As with environments, what cannot be had is a `Problem` among the results. Texts are the kubelet's (reason
`FailedMount`). Writing the files, and keeping them up to date, is the business of whoever runs the pod.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.pure.downward import Facts, field_value, resource_value
from virtual_kubelet.pure.problems import Problem
from virtual_kubelet.pure.references import CONFIG_MAP, SECRET
from virtual_kubelet.pure.sources import Lookups, read

__all__ = ["Token", "VolumeContent", "VolumeFile", "volume_content"]

Token: TypeAlias = Callable[[str, int], str]
"""`token(audience, expiration_seconds)` returns a service account token bound to the pod, or raises `ApiError`."""

_DEFAULT_MODE: Final = 0o644
_DEFAULT_TOKEN_SECONDS: Final = 3600
_LONGEST_PATH: Final = 4096


@dataclass(frozen=True)
class VolumeFile:
    """One file of a configMap, secret, projected or downwardAPI volume."""

    content: bytes
    mode: int
    """Permission bits, for example 0o644."""

    secret: bool = False
    """Whether the content came from a Secret, or is a token."""


@dataclass(frozen=True)
class VolumeContent:
    """What a volume holds."""

    files: Mapping[str, VolumeFile]
    """By relative path, with `/`; a path never leads out of the volume, and no file is another's directory."""

    problems: tuple[Problem, ...]

    @property
    def blocking(self) -> tuple[Problem, ...]:
        """The problems that keep the volume from being mounted."""
        return tuple(problem for problem in self.problems if problem.blocking)


def volume_content(
    pod: Pod, volume: JsonObject, lookups: Lookups, facts: Facts, token: Token
) -> VolumeContent:
    """Return the files of one of the pod's volumes.

    Args:
        pod: as the API server has it.
        volume: an item of `spec.volumes`.
        lookups: where ConfigMaps and Secrets are read.
        facts: what downwardAPI items may ask of the node.
        token: makes tokens for projected volumes.
    """
    return _Collector(pod, volume, lookups, facts, token).collect()


class _Missing(Exception):
    """A part of the volume cannot be had."""

    def __init__(self, text: str, *, blocking: bool = True, final: bool = False) -> None:
        super().__init__(text)
        self.blocking = blocking
        self.final = final


class _Collector:
    """Collects the files of one volume; later sources of a projected one win."""

    def __init__(self, pod: Pod, volume: JsonObject, lookups: Lookups, facts: Facts, token: Token) -> None:
        self._pod = pod
        self._volume = volume
        self._lookups = lookups
        self._facts = facts
        self._token = token
        self._mode = _DEFAULT_MODE
        self._files: dict[str, VolumeFile] = {}
        self._problems: list[Problem] = []

    def collect(self) -> VolumeContent:
        types = [name for name, source in self._volume.items() if name != "name" and source is not None]
        if types == ["projected"]:
            projected = self._volume["projected"]
            self._mode = _mode(projected, "defaultMode", _DEFAULT_MODE)
            for source in projected.get("sources") or ():
                self._try(source)
        else:
            for source in self._volume.values():
                if isinstance(source, dict):
                    self._mode = _mode(source, "defaultMode", _DEFAULT_MODE)
            self._try({name: self._volume[name] for name in types})
        self._check_directories()
        return VolumeContent(self._files, tuple(self._problems))

    def _try(self, source: JsonObject) -> None:
        """Take one source: an object with one member, which names its type."""
        takers: Mapping[str, Callable[[JsonObject], None]] = {
            "configMap": self._take_config_map,
            "secret": self._take_secret,
            "downwardAPI": self._take_downward,
            "serviceAccountToken": self._take_token,
        }
        for name, content in source.items():
            if content is None:
                continue
            take = takers.get(name) or partial(self._refuse, name)
            try:
                take(content)
            except _Missing as missing:
                self._problem(missing)

    def _refuse(self, name: str, source: JsonObject) -> None:
        if not source.get("optional"):
            raise _Missing(f"{name} is not supported", final=True)

    def _take_config_map(self, source: JsonObject) -> None:
        self._take_object(CONFIG_MAP, source.get("name", ""), source)

    def _take_secret(self, source: JsonObject) -> None:
        # A volume says secretName; a source of a projected one says name.
        self._take_object(SECRET, source.get("secretName") or source.get("name", ""), source)

    def _take_object(self, kind: str, name: str, source: JsonObject) -> None:
        optional = bool(source.get("optional"))
        found = read(self._lookups, kind, self._pod["metadata"]["namespace"], name, optional=optional)
        if isinstance(found, Problem):
            if found.reason.endswith("NotFound") and optional:
                return
            raise _Missing(found.text, blocking=found.blocking)
        word = "secret" if found.secret else "configmap"
        try:
            content = found.files()
        except ValueError as error:
            raise _Missing(f'{word} "{name}": {error}') from error
        items = source.get("items")
        if not items:
            for key in sorted(content):
                self._add(key, content[key], self._mode, secret=found.secret)
            return
        for item in items:
            key = item.get("key", "")
            if key in content:
                mode = _mode(item, "mode", self._mode)
                self._add(item.get("path", ""), content[key], mode, secret=found.secret, written=True)
            elif not optional:
                raise _Missing(f'{word} "{name}" references non-existent key: {key}')

    def _take_downward(self, source: JsonObject) -> None:
        for item in source.get("items") or ():
            try:
                text = self._downward_text(item)
            except ValueError as error:
                raise _Missing(str(error), final=True) from error
            self._add(item.get("path", ""), text.encode(), _mode(item, "mode", self._mode), written=True)

    def _downward_text(self, item: JsonObject) -> str:
        field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
        if field is not None:
            text = field_value(self._pod, field, self._facts)
            if text is None:
                raise _Missing(f"{field.get('fieldPath')} is not known yet")
            return text
        if resource is not None:
            return resource_value(self._pod, None, resource, self._facts)
        raise ValueError("an item of a downwardAPI volume needs a fieldRef or a resourceFieldRef")

    def _take_token(self, source: JsonObject) -> None:
        try:
            text = self._token(
                source.get("audience") or "", source.get("expirationSeconds") or _DEFAULT_TOKEN_SECONDS
            )
        except ApiError as error:
            raise _Missing(f"failed to fetch token: {error}") from error
        self._add(source.get("path", ""), text.encode(), self._mode, secret=True, written=True)

    def _add(
        self, path: str, content: bytes, mode: int, *, secret: bool = False, written: bool = False
    ) -> None:
        """Add a file; `written`: the pod itself says the path, so waiting would not mend it."""
        complaint = _complaint(path)
        if complaint:
            raise _Missing(f"invalid path {path!r}: {complaint}", final=written)
        self._files[path] = VolumeFile(content, mode, secret)

    def _check_directories(self) -> None:
        for path in list(self._files):
            parents = path.split("/")[:-1]
            for depth in range(1, len(parents) + 1):
                if "/".join(parents[:depth]) in self._files:
                    self._files.pop(path)
                    text = (
                        f"{'/'.join(parents[:depth])!r} cannot be both a file and the directory of {path!r}"
                    )
                    self._problem(_Missing(text, final=True))
                    break

    def _problem(self, missing: _Missing) -> None:
        text = f'MountVolume.SetUp failed for volume "{self._volume.get("name", "")}" : {missing}'
        self._problems.append(Problem("FailedMount", text, missing.blocking, final=missing.final))


def _mode(source: JsonObject, name: str, default: int) -> int:
    mode = source.get(name)
    return default if mode is None else int(mode) & 0o777


def _complaint(path: str) -> str:
    """Say why `path` is not one inside the volume; "" where it is."""
    parts = path.split("/")
    if not path:
        return "must not be empty"
    if path.startswith("/"):
        return "must be relative path"
    if ".." in parts:
        return "must not contain '..'"
    if path.startswith(".."):
        # The names of the directories that make updates atomic begin so.
        return "must not start with '..'"
    if "." in parts or "" in parts:
        return "must be normalized"
    if len(path.encode()) > _LONGEST_PATH:
        return f"must be no longer than {_LONGEST_PATH} bytes"
    return "must not contain a NUL" if "\0" in path else ""

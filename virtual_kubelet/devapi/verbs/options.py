"""Options of reads and writes, from the query string (`metav1.ListOptions`, `CreateOptions` and so on)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from virtual_kubelet.devapi import failures

__all__ = ["Query", "WriteOptions", "first"]

VALIDATIONS = ("Ignore", "Warn", "Strict")
MANAGER_LIMIT = 128

Query = Mapping[str, Sequence[str]]
"""Query parameters as `urllib.parse.parse_qs` gives them."""


@dataclass
class WriteOptions:
    """How to write; `user` is the writer's name."""

    user: str = ""
    groups: tuple[str, ...] = ()
    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool = False  # server-side apply takes over others' fields
    warnings: list[str] = field(default_factory=list)
    """What to tell the writer in Warning headers; filled in on the way."""

    @classmethod
    def from_query(
        cls, query: Query, *, user: str, groups: tuple[str, ...] = (), user_agent: str = ""
    ) -> WriteOptions:
        """Read the parameters of a write; `ApiError` 422 for values that there are none of."""
        dry_run = [value for value in query.get("dryRun", ()) if value]
        complaints = []
        if set(dry_run) - {"All"}:
            complaints.append(failures.FieldError.not_supported("dryRun", dry_run[0], ["All"]))
        validation = first(query, "fieldValidation") or "Warn"
        if validation not in VALIDATIONS:
            complaints.append(
                failures.FieldError.not_supported("fieldValidation", validation, sorted(VALIDATIONS))
            )
        manager = first(query, "fieldManager")
        if len(manager) > MANAGER_LIMIT:
            complaints.append(failures.FieldError.too_long("fieldManager", MANAGER_LIMIT))
        if complaints:
            raise failures.invalid("WriteOptions.meta.k8s.io", "", complaints)
        return cls(
            user=user,
            groups=groups,
            dry_run=bool(dry_run),
            field_manager=manager or user_agent.partition("/")[0][:MANAGER_LIMIT],
            field_validation=validation,
            force=first(query, "force") in {"true", "1"},
        )


def first(query: Query, name: str) -> str:
    """Return the first value of a parameter, "" where there is none."""
    values = query.get(name)
    return values[0] if values else ""

"""Label and field selectors, made ready for one kind."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import selectors

__all__ = ["Filter"]


class Filter:
    """What a list or a watch selects."""

    def __init__(self, kind: Kind, labels: str, fields: str, *, name: str = "") -> None:
        """Read the selectors' text; `name` selects one object beside them.

        Raises:
            ApiError: 400 for a selector that cannot be read, or for a field that the kind does not offer.
        """
        try:
            self._labels = selectors.label_selector(labels)
            terms = selectors.field_selector(fields).terms
        except ValueError as error:
            raise failures.bad_request(str(error)) from error
        if name:
            terms += (selectors.FieldTerm("metadata.name", equal=True, value=name),)
        for term in terms:
            if term.field not in kind.strategy.fields:
                raise failures.bad_request(f"field label not supported: {term.field}")
        self._terms = tuple((kind.strategy.fields[term.field], term.value, term.equal) for term in terms)
        self.everything = not self._terms and not self._labels.requirements

    def matches(self, body: JsonObject) -> bool:
        """Tell whether an object is selected."""
        for field, value, equal in self._terms:
            if (field(body) == value) is not equal:
                return False
        return not self._labels.requirements or self._labels.matches(body["metadata"].get("labels"))

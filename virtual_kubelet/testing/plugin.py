"""The pytest plug-in of the conformance suite: `pytest_plugins = ["virtual_kubelet.testing.plugin"]`.

It adds to pytest's own report what a provider passed, and what was not tested and why; the suite runs without it, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.profile import ConformanceProfile

__all__ = ["provider_profile", "pytest_runtest_setup", "pytest_terminal_summary"]

MARK = "provider-conformance"
OUTCOMES = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")


@pytest.fixture
def provider_profile() -> ConformanceProfile:
    """Say what is missing, where no fixture of the author's stands in front of this one."""
    pytest.fail("write a fixture `provider_profile` that returns the ConformanceProfile of your provider")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Mark the suite's tests: reports carry that, also from another process."""
    cls = getattr(item, "cls", None)
    if cls is not None and issubclass(cls, Conformance):
        module = item.nodeid.partition("::")[0]
        item.user_properties.append((MARK, f"{module} {cls.__name__}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print one line for each class, and why tests were skipped."""
    results: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    for outcome in OUTCOMES:
        for report in terminalreporter.stats.get(outcome, ()):
            name = dict(getattr(report, "user_properties", ())).get(MARK)
            if name is None:
                continue
            results[str(name)][outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if results:
        _print(terminalreporter, results, reasons)


def _print(
    terminal: pytest.TerminalReporter, results: dict[str, Counter[str]], reasons: Counter[str]
) -> None:
    terminal.section("provider conformance")
    for name, counts in sorted(results.items()):
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
        terminal.line(f"{name}: {told}")
    for reason, count in sorted(reasons.items()):
        terminal.line(f"  {count} not tested: {reason}")

"""The command `virtual-kubelet`: finds the subcommand, and turns every expected error into one line.

A command's module is imported when it is asked for: a node does not carry the embedded control plane in memory.

Exit codes: 0 for a clean end, 2 for a wrong flag, variable or argument, 1 for anything else that went wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from virtual_kubelet.cli import options
from virtual_kubelet.cli.resolve import UsageError
from virtual_kubelet.errors import VirtualKubeletError
from virtual_kubelet.providers import registry
from virtual_kubelet.version import KUBERNETES_VERSION, __version__

__all__ = ["main"]

COMMANDS = {
    "run": "run a node (the default)",
    "dev": "an embedded control plane and a node in one process, for trying things out",
    "bootstrap": "join a cluster: get the node's own certificate and write its kubeconfig",
    "check": "say what is wrong with this configuration, and what would help",
    "providers": "list the providers, or check that one is there",
    "supervisor": "hold the processes of the process provider, as a service of its own",
    "version": "print the version",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process) and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = words.pop(0) if words and words[0] in COMMANDS else "run"
    handlers: dict[str, Callable[[list[str]], int]] = {
        "run": _run,
        "dev": _dev,
        "bootstrap": _bootstrap,
        "check": _check,
        "providers": _providers,
        "supervisor": _supervisor,
        "version": _version,
    }
    try:
        return handlers[command](words)
    except UsageError as error:
        print(f"virtual-kubelet: {error}", file=sys.stderr)
        return 2
    except VirtualKubeletError as error:
        print(f"virtual-kubelet: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 1


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print `message` and where to find help; exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser(command: str, *, prog: str = "", epilog: str = "") -> Parser:
    return Parser(
        prog=prog or f"virtual-kubelet {command}",
        description=COMMANDS[command],
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _run(words: list[str]) -> int:
    listing = "\n".join(f"  {name:10} {text}" for name, text in COMMANDS.items())
    parser = _parser("run", prog="virtual-kubelet", epilog=f"commands:\n{listing}")
    parser.usage = "virtual-kubelet [COMMAND] [OPTIONS]"
    parser.add_argument("--version", action="version", version=_version_text())
    options.add_to(parser)
    flags = _accepting_retired(parser, words)
    from virtual_kubelet.cli.run import run

    return run(flags, os.environ)


def _accepting_retired(parser: Parser, words: list[str]) -> dict[str, object]:
    """Parse, letting those flags of the Go original pass that have no meaning here, with a word about each."""
    known, rest = parser.parse_known_args(words)
    value_may_follow = False
    for word in rest:
        flag, equals, _ = word.partition("=")
        if flag in options.RETIRED or flag.startswith(options.RETIRED_PREFIXES):
            print(f"virtual-kubelet: {flag} has no effect any more and is ignored", file=sys.stderr)
            value_may_follow = not equals
        elif value_may_follow and not word.startswith("-"):
            value_may_follow = False
        else:
            parser.error(f"unrecognized argument: {word}")
    return vars(known)


def _dev(words: list[str]) -> int:
    from virtual_kubelet.cli import dev

    parser = _parser("dev")
    dev.add_arguments(parser)
    return dev.run(parser.parse_args(words), os.environ)


def _bootstrap(words: list[str]) -> int:
    from virtual_kubelet.cli import bootstrap

    parser = _parser("bootstrap")
    bootstrap.add_arguments(parser)
    return bootstrap.run(parser.parse_args(words))


def _check(words: list[str]) -> int:
    from virtual_kubelet.cli import check

    parser = _parser("check")
    options.add_to(parser)
    return check.run(vars(parser.parse_args(words)), os.environ)


def _providers(words: list[str]) -> int:
    parser = _parser("providers")
    parser.add_argument("name", nargs="?", help="look for this one")
    wanted = parser.parse_args(words).name
    if wanted and wanted not in registry.names():
        installed = ", ".join(registry.names())
        print(f'virtual-kubelet: no such provider: "{wanted}"; installed are {installed}', file=sys.stderr)
        return 1
    print("\n".join([wanted] if wanted else registry.names()))
    return 0


def _supervisor(words: list[str]) -> int:
    from virtual_kubelet.cli import supervisor

    parser = _parser("supervisor")
    supervisor.add_arguments(parser)
    return supervisor.run(vars(parser.parse_args(words)), os.environ)


def _version(words: list[str]) -> int:
    _parser("version").parse_args(words)
    print(_version_text())
    return 0


def _version_text() -> str:
    return f"virtual-kubelet {__version__} (behaves as a kubelet of Kubernetes {KUBERNETES_VERSION})"

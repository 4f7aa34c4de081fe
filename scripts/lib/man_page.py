"""Writes the man page from what `--help` says, to standard output.

python man_page.py DIRECTORY     where virtual_kubelet can be imported from
"""

from __future__ import annotations

import sys

sys.path[:0] = sys.argv[1:2]

from virtual_kubelet.cli.main import COMMANDS  # noqa: E402 - from the path above
from virtual_kubelet.cli.options import GROUPS, OPTIONS, Option  # noqa: E402 - from the path above
from virtual_kubelet.version import KUBERNETES_VERSION, __version__  # noqa: E402 - from the path above


def main() -> None:
    """Write it."""
    print(f'.TH VIRTUAL-KUBELET 8 "" "virtual-kubelet {__version__}" "System Administration"')
    print(".SH NAME\nvirtual-kubelet \\- a Kubernetes node whose pods run wherever a provider can reach")
    print(".SH SYNOPSIS\n.B virtual-kubelet\n[\\fICOMMAND\\fR] [\\fIOPTIONS\\fR]")
    print(
        ".SH DESCRIPTION\nRegisters a node and hands the pods that are bound to it to a provider. It is like a kubelet of"
    )
    print(f"Kubernetes {KUBERNETES_VERSION}.")
    print(".SH COMMANDS")
    for name, text in COMMANDS.items():
        print(f".TP\n.B {escape(name)}\n{escape(text)}")
    print(
        ".SH OPTIONS\nThose of \\fBrun\\fR. A flag beats the environment, which beats the file of \\fB\\-\\-config\\fR."
    )
    for group in GROUPS:
        print(f".SS {escape(group)}")
        for option in OPTIONS:
            if option.group == group:
                describe(option)
    print(".SH FILES")
    for path, text in FILES.items():
        print(f".TP\n.I {escape(path)}\n{escape(text)}")
    print(
        ".SH EXIT STATUS\n0 after a clean end, 2 for a wrong flag, variable or argument, 1 for anything else."
    )
    print(".SH SEE ALSO\n.BR systemctl (1),\n.BR journalctl (1),\nfile:/usr/share/doc/virtual\\-kubelet")


FILES = {
    "/etc/virtual-kubelet/config.toml": "the settings of virtual-kubelet.service",
    "/etc/virtual-kubelet/NAME.toml": "the settings of virtual-kubelet@NAME.service, the node NAME",
    "/etc/virtual-kubelet/environment": "secrets of the provider, as NAME=value lines",
    "/var/lib/virtual-kubelet": "state, a directory for each node",
}


def describe(option: Option) -> None:
    """Write one option."""
    value = option.metavar or option.parse.__name__.upper()
    shape = "[=true|false]" if option.is_boolean else f" {value}"
    default = f" Default: {option.default}." if option.default else ""
    variables = ", ".join(f"${name}" for name in option.variables)
    print(f".TP\n.B {escape(f'--{option.flag}')}{escape(shape)}")
    print(escape(f"{option.help[0].upper()}{option.help[1:]}.{default} [{variables}]"))


def escape(text: str) -> str:
    """Return text as roff takes it literally."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    main()

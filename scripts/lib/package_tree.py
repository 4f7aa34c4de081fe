"""Makes the tree that the deb and the RPM carry: /usr, /etc and what documents belong to it.

    python package_tree.py --wheel FILE --python 3.11 --epoch SECONDS [--glibc 2.28 ...] DESTINATION

Everything that differs between two builds is taken out: times, bytecode that looks at times, names of directories.
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"
SITE = "usr/lib/virtual-kubelet/site"
EXTRAS = "azure,fast"
UNITS = sorted((PACKAGING / "systemd").glob("*.service"))
# What operators of a machine read; file in the repository: its place among the package's documents.
DOCUMENTS = {
    "CHANGELOG.md": "CHANGELOG.md",
    "deploy/rbac.yaml": "examples/rbac.yaml",
    **{
        f"docs/{name}.md": f"{name}.md"
        for name in (
            "install-vm",
            "upgrade",
            "troubleshooting",
            "security",
            "metrics",
            "performance",
            "kubelet-api",
        )
    },
    **{
        f"docs/providers/{path.name}": f"providers/{path.name}"
        for path in (ROOT / "docs/providers").glob("*.md")
    },
}
# Imported only where a kubeconfig uses a plug-in, and half of all bytecode: it is compiled when it is wanted.
UNCOMPILED = "kubernetes/client"


def main() -> None:
    """Make the tree."""
    parser = argparse.ArgumentParser(description="Makes the tree that the packages carry.")
    parser.add_argument("--wheel", required=True, type=Path)
    parser.add_argument("--python", required=True, help="minor version that it is for: 3.11")
    parser.add_argument("--epoch", required=True, type=int, help="time of every file, seconds")
    parser.add_argument(
        "--glibc", action="append", required=True, help="newest manylinux tag, repeatable: 2_28"
    )
    parser.add_argument("--machine", required=True, help="x86_64, aarch64")
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != options.python:
        sys.exit(
            f"package_tree: bytecode for Python {options.python} is made by that Python, not by {sys.version.split()[0]}"
        )
    install(options, options.destination / SITE)
    place_files(options.destination, options.python)
    collect_licences(options.destination)
    settle(options.destination, options.epoch)


def install(options: argparse.Namespace, site: Path) -> None:
    """Put the wheel and what it needs into `site`."""
    platforms = [f"--platform=manylinux_{tag}_{options.machine}" for tag in options.glibc]
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile",
            "--only-binary=:all:", f"--python-version={options.python}", "--implementation=cp",
            f"--abi=cp{options.python.replace('.', '')}", *platforms, "--constraint", PACKAGING / "constraints.txt",
            # By name, not by path: pip would write the path down.
            f"--find-links={options.wheel.parent}", f"--target={site}", f"virtual-kubelet[{EXTRAS}]=={version(options.wheel)}",
        ],
        check=True,
    )  # fmt: skip
    shutil.rmtree(
        site / "bin", ignore_errors=True
    )  # commands of dependencies, with our interpreter's path in them
    for record in site.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines()
        record.write_text("".join(f"{line}\n" for line in lines if not line.startswith("../")))
    compile_all(site)


def version(wheel: Path) -> str:
    """Return the version that a wheel's name tells."""
    return wheel.name.split("-")[1]


def compile_all(site: Path) -> None:
    """Compile what is always imported; the bytecode is trusted without a look at the source's time."""
    for path in sorted(site.rglob("*.py")):
        inside = path.relative_to(site).as_posix()
        if inside.startswith(UNCOMPILED):
            continue
        compileall.compile_file(
            path,
            ddir=f"/usr/lib/virtual-kubelet/site/{Path(inside).parent}".removesuffix("/."),
            quiet=2,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def place_files(root: Path, python: str) -> None:
    """Put command, units, settings, man page and documents in their places."""
    command = (PACKAGING / "bin" / "virtual-kubelet").read_text().replace("@PYTHON@", python)
    write(root / "usr/bin/virtual-kubelet", command, mode=0o755)
    for unit in UNITS:
        write(root / "usr/lib/systemd/system" / unit.name, unit.read_text())
    write(
        root / "etc/virtual-kubelet/config.toml", (PACKAGING / "etc" / "config.toml").read_text(), mode=0o640
    )
    documents = root / "usr/share/doc/virtual-kubelet"
    for name, place in DOCUMENTS.items():
        write(documents / place, (ROOT / name).read_text())
    for example in sorted((PACKAGING / "examples").glob("*")):
        write(documents / "examples" / example.name, example.read_text())
    page = subprocess.run(
        [sys.executable, "-IS", ROOT / "scripts/lib/man_page.py", root / SITE],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    write(root / "usr/share/man/man8/virtual-kubelet.8", page)


def collect_licences(root: Path) -> None:
    """Write whose work is in the package, and under which terms."""
    documents = root / "usr/share/doc/virtual-kubelet"
    lines = ["virtual-kubelet is under the Apache License 2.0, see below. The package carries these works of others,",
             "with their licences in the directory licences/ beside this file:", ""]  # fmt: skip
    for info in sorted((root / SITE).glob("*.dist-info")):
        name, _, number = info.name.removesuffix(".dist-info").rpartition("-")
        if name == "virtual_kubelet":
            continue
        lines.append(f"  {name} {number}: {declared_licence(info / 'METADATA')}")
        texts = [path for path in sorted(info.rglob("*")) if path.is_file() and is_licence(path)]
        if not texts:
            lines.append(
                "      (its distribution carries no licence text; the line above is its own statement)"
            )
        for path in texts:
            write(
                documents / "licences" / name / path.name, path.read_text(encoding="utf-8", errors="replace")
            )
    lines += ["", (ROOT / "LICENSE").read_text()]
    write(documents / "copyright", "\n".join(lines))


def is_licence(path: Path) -> bool:
    """Tell whether a file of a dist-info directory is about licences."""
    return path.name.upper().startswith(("LICEN", "COPYING", "NOTICE", "AUTHORS"))


def declared_licence(metadata: Path) -> str:
    """Return what the metadata say of the licence, in one line."""
    lines = metadata.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0].splitlines()
    for field in ("License-Expression: ", "License: "):
        for line in lines:
            if line.startswith(field):
                return line.removeprefix(field).strip()
    classified = [line.rpartition(" :: ")[2] for line in lines if line.startswith("Classifier: License ::")]
    return ", ".join(classified) or "not stated"


def write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file with its mode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def settle(root: Path, epoch: int) -> None:
    """Give every file the same time and the modes that do not depend on the umask."""
    for path in [root, *sorted(root.rglob("*"))]:
        if path.is_symlink():
            continue
        executable = path.is_dir() or path.stat().st_mode & 0o100
        if path.name != "config.toml":
            path.chmod(0o755 if executable else 0o644)
        os.utime(path, (epoch, epoch))


if __name__ == "__main__":
    main()

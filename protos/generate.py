"""Generate the Python stubs in ``interplay/rpc`` from ``protos/``.

    python protos/generate.py            write the stubs
    python protos/generate.py --check    fail if the committed stubs differ from the protos

The compiler writes ``from interplay.common.v1 import …``; the stubs live one package deeper, in
``interplay.rpc``, so that import line is moved there. Nothing else is changed.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

PROTO_ROOT = Path(__file__).resolve().parent
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"  # google/protobuf/*.proto
OUTPUT_ROOT = PROTO_ROOT.parent / "interplay" / "rpc"
IMPORT_LINE = re.compile(r"^from interplay\.(\w+\.v\d+) import ", flags=re.MULTILINE)


def generate() -> dict[Path, str]:
    """Stub sources by path relative to ``interplay/rpc``.

    Raises:
        RuntimeError: The compiler failed; it has printed why.
    """
    sources = sorted(PROTO_ROOT.glob("interplay/*/v*/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        arguments = [
            "protoc",
            f"--proto_path={PROTO_ROOT}",
            f"--proto_path={WELL_KNOWN}",
            f"--python_out={scratch}",
            f"--pyi_out={scratch}",
            f"--grpc_python_out={scratch}",
            *[str(source) for source in sources],
        ]
        if protoc.main(arguments) != 0:
            raise RuntimeError("protoc failed")
        stubs = {}
        for file in sorted(Path(scratch, "interplay").rglob("*.py*")):
            text = IMPORT_LINE.sub(r"from interplay.rpc.\1 import ", file.read_text())
            if "_grpc" in file.name and "class " not in text:
                continue  # a file without services
            stubs[file.relative_to(Path(scratch, "interplay"))] = text
        for package in {path.parent for path in stubs} | {path.parent.parent for path in stubs}:
            stubs[package / "__init__.py"] = ""
        return stubs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    stale = []
    for relative, text in generate().items():
        target = OUTPUT_ROOT / relative
        if target.is_file() and target.read_text() == text:
            continue
        if check:
            stale.append(str(target.relative_to(PROTO_ROOT.parent)))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
    if stale:
        print("stubs differ from the protos (run: make protos):\n  " + "\n  ".join(stale), file=sys.stderr)
        return 1
    print("stubs are up to date" if check else f"wrote {OUTPUT_ROOT.relative_to(PROTO_ROOT.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

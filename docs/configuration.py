"""Write ``docs/configuration.md`` from the settings classes.

python docs/configuration.py            write it
python docs/configuration.py --check    fail if the committed file differs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from gateway.settings import GatewaySettings
from interplay.launcher.settings import LauncherSettings
from interplay.launcher.torchserve.settings import TorchServeProcessSettings
from interplay.settings import REPOSITORY_ROOT
from services.embedding.settings import EmbeddingSettings
from services.hate_classifier.settings import HateClassifierSettings
from services.locsens.settings import LocSensSettings
from services.style_transfer.settings import StyleTransferSettings
from services.text_detection.settings import TextDetectionSettings
from services.worker.settings import WorkerSettings

TARGET = Path(__file__).with_suffix(".md")
PROCESSES: tuple[tuple[str, str, type[BaseSettings]], ...] = (
    ("Launcher", "`interplay up`; hands what the parts need on to them.", LauncherSettings),
    ("Gateway", "`python -m gateway`", GatewaySettings),
    (
        "TorchServe",
        "`python -m interplay.launcher.torchserve`; part of `interplay up --runtime torchserve`.",
        TorchServeProcessSettings,
    ),
    ("Worker", "`python -m services.worker`", WorkerSettings),
    ("Text detection server", "`python -m services.text_detection`", TextDetectionSettings),
    ("Style transfer server", "`python -m services.style_transfer`", StyleTransferSettings),
    ("Embedding server", "`python -m services.embedding`", EmbeddingSettings),
    ("LocSens server", "`python -m services.locsens`", LocSensSettings),
    ("Hate classifier server", "`python -m services.hate_classifier`", HateClassifierSettings),
)
INTRODUCTION = """# Configuration

Every process reads environment variables that start with `INTERPLAY_`, once, when it starts. A bad value
ends the start with one line that names it. This page is written by `python docs/configuration.py`.
"""


def render() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for title, command, settings in PROCESSES:
        parts.append(f"## {title}\n\n{command}\n\n| variable | default | meaning |\n|---|---|---|")
        parts += _rows(settings, "INTERPLAY_")
        parts.append("")
    return "\n".join(parts)


def _rows(settings: type[BaseModel], prefix: str) -> list[str]:
    """A row a variable; a group of settings has one for each of its own."""
    rows = []
    for name, field in settings.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            rows += _rows(field.annotation, f"{variable}__")
            continue
        default = "required" if field.default is PydanticUndefined else _shown(field.default)
        if field.default_factory is not None:
            default = ""
        rows.append(f"| `{variable}` | {default} | {field.description or _words(name)} |")
    return rows


def _shown(value: object) -> str:
    if value in (None, (), ""):
        return ""
    if isinstance(value, Path):
        text = str(value).replace(str(REPOSITORY_ROOT), "<checkout>")
        return f"`{text}`"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 10_000:
        return f"`{value}` ({value:,})"
    return f"`{value}`"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize() + "."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    text = render()
    if not check:
        TARGET.write_text(text)
        return 0
    if not TARGET.is_file() or TARGET.read_text() != text:
        print("docs/configuration.md is stale; run: python docs/configuration.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

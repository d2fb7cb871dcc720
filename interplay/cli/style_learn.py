"""`interplay style learn`: a new style from one picture, as a new version of a model in the store.

Learning needs PyTorch, which the command line itself never loads: it runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from interplay.settings import REPOSITORY_ROOT


def learn(
    image: Annotated[
        Path,
        typer.Option(help="Picture of a word in the style, cut out of a photo.", exists=True, dir_okay=False),
    ],
    name: Annotated[str, typer.Option(help="Name of the style: lower-case letters, digits, hyphens.")],
    model: Annotated[
        Literal["scene", "print", "handwriting"], typer.Option(help="Which of the three models learns it.")
    ] = "scene",
    steps: Annotated[int, typer.Option(min=1, max=20_000, help="More is better and takes longer.")] = 300,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Folder of your photos to learn on, beside drawn words.",
            exists=True,
            file_okay=False,
            show_default="none",
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option(help="Write drawn words, plain and restyled, to this PNG.", show_default="none"),
    ] = None,
    store: Annotated[
        Path,
        typer.Option(envvar="INTERPLAY_MODEL_STORE", help="The model store.", show_default="model_store"),
    ] = REPOSITORY_ROOT / "model_store",
) -> None:
    """Learn a style from one picture of a word (some minutes on a CPU; needs no running system).

    Only the style's own numbers are trained; all other styles stay as they are. The result is the
    model's next version, which a server takes when it is started again.
    """
    command = [sys.executable, "-m", "interplay.predictors.style_transfer.learn"]
    command += ["--image", str(image), "--name", name, "--model", model, "--steps", str(steps)]
    command += ["--store", str(store)]
    for option, value in (("--photos", photos), ("--preview", preview)):
        if value is not None:
            command += [option, str(value)]
    raise typer.Exit(subprocess.run(command).returncode)

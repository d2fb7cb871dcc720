"""Job kind ``augment_dataset``: more training data, by giving the text of photos other looks (thesis 3.2.6).

Every image of a scene-text data set gets variants in styles drawn for it; words stay where they are,
so their annotations are carried over. Which styles an image gets depends on the seed and its name
alone, and is settled when the job is planned: the same job makes the same bytes on any number of
workers, whatever order they do it in and however often they are killed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from contextvars import copy_context
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from interplay.errors import (
    Conflict,
    InvalidInput,
    InvalidParameter,
    ModelFailed,
    NotFound,
    PermissionDenied,
)
from interplay.jobs.augment_formats import open_form
from interplay.jobs.augment_icdar import parse_icdar
from interplay.jobs.augment_report import Report
from interplay.jobs.augment_sources import (
    INPUT,
    Form,
    Polygons,
    Source,
    Written,
    check_names,
    failure,
    variant_file,
)
from interplay.jobs.augment_styles import StyleClient, choose_styles, draw_styles
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobParams, JobResult, ResultFile, Work
from interplay.media.images import probe
from interplay.settings import MAX_IMAGE_BYTES

PathField = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
StyleName = Annotated[str, StringConstraints(min_length=1, max_length=64)]

MANIFEST, FAILED = "manifest.jsonl", "failed.jsonl"
SUMMARY, SHEET = "summary.json", "contact_sheet.jpg"
MEDIA_TYPES = {
    MANIFEST: "application/jsonl",
    FAILED: "application/jsonl",
    SUMMARY: "application/json",
    SHEET: "image/jpeg",
}

# Images a unit has at the server at the same time: one is at work, the others are on their way to or
# from it. Further replicas are kept busy by further workers.
_IN_FLIGHT = 4
_MAX_IMAGES = 1_000_000
# A large photo takes seconds a variant: progress is told every minute or so, even then.
_VARIANTS_A_UNIT = 8
_MAX_TRUTH_BYTES = 1024 * 1024
# Errors that are an image's own. Whatever else comes from the server or from storage is the attempt's.
_ITEM_ERRORS = (InvalidInput, ModelFailed, NotFound, PermissionDenied)


class AugmentDataset(JobParams):
    """Parameters of ``augment_dataset``."""

    input: PathField = Field(
        description="Folder with images and `gt_*.txt` files (ICDAR), COCO-Text JSON file, or JSONL file "
        "with an `image` in each line."
    )
    output: PathField = Field(description="Folder for the augmented set; made if it is not there.")
    format: Literal["auto", "icdar", "coco_text", "jsonl"] = Field(
        "auto", description="Form of the input; `auto`: a folder is icdar, .json coco_text, .jsonl jsonl."
    )
    variants: int = Field(1, ge=1, le=16, description="Variants of each image.")
    seed: int = Field(0, description="Decides which image gets which styles; the same seed, the same set.")
    styles: list[StyleName] | None = Field(
        None, min_length=1, max_length=1000, description="Styles to draw from; all of `domain` if unset."
    )
    exclude: list[StyleName] = Field([], max_length=1000, description="Styles that are never drawn.")
    domain: Literal["scene", "print", "handwriting"] = Field(
        "scene", description="Where the styles come from when `styles` is not set."
    )
    mode: Literal["selective", "end_to_end", "whole", "polygons"] = Field(
        "selective",
        description="What is restyled: the text that is detected, that which the network finds itself, "
        "every pixel, or the annotated words (JSONL: field `polygons`).",
    )
    heat_floor: float | None = Field(
        None, ge=0, lt=1, description="Mode selective: text probability below this is taken as none."
    )
    originals: bool = Field(True, description="Copy the originals, too, so that the output is complete.")
    image_format: Literal["same", "png", "jpeg", "webp"] = Field(
        "same", description="How variants are written; `same` as their original."
    )
    quality: int = Field(92, ge=1, le=100, description="Of JPEG and WebP.")
    overwrite: bool = Field(
        False, description="Write into the `output` of an earlier job; its other files stay."
    )
    batch_size: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Images a unit: what progress counts and what is repeated at most after a crash; "
        f"as many as make {_VARIANTS_A_UNIT} variants if unset.",
    )
    examples: int = Field(
        12, ge=0, le=40, description="Images on the contact sheet, each with its variants; 0 for none."
    )

    @field_validator("heat_floor")
    @classmethod
    def _check_heat_floor(cls, value: float | None, info: ValidationInfo) -> float | None:
        mode = info.data.get("mode")
        if value is not None and mode != "selective":
            raise ValueError(f"heat_floor is for mode selective; the mode is {mode}")
        return value

    def paths(self) -> dict[str, str]:
        """Input and output."""
        return {"input": self.input, "output": self.output}


class AugmentDatasetWork(Work):
    """One attempt at the job, or a helper's part in one."""

    def __init__(self, params: AugmentDataset, context: JobContext) -> None:
        self._params = params
        self._datasets = context.datasets
        self._styles = StyleClient(
            context.models.client("style_transfer"),
            mode=params.mode,
            heat_floor=params.heat_floor,
            quality=params.quality,
        )
        # Results of the unit at hand, by id: what is done is not done again when the server goes away.
        self._finished: dict[str, Any] = {}

    def plan(self) -> list[list[Any]]:
        """Units of images, each with its styles and the digests of their models.

        Raises:
            PermissionDenied: Input or output is outside the roots.
            NotFound: No input.
            InvalidParameter: The input is not of the form, or one of input and output holds the other,
                or there is no such style, or none is left.
            Conflict: The output holds the summary of an earlier job.
        """
        params = self._params
        form = open_form(self._datasets, params.input, params.format)
        self._check_places()
        digests = choose_styles(
            self._styles.list_styles(),
            wanted=params.styles,
            exclude=params.exclude,
            domain=params.domain,
            end_to_end=params.mode == "end_to_end",
        )
        self._datasets.make_folder(params.output, name="params.output")
        if not params.overwrite and self._datasets.size(self._path(SUMMARY)) is not None:
            raise Conflict(
                f"{params.output!r} holds the set of an earlier job: choose another folder or set overwrite",
                field="params.output",
            )
        sources = []
        for source in form.sources(with_polygons=params.mode == "polygons"):
            sources.append(source)
            if len(sources) > _MAX_IMAGES:
                raise InvalidParameter(f"the input has more than {_MAX_IMAGES:,} images", field=INPUT)
        if not sources:
            raise InvalidParameter(f"there are no images in {params.input!r}", field=INPUT)
        self._check_files(sources, form)
        items = []
        for source in sources:
            names = draw_styles(list(digests), params.variants, seed=params.seed, image=source.id)
            items.append({**source.to_json(), "styles": [[name, digests[name]] for name in names]})
        size = params.batch_size or max(1, _VARIANTS_A_UNIT // params.variants)
        return [items[start : start + size] for start in range(0, len(items), size)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Make the variants of a unit's images, several images at a time, and write them."""
        stop = threading.Event()
        with ThreadPoolExecutor(_IN_FLIGHT, thread_name_prefix="augment") as pool:
            # A context each, for the request id and the trace.
            tasks = [pool.submit(copy_context().run, self._do_once, item, stop) for item in items]
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for error in filter(None, (task.exception() for task in done)):
                stop.set()  # those that wait for the server wait no longer
                pool.shutdown(cancel_futures=True)
                raise error
        self._finished.clear()
        return [task.result() for task in tasks]

    def _do_once(self, item: dict[str, Any], stop: threading.Event) -> Any:
        if item["id"] not in self._finished:
            self._finished[item["id"]] = self._augment(*source_of(item), stop)
        return self._finished[item["id"]]

    def _augment(self, source: Source, styles: list[list[str]], stop: threading.Event) -> dict[str, Any]:
        """Make and write one image's variants; all or, when something is wrong with it, nothing."""
        if source.error is not None:
            return {"error": source.error}
        try:
            content = self._datasets.read_bytes(source.image, max_bytes=MAX_IMAGE_BYTES, name="image")
            header = probe(content)
            truth = self._read_truth(source)
            styled = self._styles.restyle(
                content, header, styles, self._params.image_format, self._polygons(source, truth), stop
            )
        except _ITEM_ERRORS as error:
            return {"error": failure(error)}
        outcome: dict[str, Any] = {"images": [], "seconds": round(styled.seconds, 6)}
        if self._params.originals:
            self._write_image(source, source.file, 0, content, truth)
            outcome["images"].append({"number": 0, "file": source.file})
        for number, picture in enumerate(styled.pictures, 1):
            file = variant_file(source.file, number, self._params.image_format)
            self._write_image(source, file, number, picture.content, truth)
            outcome["images"].append({"number": number, "file": file, **picture.facts})
        if styled.pictures and (styled.width, styled.height) != (header.width, header.height):
            outcome["turned"] = True
        if truth is not None:
            words = parse_icdar(truth)
            outcome["words"] = {"all": words.words, "legible": words.legible, "fault": words.fault}
        return outcome

    def _read_truth(self, source: Source) -> bytes | None:
        if source.truth is None:
            return None
        return self._datasets.read_bytes(source.truth[0], max_bytes=_MAX_TRUTH_BYTES, name="annotations")

    def _polygons(self, source: Source, truth: bytes | None) -> Polygons | None:
        """Outlines of the words, when the mode wants them."""
        if self._params.mode != "polygons" or truth is None:
            return source.polygons
        words = parse_icdar(truth)
        if words.fault:
            raise InvalidInput(f"its annotations cannot be read: {words.fault}")
        return words.polygons

    def _write_image(
        self, source: Source, file: str, number: int, content: bytes, truth: bytes | None
    ) -> None:
        with self._write(file) as stream:
            stream.write(content)
        if source.truth is not None and truth is not None:
            name = source.truth[1]
            with self._write(variant_file(name, number) if number else name) as stream:
                stream.write(truth)

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Write the annotations, what was made and what was not, the contact sheet and, last, the summary."""
        form = open_form(self._datasets, self._params.input, self._params.format)
        report = Report(self._params.examples)
        with ExitStack() as stack:
            manifest, failed = (stack.enter_context(self._write(name)) for name in (MANIFEST, FAILED))
            annotations = self._annotations(form)
            stream = stack.enter_context(self._write(annotations)) if annotations else None
            for unit in units:
                for item, outcome in zip(unit.items, unit.results, strict=True):
                    source, _ = source_of(item)
                    report.add(source, outcome)
                    if "error" in outcome:
                        failed.write(_json_line({"id": source.id, "image": source.image, **outcome}))
                        continue
                    for image in outcome["images"]:
                        manifest.write(_json_line(self._manifest(source, image)))
                    if stream is not None:
                        stream.write(form.lines(source, [_written(image) for image in outcome["images"]]))
            if stream is not None:
                stream.writelines(form.rest())
        sheet = report.sheet(self._datasets, self._folder)
        if sheet is not None:
            with self._write(SHEET) as file:
                file.write(sheet)
        params = self._params
        summary = report.summary() | {"input": params.input, "mode": params.mode, "seed": params.seed}
        with self._write(SUMMARY) as file:
            file.write(json.dumps(summary, indent=2, ensure_ascii=False).encode() + b"\n")
        # Time is told with the job alone: the files of two runs are the same.
        told = summary | {"server_seconds": round(report.seconds, 3)}
        return JobResult(summary=told, output=self._folder, files=list(self._files(annotations)))

    def _manifest(self, source: Source, image: dict[str, Any]) -> dict[str, Any]:
        line = {"file": image["file"], "source": source.image, "variant": image["number"]}
        if image["number"] > 0:
            line |= {"mix": {image["style"]: 1.0}, "mode": self._params.mode, "seed": self._params.seed}
            line |= {name: image[name] for name in ("model", "detector", "styled_ratio") if name in image}
        return line

    def _check_places(self) -> None:
        """See that neither of input and output holds the other."""
        source = self._datasets.resolve(self._params.input, name=INPUT)
        target = self._datasets.resolve(self._params.output, name="params.output")
        if _holds(target.url, source.url):
            raise InvalidParameter(
                f"the output {self._params.output!r} is or holds the input {self._params.input!r}: "
                "choose a folder beside it",
                field="params.output",
            )
        if source.filesystem.isdir(source.path) and _holds(source.url, target.url):
            raise InvalidParameter(
                f"the output {self._params.output!r} is inside the input {self._params.input!r}: "
                "choose a folder beside it",
                field="params.output",
            )

    def _check_files(self, sources: list[Source], form: Form) -> None:
        """See that nothing of the input, and nothing twice, would be written over."""
        params = self._params
        check_names(
            sources, variants=params.variants, image_format=params.image_format, originals=params.originals
        )
        own = {*MEDIA_TYPES, self._annotations(form)}
        for source in sources:
            if source.error is not None:
                continue
            if source.file in own:
                raise InvalidParameter(f"an image may not be named {source.file!r} here", field=INPUT)
            try:
                place = self._datasets.resolve(source.image)
            except PermissionDenied:
                continue  # told when it is read
            if _holds(self._folder, place.url):
                raise InvalidParameter(
                    f"the output {params.output!r} holds {source.image!r}, which is of the input",
                    field="params.output",
                )

    def _annotations(self, form: Form) -> str | None:
        """Name of the annotations file in the output."""
        return f"augmented_{form.annotations}" if form.annotations in MEDIA_TYPES else form.annotations

    def _files(self, annotations: str | None) -> Iterator[ResultFile]:
        media_types = dict(MEDIA_TYPES)
        if annotations is not None:
            media_types[annotations] = MEDIA_TYPES[SUMMARY if annotations.endswith(".json") else MANIFEST]
        for name, media_type in media_types.items():
            size = self._datasets.size(self._path(name))
            if size is not None:
                yield ResultFile(name=name, media_type=media_type, bytes=size)

    def _write(self, name: str) -> AbstractContextManager[BinaryIO]:
        return self._datasets.write(self._path(name), name="params.output")

    @property
    def _folder(self) -> str:
        return self._datasets.resolve(self._params.output, name="params.output").url

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"


def source_of(item: dict[str, Any]) -> tuple[Source, list[list[str]]]:
    """An item of a unit: its image, and the names of its styles with the digests of their models."""
    fields = dict(item)
    styles = fields.pop("styles")
    return Source(**fields), styles


def _written(image: dict[str, Any]) -> Written:
    return Written(image["number"], image["file"], image.get("style"))


def _json_line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def _holds(folder: str, url: str) -> bool:
    return url == folder or url.startswith(folder.rstrip("/") + "/")


KIND = JobKind(
    name="augment_dataset",
    summary="Add variants with restyled text to a data set of ICDAR, COCO-Text or JSONL form",
    params=AugmentDataset,
    example={"input": "icdar2015", "output": "icdar2015-styled", "variants": 2, "seed": 7},
    start=AugmentDatasetWork,
    capabilities=("style_transfer",),
    # One server is kept busy by one worker; further ones feed its replicas.
    parallel=8,
)

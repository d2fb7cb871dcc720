"""Job kind ``classify_dataset``: score a set of posts for hate speech, and report what came out.

Posts are judged by the hate classifier servers in calls of some posts each. Neither the job table nor, unless
that is asked for, the results hold a text: posts are named by where they are and what their id is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from interplay.errors import InterplayError, InvalidParameter
from interplay.jobs.classify_report import ReportPost, Tally, render_report
from interplay.jobs.image_set import CALL_BYTES, ITEM_ERRORS, REPORT, ReportFolder, ReportParams
from interplay.jobs.post_sources import PostFields, PostSource, SourcePost
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobResult, Work
from interplay.media.images import probe
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2 as pb
from interplay.rpc.status import error_from_item
from interplay.settings import MAX_IMAGE_BYTES

PathField = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=100)]

SCORED, FAILED, PAGE = "scored.jsonl", "failed.jsonl", "report.html"

_MAX_POSTS = 2_000_000
_CALL_POSTS = 32
# The server has all images of a call read, a few at a time.
_CALL_TIMEOUT_S = 120.0
_INPUTS = {pb.INPUT_TEXT: "text", pb.INPUT_IMAGE_TEXT: "image_text", pb.INPUT_IMAGE: "image"}
_SOURCES = {
    pb.IMAGE_TEXT_SOURCE_CALLER: "given",
    pb.IMAGE_TEXT_SOURCE_READ: "read",
    pb.IMAGE_TEXT_SOURCE_NOT_READ: "not_read",
}


class ClassifyDataset(ReportParams):
    """Parameters of ``classify_dataset``."""

    input: PathField = Field(description="JSONL file with a post in each line, or a folder of images.")
    images: PathField | None = Field(
        None, description="Folder in which paths of images start; that of the JSONL file if unset."
    )
    id_field: FieldName = Field(
        "id", description="Field with a post's unique name; its line if there is none."
    )
    text_field: FieldName = Field("text", description="Field with what the author wrote.")
    image_field: FieldName = Field("image", description="Field with the path of the image.")
    image_text_field: FieldName = Field("image_text", description="Field with the words in the image.")
    label_field: FieldName | None = Field(
        None,
        description="Field with what people said: true or false, 1 or 0. Then the report compares.",
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="Probability from which a post is labelled hate; the model's if unset."
    )
    read_images: bool = Field(
        True, description="Whether images are read whose words the set does not have; that takes longest."
    )
    show_posts: bool = Field(
        False, description="Put texts, and small images of the highest scored posts, into the results."
    )
    top: int = Field(50, ge=0, le=500, description="Posts in the report, the highest scored first.")
    batch_size: int = Field(
        64, ge=1, le=512, description="Posts a unit: what is repeated at most after a crash."
    )

    def paths(self) -> dict[str, str]:
        """Input, images and output."""
        folder = {} if self.images is None else {"images": self.images}
        return {"input": self.input, **folder, **super().paths()}


class ClassifyDatasetWork(Work):
    """One attempt at the job, or a helper's part in one."""

    def __init__(self, params: ClassifyDataset, context: JobContext) -> None:
        self._params = params
        self._datasets = context.datasets
        self._client = context.models.client("hate_classifier")
        self._folder = ReportFolder(params, context)
        fields = PostFields(
            params.id_field,
            params.text_field,
            params.image_field,
            params.image_text_field,
            params.label_field,
        )
        self._source = PostSource(context.datasets, params.input, fields, params.images)

    def plan(self) -> list[list[Any]]:
        """Units of ``[id, where]``.

        Raises:
            PermissionDenied, NotFound: Input or output cannot be used.
            InvalidParameter: There are no posts, too many, or a line is wrong.
            Conflict: The output holds the report of an earlier job.
        """
        self._folder.make()
        items: list[Any] = []
        for identifier, where in self._source.posts():
            items.append([identifier, where])
            if len(items) > _MAX_POSTS:
                raise InvalidParameter(f"the input has more than {_MAX_POSTS:,} posts", field="params.input")
        if not items:
            raise InvalidParameter(f"there are no posts in {self._params.input!r}", field="params.input")
        size = self._params.batch_size
        return [items[start : start + size] for start in range(0, len(items), size)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Judge the posts of a unit."""
        outcomes: dict[int, Any] = {}
        for numbers, posts in self._calls(self._source.read([where for _, where in items]), outcomes):
            request = pb.ClassifyRequest(posts=posts, threshold=self._params.threshold)
            response = self._client.call(self._client.stub.Classify, request, timeout_s=_CALL_TIMEOUT_S)
            model = f"{response.model.name} {response.model.version}"
            for number, result in zip(numbers, response.results, strict=True):
                if result.HasField("error"):
                    error = error_from_item(result.error)
                    if error.row.retryable:
                        raise error
                    outcomes[number] = _failure(error)
                else:
                    outcomes[number] = _scored(result.answer, response.threshold, model)
        return [outcomes[number] for number in range(len(items))]

    def _calls(
        self, posts: list[SourcePost | InterplayError], outcomes: dict[int, Any]
    ) -> Iterator[tuple[list[int], list[pb.Post]]]:
        """Posts in portions of one call, with their numbers; those that cannot be read fail here."""
        numbers: list[int] = []
        messages: list[pb.Post] = []
        size = 0
        for number, post in enumerate(posts):
            try:
                message = self._message(post)
            except ITEM_ERRORS as error:
                outcomes[number] = _failure(error)
                continue
            more = message.ByteSize()
            if messages and (size + more > CALL_BYTES or len(messages) == _CALL_POSTS):
                yield numbers, messages
                numbers, messages, size = [], [], 0
            numbers.append(number)
            messages.append(message)
            size += more
        if messages:
            yield numbers, messages

    def _message(self, post: SourcePost | InterplayError) -> pb.Post:
        if isinstance(post, InterplayError):
            raise post
        image = None
        if post.image is not None:
            content = self._datasets.read_bytes(post.image, max_bytes=MAX_IMAGE_BYTES, name="image")
            probe(content)
            image = common_pb2.Image(content=content)
        try:
            return pb.Post(
                text=post.text,
                image_text=post.image_text,
                image=image,
                skip_reading=not self._params.read_images,
            )
        except (UnicodeEncodeError, ValueError):
            raise InvalidParameter("the text holds half of a surrogate pair", field="text") from None

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Write the lists, the page and, last, the report."""
        tally = Tally(self._params.top)
        wants_posts = self._params.show_posts or self._params.label_field is not None
        path = self._folder.path
        with (
            self._datasets.write(path(SCORED), name="params.output") as scored,
            self._datasets.write(path(FAILED), name="params.output") as failed,
        ):
            for unit in units:
                posts: list[Any] = [None] * len(unit.items)
                if wants_posts:
                    posts = self._source.read([where for _, where in unit.items])
                for (identifier, where), outcome, post in zip(unit.items, unit.results, posts, strict=True):
                    known = post if isinstance(post, SourcePost) else None
                    line = {"id": identifier, **self._shown(known), **outcome}
                    if "error" in outcome:
                        tally.add_error(outcome["error"]["reason"])
                        failed.write(_line(line))
                    else:
                        label = known.label if known else None
                        image = known.image if known else where.get("image")
                        tally.add(
                            ReportPost(identifier, outcome, known.text if known else None, image), label
                        )
                        scored.write(_line(line))
        summary = {**tally.summary(), "input": self._params.input, "show_posts": self._params.show_posts}
        page = render_report(tally, summary, self._picture if self._params.show_posts else None)
        self._folder.write(PAGE, page.encode())
        self._folder.write_json(REPORT, summary)
        return self._folder.result(summary, (SCORED, FAILED, PAGE, REPORT))

    def _shown(self, post: SourcePost | None) -> dict[str, Any]:
        if post is None or not self._params.show_posts:
            return {}
        return {"text": post.text, "image": post.image, "image_text": post.image_text}

    def _picture(self, url: str) -> bytes:
        return self._datasets.read_bytes(url, max_bytes=MAX_IMAGE_BYTES, name="image")


def _scored(answer: pb.PostAnswer, threshold: float, model: str) -> dict[str, Any]:
    return {
        "probability": round(answer.probability, 6),
        "interval": [round(answer.low, 4), round(answer.high, 4)],
        "label": "hate" if answer.label == pb.LABEL_HATE else "not_hate",
        "threshold": threshold,
        "categories": {kind.name: round(kind.probability, 4) for kind in answer.categories},
        "baseline": round(answer.baseline, 4),
        "contributions": {_INPUTS[e.input]: round(e.contribution, 4) for e in answer.inputs},
        "words_of_image": _SOURCES.get(answer.image_text.source),
        "model": model,
    }


def _failure(error: InterplayError) -> dict[str, Any]:
    return {"error": {"reason": error.row.reason, "message": error.message}}


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


KIND = JobKind(
    name="classify_dataset",
    summary="Score posts of a JSONL file or a folder of images for hate speech, with a report",
    params=ClassifyDataset,
    example={"input": "posts.jsonl", "output": "classified", "threshold": 0.5},
    start=ClassifyDatasetWork,
    capabilities=("hate_classifier",),
    parallel=4,
)

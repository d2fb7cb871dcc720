"""``LocSensService``: translation between the contract, the batchers and the indexes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.index.entries import Circle, Hit, Place, distance_m
from interplay.media.exif import photo_place
from interplay.models.locsens import CentredParts
from interplay.predictors.locsens.image import TaggedImage
from interplay.predictors.locsens.scorer import TripletItem
from interplay.predictors.locsens.tagger import PlacedTags, TagItem
from interplay.rpc.locsens.v1 import locsens_pb2 as pb
from interplay.rpc.locsens.v1 import locsens_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher
from interplay.serving.checks import check_count
from interplay.serving.indexes.indexes import Indexes
from interplay.serving.indexes.options import entry_message, filter_of, place_of
from interplay.serving.indexes.paging import group_duplicates, limit_of
from interplay.serving.model_service import model_info
from interplay.serving.requests import timings_message
from interplay.types import StageTimings
from services.locsens.images import Images
from services.locsens.retrieval import Query, Ranked, Retrieval
from services.locsens.tables import Ranker
from services.locsens.vocabulary import Vocabulary

MAX_TAGS, DEFAULT_TAGS = 100, 10
MAX_QUERY_TAGS = 8
MAX_IMAGES, MAX_TRIPLETS = 16, 1000
MAX_KNOWN, DEFAULT_KNOWN = 1000, 100
# More images are ranked than asked for where near-duplicates are grouped.
_GROUPED_FACTOR = 3

PlaceTags = Batcher[TagItem | TripletItem, PlacedTags | NDArray[np.float32]]


@dataclass(frozen=True)
class Models:
    """The three models.

    Attributes:
        images: The image model.
        ranker: Batcher of the scorer of images.
        place_tags: Batcher of the scorer of tags.
    """

    images: Images
    ranker: Ranker
    place_tags: PlaceTags


class LocSensServicer(pb_grpc.LocSensServiceServicer):
    """See ``protos/interplay/locsens/v1/locsens.proto``.

    Args:
        models: The models.
        indexes: The indexes.
        retrieval: Ranks their images.
        vocabulary: Tags that the models know.
        tag_vectors: (V, D) float32 of length one.
    """

    def __init__(
        self,
        models: Models,
        indexes: Indexes,
        retrieval: Retrieval,
        vocabulary: Vocabulary,
        tag_vectors: NDArray[np.float32],
    ) -> None:
        self._models, self._indexes, self._retrieval = models, indexes, retrieval
        self._vocabulary, self._tag_vectors = vocabulary, tag_vectors

    async def Tag(self, request: pb.TagRequest, context: grpc.aio.ServicerContext) -> pb.TagResponse:
        """Tags of an image."""
        limit = _ranged(request, "limit", MAX_TAGS, DEFAULT_TAGS)
        place, source = place_of_photo(request)
        timings = StageTimings()
        images = self._models.images
        found = await images.of_image(request.image.content, context, timings)
        alone = np.argsort(-found.chances, kind="stable")
        without = [
            pb.TagScore(tag=self._vocabulary.tags[tag], score=found.chances[tag]) for tag in alone[:limit]
        ]
        if place is None:
            return pb.TagResponse(
                tags=without, model=model_info(images.manifest), timings=timings_message(timings)
            )
        placed = await self._placed(request, found, place, context, timings)
        rank = np.empty(len(alone), np.int64)
        rank[alone] = np.arange(1, len(alone) + 1)
        tags = zip(placed.tags[:limit], placed.scores[:limit], strict=True)
        response = pb.TagResponse(
            tags=[
                pb.TagScore(tag=self._vocabulary.tags[tag], score=score, rank_without_place=rank[tag])
                for tag, score in tags
            ],
            without_place=without,
            source=source,
            scored=len(placed.tags),
            model=model_info(self._models.place_tags.runtime.manifest),
            timings=timings_message(timings),
        )
        response.place.latitude, response.place.longitude = place.latitude, place.longitude
        return response

    async def Retrieve(
        self, request: pb.RetrieveRequest, context: grpc.aio.ServicerContext
    ) -> pb.RetrieveResponse:
        """Images for tags at a place."""
        check_count("tags", len(request.tags), MAX_QUERY_TAGS)
        tags = tuple(self._vocabulary.number(tag, f"tags[{i}]") for i, tag in enumerate(request.tags))
        limit, wanted = limit_of(request), filter_of(request.filter)
        place = place_of(request.place) if request.HasField("place") else None
        if request.HasField("radius_m"):
            if place is None:
                raise InvalidParameter("a radius needs a place", field="radius_m")
            if wanted.circle is not None:
                raise InvalidParameter("set radius_m or the filter's circle, not both", field="filter.circle")
            wanted = replace(wanted, circle=Circle(place, request.radius_m))
        direction = np.asarray(self._tag_vectors[list(tags)].mean(0), np.float32)
        direction /= max(float(np.linalg.norm(direction)), 1e-9)
        ranked_limit = limit * _GROUPED_FACTOR if request.group_duplicates else limit
        timings = StageTimings()
        with self._models.images.requests.admit(None, context) as work:
            if place is None:
                exact = request.mode == pb.MODE_EXACT
                found = await self._indexes.read(
                    lambda: self._indexes.search(
                        request.index, direction, ranked_limit, 0, wanted, exact=exact
                    )
                )
                ranked, model = (
                    Ranked(found.hits, found.candidates or 0, found.exact),
                    self._models.images.manifest,
                )
            else:
                rank = self._retrieval.exact if request.mode == pb.MODE_EXACT else self._retrieval.fast
                query = Query(tags, direction, place, wanted, ranked_limit)
                ranked = await rank(request.index, query, work)
                model = self._models.ranker.runtime.manifest
            timings.add(work.timings)
        groups = group_duplicates(ranked.hits, near=request.group_duplicates)
        return pb.RetrieveResponse(
            hits=[_image_message(group.best, group.duplicates, place) for group in groups[:limit]],
            scored=ranked.scored,
            exact=ranked.exact,
            model=model_info(model),
            timings=timings_message(timings),
        )

    async def Score(self, request: pb.ScoreRequest, context: grpc.aio.ServicerContext) -> pb.ScoreResponse:
        """Scores of triplets."""
        check_count("images", len(request.images), MAX_IMAGES)
        check_count("triplets", len(request.triplets), MAX_TRIPLETS)
        rows, tags, places = [], [], []
        for number, triplet in enumerate(request.triplets):
            field = f"triplets[{number}]"
            if not 0 <= triplet.image < len(request.images):
                raise InvalidParameter(
                    f"image is {triplet.image}; the request has images 0 to {len(request.images) - 1}",
                    field=f"{field}.image",
                )
            if not triplet.HasField("place"):
                raise InvalidParameter("a triplet needs a place", field=f"{field}.place")
            rows.append(triplet.image)
            tags.append(self._vocabulary.number(triplet.tag, f"{field}.tag"))
            place = place_of(triplet.place)
            places.append((place.latitude, place.longitude))
        timings = StageTimings()
        images = [
            await self._models.images.of_image_patiently(image.content, context, timings)
            for image in request.images
        ]
        vectors = np.stack([images[row].vector for row in rows])
        item = TripletItem(vectors, np.array(tags), np.array(places, np.float64))
        models = self._models
        found: NDArray[np.float32] | CentredParts | PlacedTags
        with models.images.requests.admit(None, context) as work:
            if request.task == pb.TASK_RETRIEVAL:
                ranked = await work.run(models.ranker, item, bucket="triplets", pixels=len(rows))
                found, manifest = ranked, models.ranker.runtime.manifest
            else:
                tagged = await work.run(models.place_tags, item, bucket="triplets", pixels=len(rows))
                found, manifest = tagged, models.place_tags.runtime.manifest
            timings.add(work.timings)
        assert isinstance(found, np.ndarray)
        return pb.ScoreResponse(scores=found, model=model_info(manifest), timings=timings_message(timings))

    async def ListTags(
        self, request: pb.ListTagsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListTagsResponse:
        """Tags of the vocabulary."""
        limit = _ranged(request, "limit", MAX_KNOWN, DEFAULT_KNOWN)
        found, total = self._vocabulary.beginning(request.prefix, limit)
        tags = [pb.KnownTag(tag=tag, photos=photos) for tag, photos in found]
        return pb.ListTagsResponse(tags=tags, total=total)

    async def _placed(
        self,
        request: pb.TagRequest,
        found: TaggedImage,
        place: Place,
        context: grpc.aio.ServicerContext,
        timings: StageTimings,
    ) -> PlacedTags:
        item = TagItem(
            found.vector,
            found.chances,
            np.array((place.latitude, place.longitude)),
            exact=request.mode == pb.MODE_EXACT,
        )
        with self._models.images.requests.admit(None, context) as work:
            placed = await work.run(
                self._models.place_tags, item, bucket="tags", pixels=len(self._vocabulary.tags)
            )
            timings.add(work.timings)
        assert isinstance(placed, PlacedTags)
        return placed


def place_of_photo(request: pb.TagRequest) -> tuple[Place | None, pb.PlaceSource]:
    """The place that the request gives, or that its photo says itself where that is asked for.

    Raises:
        InvalidParameter: None on earth, or the photo says none.
    """
    if request.HasField("place"):
        return place_of(request.place), pb.PLACE_SOURCE_REQUEST
    if not request.photo_place:
        return None, pb.PLACE_SOURCE_UNSPECIFIED
    own = photo_place(request.image.content)
    if own is None:
        raise InvalidParameter("the photo says no place of its own (EXIF GPS)", field="photo_place")
    return Place(*own), pb.PLACE_SOURCE_PHOTO


def _ranged(request: pb.TagRequest | pb.ListTagsRequest, field: str, most: int, default: int) -> int:
    value: int = getattr(request, field) if request.HasField(field) else default
    if not 1 <= value <= most:
        raise InvalidParameter(f"{field} is {value}; it must be 1 to {most}", field=field)
    return value


def _image_message(hit: Hit, duplicates: list[str], place: Place | None) -> pb.RetrievedImage:
    message = pb.RetrievedImage(entry=entry_message(hit.entry), score=hit.score, duplicates=duplicates)
    if place is not None and hit.entry.place is not None:
        message.distance_m = distance_m(place, hit.entry.place)
    return message

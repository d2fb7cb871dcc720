from interplay.rpc.common.v1 import common_pb2 as _common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as _embedding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_FAST: _ClassVar[Mode]
    MODE_EXACT: _ClassVar[Mode]

class PlaceSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLACE_SOURCE_UNSPECIFIED: _ClassVar[PlaceSource]
    PLACE_SOURCE_REQUEST: _ClassVar[PlaceSource]
    PLACE_SOURCE_PHOTO: _ClassVar[PlaceSource]

class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_UNSPECIFIED: _ClassVar[Task]
    TASK_TAGGING: _ClassVar[Task]
    TASK_RETRIEVAL: _ClassVar[Task]
MODE_UNSPECIFIED: Mode
MODE_FAST: Mode
MODE_EXACT: Mode
PLACE_SOURCE_UNSPECIFIED: PlaceSource
PLACE_SOURCE_REQUEST: PlaceSource
PLACE_SOURCE_PHOTO: PlaceSource
TASK_UNSPECIFIED: Task
TASK_TAGGING: Task
TASK_RETRIEVAL: Task

class TagRequest(_message.Message):
    __slots__ = ("image", "place", "photo_place", "limit", "mode")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    PHOTO_PLACE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    place: _common_pb2.LatLng
    photo_place: bool
    limit: int
    mode: Mode
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., place: _Optional[_Union[_common_pb2.LatLng, _Mapping]] = ..., photo_place: _Optional[bool] = ..., limit: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ...) -> None: ...

class TagScore(_message.Message):
    __slots__ = ("tag", "score", "rank_without_place")
    TAG_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    RANK_WITHOUT_PLACE_FIELD_NUMBER: _ClassVar[int]
    tag: str
    score: float
    rank_without_place: int
    def __init__(self, tag: _Optional[str] = ..., score: _Optional[float] = ..., rank_without_place: _Optional[int] = ...) -> None: ...

class TagResponse(_message.Message):
    __slots__ = ("tags", "without_place", "place", "source", "scored", "model", "timings")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_PLACE_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SCORED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[TagScore]
    without_place: _containers.RepeatedCompositeFieldContainer[TagScore]
    place: _common_pb2.LatLng
    source: PlaceSource
    scored: int
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, tags: _Optional[_Iterable[_Union[TagScore, _Mapping]]] = ..., without_place: _Optional[_Iterable[_Union[TagScore, _Mapping]]] = ..., place: _Optional[_Union[_common_pb2.LatLng, _Mapping]] = ..., source: _Optional[_Union[PlaceSource, str]] = ..., scored: _Optional[int] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class RetrieveRequest(_message.Message):
    __slots__ = ("index", "tags", "place", "radius_m", "filter", "limit", "mode", "group_duplicates")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    RADIUS_M_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    GROUP_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    index: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    place: _common_pb2.LatLng
    radius_m: float
    filter: _embedding_pb2.Filter
    limit: int
    mode: Mode
    group_duplicates: bool
    def __init__(self, index: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., place: _Optional[_Union[_common_pb2.LatLng, _Mapping]] = ..., radius_m: _Optional[float] = ..., filter: _Optional[_Union[_embedding_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., mode: _Optional[_Union[Mode, str]] = ..., group_duplicates: _Optional[bool] = ...) -> None: ...

class RetrievedImage(_message.Message):
    __slots__ = ("entry", "score", "distance_m", "duplicates")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_M_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    entry: _embedding_pb2.Entry
    score: float
    distance_m: float
    duplicates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, entry: _Optional[_Union[_embedding_pb2.Entry, _Mapping]] = ..., score: _Optional[float] = ..., distance_m: _Optional[float] = ..., duplicates: _Optional[_Iterable[str]] = ...) -> None: ...

class RetrieveResponse(_message.Message):
    __slots__ = ("hits", "scored", "exact", "model", "timings")
    HITS_FIELD_NUMBER: _ClassVar[int]
    SCORED_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[RetrievedImage]
    scored: int
    exact: bool
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, hits: _Optional[_Iterable[_Union[RetrievedImage, _Mapping]]] = ..., scored: _Optional[int] = ..., exact: _Optional[bool] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class Triplet(_message.Message):
    __slots__ = ("image", "tag", "place")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    image: int
    tag: str
    place: _common_pb2.LatLng
    def __init__(self, image: _Optional[int] = ..., tag: _Optional[str] = ..., place: _Optional[_Union[_common_pb2.LatLng, _Mapping]] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("images", "triplets", "task")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TRIPLETS_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[_common_pb2.Image]
    triplets: _containers.RepeatedCompositeFieldContainer[Triplet]
    task: Task
    def __init__(self, images: _Optional[_Iterable[_Union[_common_pb2.Image, _Mapping]]] = ..., triplets: _Optional[_Iterable[_Union[Triplet, _Mapping]]] = ..., task: _Optional[_Union[Task, str]] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("scores", "model", "timings")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, scores: _Optional[_Iterable[float]] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class ListTagsRequest(_message.Message):
    __slots__ = ("prefix", "limit")
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    prefix: str
    limit: int
    def __init__(self, prefix: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class KnownTag(_message.Message):
    __slots__ = ("tag", "photos")
    TAG_FIELD_NUMBER: _ClassVar[int]
    PHOTOS_FIELD_NUMBER: _ClassVar[int]
    tag: str
    photos: int
    def __init__(self, tag: _Optional[str] = ..., photos: _Optional[int] = ...) -> None: ...

class ListTagsResponse(_message.Message):
    __slots__ = ("tags", "total")
    TAGS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    tags: _containers.RepeatedCompositeFieldContainer[KnownTag]
    total: int
    def __init__(self, tags: _Optional[_Iterable[_Union[KnownTag, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

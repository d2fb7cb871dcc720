from interplay.rpc.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Input(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INPUT_UNSPECIFIED: _ClassVar[Input]
    INPUT_TEXT: _ClassVar[Input]
    INPUT_IMAGE_TEXT: _ClassVar[Input]
    INPUT_IMAGE: _ClassVar[Input]

class Label(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_UNSPECIFIED: _ClassVar[Label]
    LABEL_NOT_HATE: _ClassVar[Label]
    LABEL_HATE: _ClassVar[Label]

class ImageTextSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_TEXT_SOURCE_UNSPECIFIED: _ClassVar[ImageTextSource]
    IMAGE_TEXT_SOURCE_CALLER: _ClassVar[ImageTextSource]
    IMAGE_TEXT_SOURCE_READ: _ClassVar[ImageTextSource]
    IMAGE_TEXT_SOURCE_NOT_READ: _ClassVar[ImageTextSource]
INPUT_UNSPECIFIED: Input
INPUT_TEXT: Input
INPUT_IMAGE_TEXT: Input
INPUT_IMAGE: Input
LABEL_UNSPECIFIED: Label
LABEL_NOT_HATE: Label
LABEL_HATE: Label
IMAGE_TEXT_SOURCE_UNSPECIFIED: ImageTextSource
IMAGE_TEXT_SOURCE_CALLER: ImageTextSource
IMAGE_TEXT_SOURCE_READ: ImageTextSource
IMAGE_TEXT_SOURCE_NOT_READ: ImageTextSource

class Post(_message.Message):
    __slots__ = ("text", "image_text", "image", "words", "region", "skip_reading")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    SKIP_READING_FIELD_NUMBER: _ClassVar[int]
    text: str
    image_text: str
    image: _common_pb2.Image
    words: bool
    region: bool
    skip_reading: bool
    def __init__(self, text: _Optional[str] = ..., image_text: _Optional[str] = ..., image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., words: _Optional[bool] = ..., region: _Optional[bool] = ..., skip_reading: _Optional[bool] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("posts", "threshold")
    POSTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    posts: _containers.RepeatedCompositeFieldContainer[Post]
    threshold: float
    def __init__(self, posts: _Optional[_Iterable[_Union[Post, _Mapping]]] = ..., threshold: _Optional[float] = ...) -> None: ...

class InputEffect(_message.Message):
    __slots__ = ("input", "alone", "without", "contribution")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    ALONE_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    input: Input
    alone: float
    without: float
    contribution: float
    def __init__(self, input: _Optional[_Union[Input, str]] = ..., alone: _Optional[float] = ..., without: _Optional[float] = ..., contribution: _Optional[float] = ...) -> None: ...

class WordEffect(_message.Message):
    __slots__ = ("input", "start", "end", "weight")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    input: Input
    start: int
    end: int
    weight: float
    def __init__(self, input: _Optional[_Union[Input, str]] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class RegionEffect(_message.Message):
    __slots__ = ("overlay", "width", "height", "rows", "columns", "weights")
    OVERLAY_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    overlay: bytes
    width: int
    height: int
    rows: int
    columns: int
    weights: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, overlay: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., weights: _Optional[_Iterable[float]] = ...) -> None: ...

class ImageText(_message.Message):
    __slots__ = ("text", "source", "reason")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    text: str
    source: ImageTextSource
    reason: str
    def __init__(self, text: _Optional[str] = ..., source: _Optional[_Union[ImageTextSource, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Category(_message.Message):
    __slots__ = ("name", "probability")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    name: str
    probability: float
    def __init__(self, name: _Optional[str] = ..., probability: _Optional[float] = ...) -> None: ...

class PostAnswer(_message.Message):
    __slots__ = ("probability", "low", "high", "label", "categories", "baseline", "inputs", "words", "region", "image_text")
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_TEXT_FIELD_NUMBER: _ClassVar[int]
    probability: float
    low: float
    high: float
    label: Label
    categories: _containers.RepeatedCompositeFieldContainer[Category]
    baseline: float
    inputs: _containers.RepeatedCompositeFieldContainer[InputEffect]
    words: _containers.RepeatedCompositeFieldContainer[WordEffect]
    region: RegionEffect
    image_text: ImageText
    def __init__(self, probability: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., label: _Optional[_Union[Label, str]] = ..., categories: _Optional[_Iterable[_Union[Category, _Mapping]]] = ..., baseline: _Optional[float] = ..., inputs: _Optional[_Iterable[_Union[InputEffect, _Mapping]]] = ..., words: _Optional[_Iterable[_Union[WordEffect, _Mapping]]] = ..., region: _Optional[_Union[RegionEffect, _Mapping]] = ..., image_text: _Optional[_Union[ImageText, _Mapping]] = ...) -> None: ...

class PostResult(_message.Message):
    __slots__ = ("answer", "error")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    answer: PostAnswer
    error: _common_pb2.ItemError
    def __init__(self, answer: _Optional[_Union[PostAnswer, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("results", "threshold", "model", "timings")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[PostResult]
    threshold: float
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, results: _Optional[_Iterable[_Union[PostResult, _Mapping]]] = ..., threshold: _Optional[float] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

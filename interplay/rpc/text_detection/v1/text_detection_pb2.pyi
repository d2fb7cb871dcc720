from interplay.rpc.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class HeatmapFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    HEATMAP_FORMAT_UNSPECIFIED: _ClassVar[HeatmapFormat]
    HEATMAP_FORMAT_PNG: _ClassVar[HeatmapFormat]
    HEATMAP_FORMAT_FLOAT16: _ClassVar[HeatmapFormat]

class DetectMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DETECT_METHOD_UNSPECIFIED: _ClassVar[DetectMethod]
    DETECT_METHOD_COMPONENTS: _ClassVar[DetectMethod]
HEATMAP_FORMAT_UNSPECIFIED: HeatmapFormat
HEATMAP_FORMAT_PNG: HeatmapFormat
HEATMAP_FORMAT_FLOAT16: HeatmapFormat
DETECT_METHOD_UNSPECIFIED: DetectMethod
DETECT_METHOD_COMPONENTS: DetectMethod

class DetectOptions(_message.Message):
    __slots__ = ("method", "pixel_threshold", "score_threshold", "max_regions")
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PIXEL_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SCORE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    MAX_REGIONS_FIELD_NUMBER: _ClassVar[int]
    method: DetectMethod
    pixel_threshold: float
    score_threshold: float
    max_regions: int
    def __init__(self, method: _Optional[_Union[DetectMethod, str]] = ..., pixel_threshold: _Optional[float] = ..., score_threshold: _Optional[float] = ..., max_regions: _Optional[int] = ...) -> None: ...

class Region(_message.Message):
    __slots__ = ("polygon", "score")
    POLYGON_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    polygon: _common_pb2.Polygon
    score: float
    def __init__(self, polygon: _Optional[_Union[_common_pb2.Polygon, _Mapping]] = ..., score: _Optional[float] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("region", "text", "confidence")
    REGION_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    region: Region
    text: str
    confidence: float
    def __init__(self, region: _Optional[_Union[Region, _Mapping]] = ..., text: _Optional[str] = ..., confidence: _Optional[float] = ...) -> None: ...

class SegmentRequest(_message.Message):
    __slots__ = ("image", "format")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    format: HeatmapFormat
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., format: _Optional[_Union[HeatmapFormat, str]] = ...) -> None: ...

class SegmentResponse(_message.Message):
    __slots__ = ("heatmap", "format", "width", "height", "model", "timings")
    HEATMAP_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    heatmap: bytes
    format: HeatmapFormat
    width: int
    height: int
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, heatmap: _Optional[bytes] = ..., format: _Optional[_Union[HeatmapFormat, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class DetectRequest(_message.Message):
    __slots__ = ("image", "options")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    options: DetectOptions
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., options: _Optional[_Union[DetectOptions, _Mapping]] = ...) -> None: ...

class DetectResponse(_message.Message):
    __slots__ = ("regions", "width", "height", "model", "timings")
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[Region]
    width: int
    height: int
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, regions: _Optional[_Iterable[_Union[Region, _Mapping]]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("image", "options", "min_confidence", "polygons")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    POLYGONS_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    options: DetectOptions
    min_confidence: float
    polygons: _containers.RepeatedCompositeFieldContainer[_common_pb2.Polygon]
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., options: _Optional[_Union[DetectOptions, _Mapping]] = ..., min_confidence: _Optional[float] = ..., polygons: _Optional[_Iterable[_Union[_common_pb2.Polygon, _Mapping]]] = ...) -> None: ...

class ReadResponse(_message.Message):
    __slots__ = ("words", "text", "width", "height", "model", "reader", "timings")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    READER_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedCompositeFieldContainer[Word]
    text: str
    width: int
    height: int
    model: _common_pb2.ModelInfo
    reader: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., text: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., reader: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class PresenceRequest(_message.Message):
    __slots__ = ("image", "pixel_threshold")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PIXEL_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    pixel_threshold: float
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., pixel_threshold: _Optional[float] = ...) -> None: ...

class PresenceResponse(_message.Message):
    __slots__ = ("mean_probability", "max_probability", "text_area_ratio", "mean_brightness", "width", "height", "model", "timings")
    MEAN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    MAX_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    TEXT_AREA_RATIO_FIELD_NUMBER: _ClassVar[int]
    MEAN_BRIGHTNESS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    mean_probability: float
    max_probability: float
    text_area_ratio: float
    mean_brightness: float
    width: int
    height: int
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, mean_probability: _Optional[float] = ..., max_probability: _Optional[float] = ..., text_area_ratio: _Optional[float] = ..., mean_brightness: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class ProcessBulkRequest(_message.Message):
    __slots__ = ("id", "segment", "detect", "read", "presence")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    DETECT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    segment: SegmentRequest
    detect: DetectRequest
    read: ReadRequest
    presence: PresenceRequest
    def __init__(self, id: _Optional[str] = ..., segment: _Optional[_Union[SegmentRequest, _Mapping]] = ..., detect: _Optional[_Union[DetectRequest, _Mapping]] = ..., read: _Optional[_Union[ReadRequest, _Mapping]] = ..., presence: _Optional[_Union[PresenceRequest, _Mapping]] = ...) -> None: ...

class ProcessBulkResponse(_message.Message):
    __slots__ = ("id", "segment", "detect", "read", "presence", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    DETECT_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    segment: SegmentResponse
    detect: DetectResponse
    read: ReadResponse
    presence: PresenceResponse
    error: _common_pb2.ItemError
    def __init__(self, id: _Optional[str] = ..., segment: _Optional[_Union[SegmentResponse, _Mapping]] = ..., detect: _Optional[_Union[DetectResponse, _Mapping]] = ..., read: _Optional[_Union[ReadResponse, _Mapping]] = ..., presence: _Optional[_Union[PresenceResponse, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ...) -> None: ...

from interplay.rpc.common.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StyleMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STYLE_MODE_UNSPECIFIED: _ClassVar[StyleMode]
    STYLE_MODE_WHOLE: _ClassVar[StyleMode]
    STYLE_MODE_SELECTIVE: _ClassVar[StyleMode]
    STYLE_MODE_END_TO_END: _ClassVar[StyleMode]
    STYLE_MODE_POLYGONS: _ClassVar[StyleMode]

class PictureFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PICTURE_FORMAT_UNSPECIFIED: _ClassVar[PictureFormat]
    PICTURE_FORMAT_PNG: _ClassVar[PictureFormat]
    PICTURE_FORMAT_JPEG: _ClassVar[PictureFormat]
    PICTURE_FORMAT_WEBP: _ClassVar[PictureFormat]
STYLE_MODE_UNSPECIFIED: StyleMode
STYLE_MODE_WHOLE: StyleMode
STYLE_MODE_SELECTIVE: StyleMode
STYLE_MODE_END_TO_END: StyleMode
STYLE_MODE_POLYGONS: StyleMode
PICTURE_FORMAT_UNSPECIFIED: PictureFormat
PICTURE_FORMAT_PNG: PictureFormat
PICTURE_FORMAT_JPEG: PictureFormat
PICTURE_FORMAT_WEBP: PictureFormat

class StyleWeight(_message.Message):
    __slots__ = ("style", "weight")
    STYLE_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    style: str
    weight: float
    def __init__(self, style: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class StyleMix(_message.Message):
    __slots__ = ("parts",)
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[StyleWeight]
    def __init__(self, parts: _Optional[_Iterable[_Union[StyleWeight, _Mapping]]] = ...) -> None: ...

class ListStylesRequest(_message.Message):
    __slots__ = ("without_thumbnails",)
    WITHOUT_THUMBNAILS_FIELD_NUMBER: _ClassVar[int]
    without_thumbnails: bool
    def __init__(self, without_thumbnails: _Optional[bool] = ...) -> None: ...

class Style(_message.Message):
    __slots__ = ("name", "domain", "thumbnail", "model", "end_to_end")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    THUMBNAIL_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    END_TO_END_FIELD_NUMBER: _ClassVar[int]
    name: str
    domain: str
    thumbnail: bytes
    model: _common_pb2.ModelInfo
    end_to_end: bool
    def __init__(self, name: _Optional[str] = ..., domain: _Optional[str] = ..., thumbnail: _Optional[bytes] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., end_to_end: _Optional[bool] = ...) -> None: ...

class ListStylesResponse(_message.Message):
    __slots__ = ("styles",)
    STYLES_FIELD_NUMBER: _ClassVar[int]
    styles: _containers.RepeatedCompositeFieldContainer[Style]
    def __init__(self, styles: _Optional[_Iterable[_Union[Style, _Mapping]]] = ...) -> None: ...

class StylizeRequest(_message.Message):
    __slots__ = ("image", "mixes", "mode", "heat_floor", "polygons", "format", "quality")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MIXES_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    HEAT_FLOOR_FIELD_NUMBER: _ClassVar[int]
    POLYGONS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    mixes: _containers.RepeatedCompositeFieldContainer[StyleMix]
    mode: StyleMode
    heat_floor: float
    polygons: _containers.RepeatedCompositeFieldContainer[_common_pb2.Polygon]
    format: PictureFormat
    quality: int
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., mixes: _Optional[_Iterable[_Union[StyleMix, _Mapping]]] = ..., mode: _Optional[_Union[StyleMode, str]] = ..., heat_floor: _Optional[float] = ..., polygons: _Optional[_Iterable[_Union[_common_pb2.Polygon, _Mapping]]] = ..., format: _Optional[_Union[PictureFormat, str]] = ..., quality: _Optional[int] = ...) -> None: ...

class StylizeResponse(_message.Message):
    __slots__ = ("images", "format", "width", "height", "styled_ratio", "model", "detector", "timings")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STYLED_RATIO_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedScalarFieldContainer[bytes]
    format: PictureFormat
    width: int
    height: int
    styled_ratio: float
    model: _common_pb2.ModelInfo
    detector: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, images: _Optional[_Iterable[bytes]] = ..., format: _Optional[_Union[PictureFormat, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., styled_ratio: _Optional[float] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., detector: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class RenderTextRequest(_message.Message):
    __slots__ = ("text", "mix", "line_height", "image", "region", "format", "quality")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MIX_FIELD_NUMBER: _ClassVar[int]
    LINE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    text: str
    mix: StyleMix
    line_height: int
    image: _common_pb2.Image
    region: _common_pb2.Polygon
    format: PictureFormat
    quality: int
    def __init__(self, text: _Optional[str] = ..., mix: _Optional[_Union[StyleMix, _Mapping]] = ..., line_height: _Optional[int] = ..., image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., region: _Optional[_Union[_common_pb2.Polygon, _Mapping]] = ..., format: _Optional[_Union[PictureFormat, str]] = ..., quality: _Optional[int] = ...) -> None: ...

class RenderTextResponse(_message.Message):
    __slots__ = ("image", "format", "width", "height", "mix", "region", "model", "detector", "timings")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MIX_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    format: PictureFormat
    width: int
    height: int
    mix: StyleMix
    region: _common_pb2.Polygon
    model: _common_pb2.ModelInfo
    detector: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, image: _Optional[bytes] = ..., format: _Optional[_Union[PictureFormat, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., mix: _Optional[_Union[StyleMix, _Mapping]] = ..., region: _Optional[_Union[_common_pb2.Polygon, _Mapping]] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., detector: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

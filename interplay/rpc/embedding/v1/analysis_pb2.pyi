from interplay.rpc.common.v1 import common_pb2 as _common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as _embedding_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActivationsRequest(_message.Message):
    __slots__ = ("images", "units")
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[_common_pb2.Image]
    units: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, images: _Optional[_Iterable[_Union[_common_pb2.Image, _Mapping]]] = ..., units: _Optional[_Iterable[int]] = ...) -> None: ...

class ActivationMap(_message.Message):
    __slots__ = ("unit", "height", "width", "values")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    unit: int
    height: int
    width: int
    values: bytes
    def __init__(self, unit: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., values: _Optional[bytes] = ...) -> None: ...

class Activations(_message.Message):
    __slots__ = ("pooled", "maps")
    POOLED_FIELD_NUMBER: _ClassVar[int]
    MAPS_FIELD_NUMBER: _ClassVar[int]
    pooled: bytes
    maps: _containers.RepeatedCompositeFieldContainer[ActivationMap]
    def __init__(self, pooled: _Optional[bytes] = ..., maps: _Optional[_Iterable[_Union[ActivationMap, _Mapping]]] = ...) -> None: ...

class ActivationsResult(_message.Message):
    __slots__ = ("activations", "error")
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    activations: Activations
    error: _common_pb2.ItemError
    def __init__(self, activations: _Optional[_Union[Activations, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ...) -> None: ...

class ActivationsResponse(_message.Message):
    __slots__ = ("results", "model", "timings")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ActivationsResult]
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, results: _Optional[_Iterable[_Union[ActivationsResult, _Mapping]]] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class DreamRequest(_message.Message):
    __slots__ = ("image", "layer", "unit", "text", "side", "octaves", "octave_scale", "steps", "rate", "jitter", "seed", "done", "picture", "until")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    OCTAVES_FIELD_NUMBER: _ClassVar[int]
    OCTAVE_SCALE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    JITTER_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    image: _common_pb2.Image
    layer: int
    unit: int
    text: _embedding_pb2.Text
    side: int
    octaves: int
    octave_scale: float
    steps: int
    rate: float
    jitter: int
    seed: int
    done: int
    picture: _common_pb2.Image
    until: int
    def __init__(self, image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., layer: _Optional[int] = ..., unit: _Optional[int] = ..., text: _Optional[_Union[_embedding_pb2.Text, _Mapping]] = ..., side: _Optional[int] = ..., octaves: _Optional[int] = ..., octave_scale: _Optional[float] = ..., steps: _Optional[int] = ..., rate: _Optional[float] = ..., jitter: _Optional[int] = ..., seed: _Optional[int] = ..., done: _Optional[int] = ..., picture: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., until: _Optional[int] = ...) -> None: ...

class DreamResponse(_message.Message):
    __slots__ = ("done", "total", "score", "picture", "model")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    score: float
    picture: bytes
    model: _common_pb2.ModelInfo
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., score: _Optional[float] = ..., picture: _Optional[bytes] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ...) -> None: ...

from interplay.rpc.common.v1 import common_pb2 as _common_pb2
from interplay.rpc.common.v1 import index_pb2 as _index_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Text(_message.Message):
    __slots__ = ("content", "language")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    content: str
    language: str
    def __init__(self, content: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...

class Understood(_message.Message):
    __slots__ = ("words", "read_as", "unknown")
    WORDS_FIELD_NUMBER: _ClassVar[int]
    READ_AS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    read_as: _containers.RepeatedCompositeFieldContainer[ReadAs]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ..., read_as: _Optional[_Iterable[_Union[ReadAs, _Mapping]]] = ..., unknown: _Optional[_Iterable[str]] = ...) -> None: ...

class ReadAs(_message.Message):
    __slots__ = ("word", "stand_ins")
    WORD_FIELD_NUMBER: _ClassVar[int]
    STAND_INS_FIELD_NUMBER: _ClassVar[int]
    word: str
    stand_ins: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, word: _Optional[str] = ..., stand_ins: _Optional[_Iterable[str]] = ...) -> None: ...

class EmbedTextRequest(_message.Message):
    __slots__ = ("texts",)
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedCompositeFieldContainer[Text]
    def __init__(self, texts: _Optional[_Iterable[_Union[Text, _Mapping]]] = ...) -> None: ...

class EmbedTextResponse(_message.Message):
    __slots__ = ("vectors", "understood", "model")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    UNDERSTOOD_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[_index_pb2.Vector]
    understood: _containers.RepeatedCompositeFieldContainer[Understood]
    model: _common_pb2.ModelInfo
    def __init__(self, vectors: _Optional[_Iterable[_Union[_index_pb2.Vector, _Mapping]]] = ..., understood: _Optional[_Iterable[_Union[Understood, _Mapping]]] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ...) -> None: ...

class EmbedImageRequest(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[_common_pb2.Image]
    def __init__(self, images: _Optional[_Iterable[_Union[_common_pb2.Image, _Mapping]]] = ...) -> None: ...

class ImageResult(_message.Message):
    __slots__ = ("vector", "error")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    vector: _index_pb2.Vector
    error: _common_pb2.ItemError
    def __init__(self, vector: _Optional[_Union[_index_pb2.Vector, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ...) -> None: ...

class EmbedImageResponse(_message.Message):
    __slots__ = ("results", "model", "timings")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageResult]
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, results: _Optional[_Iterable[_Union[ImageResult, _Mapping]]] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class EmbedBulkRequest(_message.Message):
    __slots__ = ("id", "image", "text")
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    id: str
    image: _common_pb2.Image
    text: Text
    def __init__(self, id: _Optional[str] = ..., image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., text: _Optional[_Union[Text, _Mapping]] = ...) -> None: ...

class EmbedBulkResponse(_message.Message):
    __slots__ = ("id", "vector", "error", "understood")
    ID_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    UNDERSTOOD_FIELD_NUMBER: _ClassVar[int]
    id: str
    vector: _index_pb2.Vector
    error: _common_pb2.ItemError
    understood: Understood
    def __init__(self, id: _Optional[str] = ..., vector: _Optional[_Union[_index_pb2.Vector, _Mapping]] = ..., error: _Optional[_Union[_common_pb2.ItemError, _Mapping]] = ..., understood: _Optional[_Union[Understood, _Mapping]] = ...) -> None: ...

class QueryPart(_message.Message):
    __slots__ = ("text", "image", "entry", "vector", "weight")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    text: Text
    image: _common_pb2.Image
    entry: str
    vector: _index_pb2.Vector
    weight: float
    def __init__(self, text: _Optional[_Union[Text, _Mapping]] = ..., image: _Optional[_Union[_common_pb2.Image, _Mapping]] = ..., entry: _Optional[str] = ..., vector: _Optional[_Union[_index_pb2.Vector, _Mapping]] = ..., weight: _Optional[float] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("index", "query", "filter", "limit", "page_token", "group_duplicates", "relevant_only")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GROUP_DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    RELEVANT_ONLY_FIELD_NUMBER: _ClassVar[int]
    index: str
    query: _containers.RepeatedCompositeFieldContainer[QueryPart]
    filter: _index_pb2.Filter
    limit: int
    page_token: str
    group_duplicates: bool
    relevant_only: bool
    def __init__(self, index: _Optional[str] = ..., query: _Optional[_Iterable[_Union[QueryPart, _Mapping]]] = ..., filter: _Optional[_Union[_index_pb2.Filter, _Mapping]] = ..., limit: _Optional[int] = ..., page_token: _Optional[str] = ..., group_duplicates: _Optional[bool] = ..., relevant_only: _Optional[bool] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("entry", "score", "probability", "duplicates")
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    entry: _index_pb2.Entry
    score: float
    probability: float
    duplicates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, entry: _Optional[_Union[_index_pb2.Entry, _Mapping]] = ..., score: _Optional[float] = ..., probability: _Optional[float] = ..., duplicates: _Optional[_Iterable[str]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("hits", "next_page_token", "understood", "candidates", "exact", "model", "timings")
    HITS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    UNDERSTOOD_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    next_page_token: str
    understood: _containers.RepeatedCompositeFieldContainer[Understood]
    candidates: int
    exact: bool
    model: _common_pb2.ModelInfo
    timings: _common_pb2.Timings
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., understood: _Optional[_Iterable[_Union[Understood, _Mapping]]] = ..., candidates: _Optional[int] = ..., exact: _Optional[bool] = ..., model: _Optional[_Union[_common_pb2.ModelInfo, _Mapping]] = ..., timings: _Optional[_Union[_common_pb2.Timings, _Mapping]] = ...) -> None: ...

class ListLanguagesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLanguagesResponse(_message.Message):
    __slots__ = ("languages",)
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    languages: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, languages: _Optional[_Iterable[str]] = ...) -> None: ...

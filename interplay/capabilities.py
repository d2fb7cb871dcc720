"""The capability table: the one list of what Interplay serves.

Launcher, gateway, compose, Kubernetes manifests, README and tests are all checked against this
table; a new capability is a new row here plus its proto, predictor, service and routes.
"""

from __future__ import annotations

from dataclasses import dataclass

from interplay.errors import NotFound


@dataclass(frozen=True, kw_only=True)
class Capability:
    """One model server.

    Attributes:
        name: Python spelling; also the proto package and the module ``services.<name>``.
        grpc_service: Full gRPC service name.
        grpc_port: Default port of the gRPC server (containers; the launcher picks free ports).
        metrics_port: Default port of the Prometheus endpoint.
        models: Model-store names that the server loads.
        summary: One line for people (README, ``interplay up``, OpenAPI tag).
        thesis: Chapter or section numbers.
        indexes: Whether it keeps indexes, so that its server has ``IndexService``, too.
        calls: Names of the capabilities whose servers its own server asks.
    """

    name: str
    grpc_service: str
    grpc_port: int
    metrics_port: int
    models: tuple[str, ...]
    summary: str
    thesis: str
    indexes: bool = False
    calls: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """Spelling in compose, Kubernetes and image names, e.g. ``text-detection``."""
        return self.name.replace("_", "-")

    @property
    def module(self) -> str:
        """Python module that ``python -m`` starts."""
        return f"services.{self.name}"


CAPABILITIES: tuple[Capability, ...] = (
    Capability(
        name="text_detection",
        grpc_service="interplay.text_detection.v1.TextDetectionService",
        grpc_port=50051,
        metrics_port=9101,
        models=("textfcn-compact",),
        summary="Where text is and what it says: heatmap, word regions, recognised words, text presence",
        thesis="3.1, 6.3",
    ),
    Capability(
        name="style_transfer",
        grpc_service="interplay.style_transfer.v1.StyleTransferService",
        grpc_port=50052,
        metrics_port=9102,
        models=("style-scene", "style-print", "style-handwriting", "style-selective"),
        summary="Give text another look: restyle photos or only their text, draw words in a style",
        thesis="3.2",
        calls=("text_detection",),
    ),
    Capability(
        name="embedding",
        grpc_service="interplay.embedding.v1.EmbeddingService",
        grpc_port=50053,
        metrics_port=9103,
        models=("embedding-image", "embedding-words"),
        summary="Images and words in one space: vectors, and indexes searched with sums of them",
        thesis="4.2, 4.3",
        indexes=True,
    ),
    Capability(
        name="locsens",
        grpc_service="interplay.locsens.v1.LocSensService",
        grpc_port=50054,
        metrics_port=9104,
        models=("locsens-image", "locsens-retrieval", "locsens-tagging"),
        summary="Where and what: tags for a photo at a place, photos for a tag near a place",
        thesis="5",
        indexes=True,
    ),
    Capability(
        name="hate_classifier",
        grpc_service="interplay.hate_classifier.v1.HateClassifierService",
        grpc_port=50055,
        metrics_port=9105,
        models=("hate-classifier",),
        summary="Hate speech in posts of text and image: how likely, of what kind, and what says so",
        thesis="6",
        calls=("text_detection",),
    ),
)

GATEWAY_PORT = 8080
GATEWAY_METRICS_PORT = 9100
WORKER_METRICS_PORT = 9110


def get_capability(name: str) -> Capability:
    """Row with this name.

    Raises:
        NotFound: Unknown name; the message lists the known ones.
    """
    for capability in CAPABILITIES:
        if name in (capability.name, capability.slug):
            return capability
    known = ", ".join(c.name for c in CAPABILITIES)
    raise NotFound(f"unknown capability {name!r}; known: {known}")


# Whose indexes are meant where nobody says.
DEFAULT_INDEX_CAPABILITY = "embedding"


def index_capabilities() -> tuple[str, ...]:
    """Names of the capabilities that keep indexes."""
    return tuple(capability.name for capability in CAPABILITIES if capability.indexes)


def check_keeps_indexes(name: str) -> str:
    """A name, if it is that of a capability that keeps indexes; for fields of pydantic models.

    Raises:
        ValueError: It is not; the message lists those that are.
    """
    if name not in index_capabilities():
        raise ValueError(f"must be a capability that keeps indexes: {', '.join(index_capabilities())}")
    return name

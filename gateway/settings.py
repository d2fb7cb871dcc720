"""Configuration of the gateway process."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from interplay.api_keys import ApiKeyFileError, load_api_keys
from interplay.capabilities import CAPABILITIES, GATEWAY_METRICS_PORT, GATEWAY_PORT
from interplay.media.fetch import AllowList
from interplay.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_SNAPSHOT_BYTES, StateSettings

# Room for part headers, option fields and a list of polygons beside the image.
FORM_OVERHEAD_BYTES = 256 * 1024
DEFAULT_KEYED_RATE = 100.0


class GatewaySettings(StateSettings):
    """Fields of the gateway; ``StateSettings`` adds addresses, job table and Valkey."""

    host: str = Field("127.0.0.1", description="Address to bind; beyond loopback only with an API key file.")
    port: int = Field(GATEWAY_PORT, ge=0, le=65535, description="Port to bind; 0 picks a free one.")
    metrics_port: int = Field(
        GATEWAY_METRICS_PORT, ge=0, le=65535, description="Port of the Prometheus endpoint; 0 turns it off."
    )
    api_keys_file: Path | None = Field(
        None, description="JSON list of hashed API keys (interplay keys create); needed beyond loopback."
    )
    forwarded_allow_ips: str = Field(
        "", description="Proxies whose X-Forwarded-For is believed, separated by commas; none if empty."
    )

    max_image_bytes: int = Field(MAX_IMAGE_BYTES, ge=1024, le=MAX_IMAGE_BYTES)
    max_image_pixels: int = Field(MAX_IMAGE_PIXELS, ge=1, le=MAX_IMAGE_PIXELS)
    max_json_bytes: int = Field(
        1024 * 1024, ge=1024, description="Largest body of requests that carry no image."
    )
    upload_timeout_s: float = Field(60.0, gt=0, description="Longest time for a request body to arrive.")
    request_timeout_s: float = Field(60.0, gt=0, le=600, description="Deadline of a call to a model server.")
    max_snapshot_bytes: int = Field(
        MAX_SNAPSHOT_BYTES, ge=1024, description="Largest snapshot of an index that is taken."
    )
    snapshot_timeout_s: float = Field(
        3600.0, gt=0, description="Longest time for a snapshot to be made, sent, or taken and restored."
    )
    max_inflight: int = Field(
        128, ge=1, description="Calls to one capability at a time; more are refused with 429."
    )
    max_body_bytes: int = Field(
        256 * 1024 * 1024, ge=64 * 1024 * 1024, description="Bytes of all request bodies held at a time."
    )
    shutdown_delay_s: float = Field(
        0.0,
        ge=0,
        description="Seconds to go on serving, not ready, after SIGTERM: the lag of load balancers.",
    )
    shutdown_grace_s: float = Field(
        30.0, ge=0, description="Longest wait for requests in progress at shutdown."
    )

    rate_limit: float | None = Field(
        None,
        ge=0,
        description="Requests a second for one caller; 0: unlimited. Default: 100 with keys, 0 without.",
    )
    rate_burst_s: float = Field(2.0, gt=0, description="Seconds' worth of requests that may come at once.")

    url_allowlist: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts of image URLs: [http://]host[:port] or *.domain, with commas; none if empty.",
    )
    url_timeout_s: float = Field(10.0, gt=0, le=60, description="Total time of fetching one image.")

    @field_validator("url_allowlist", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @field_validator("url_allowlist")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        AllowList.parse(value)
        return value

    @field_validator("capability_addresses")
    @classmethod
    def _check_addresses(cls, value: dict[str, str]) -> dict[str, str]:
        known = {capability.name for capability in CAPABILITIES}
        if unknown := sorted(set(value) - known):
            raise ValueError(f"unknown capability {unknown[0]!r}; known: {', '.join(sorted(known))}")
        return value or {c.name: f"127.0.0.1:{c.grpc_port}" for c in CAPABILITIES}

    @field_validator("api_keys_file")
    @classmethod
    def _need_keys_beyond_loopback(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        try:
            keys = load_api_keys(value) if value else ()
        except ApiKeyFileError as error:
            raise ValueError(str(error)) from error
        host = info.data.get("host", "127.0.0.1")
        if not keys and not is_loopback(host):
            raise ValueError(
                f"INTERPLAY_HOST is {host}, reachable from other machines: name a file with at least one key "
                "(interplay keys create), or bind 127.0.0.1"
            )
        return value

    @property
    def effective_rate_limit(self) -> float:
        """Requests a second for one caller; 0 means unlimited."""
        if self.rate_limit is not None:
            return self.rate_limit
        return DEFAULT_KEYED_RATE if self.api_keys_file else 0.0

    @property
    def max_form_bytes(self) -> int:
        """Largest multipart body."""
        return self.max_image_bytes + FORM_OVERHEAD_BYTES

    @property
    def max_image_json_bytes(self) -> int:
        """Largest JSON body with a base64 image."""
        return (self.max_image_bytes + 2) // 3 * 4 + FORM_OVERHEAD_BYTES


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address that is bound."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

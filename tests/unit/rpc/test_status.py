"""Errors cross the wire whole: every row, through ``google.rpc.Status`` and through real gRPC."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from interplay import errors
from interplay.errors import ERROR_DOMAIN, ERROR_TABLE, ErrorRow, InterplayError
from interplay.rpc.clients import ModelServerClient, SyncModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.status import error_from_item, error_from_status, item_error, status_from_error
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from tests.scripted_service import CAPABILITY, scripted_server

ROWS = [pytest.param(row, id=row.reason) for row in ERROR_TABLE]


def full_error(row: ErrorRow) -> InterplayError:
    return row.type(
        "größer als erlaubt: 7 > 5", field="options.x", retry_after_s=1.25, metadata={"limit": "5"}
    )


def same(found: InterplayError, expected: InterplayError) -> bool:
    return (
        type(found) is type(expected)
        and found.message == expected.message
        and found.field == expected.field
        and found.retry_after_s == expected.retry_after_s
        and found.metadata == expected.metadata
    )


@pytest.mark.parametrize("row", ROWS)
def test_status_round_trip(row: ErrorRow) -> None:
    status = status_from_error(full_error(row))
    assert code_pb2.Code.Name(status.code) == row.grpc_code
    assert same(error_from_status(status_pb2.Status.FromString(status.SerializeToString())), full_error(row))


@pytest.mark.parametrize("row", ROWS)
def test_plain_error_gains_nothing_on_the_way(row: ErrorRow) -> None:
    plain = row.type("message")
    status = status_from_error(plain)
    assert len(status.details) == 1
    assert same(error_from_status(status), plain)


def test_details_are_those_that_other_clients_know() -> None:
    status = status_from_error(
        errors.Overloaded("full", field="image", retry_after_s=0.5, metadata={"limit": "3"})
    )
    info, bad_request, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad_request)
    assert status.details[2].Unpack(retry)
    assert (info.reason, info.domain, dict(info.metadata)) == ("OVERLOADED", ERROR_DOMAIN, {"limit": "3"})
    assert [(v.field, v.description) for v in bad_request.field_violations] == [("image", "full")]
    assert retry.retry_delay.ToMilliseconds() == 500


def test_status_without_details_is_judged_by_its_code() -> None:
    found = error_from_status(status_pb2.Status(code=code_pb2.NOT_FOUND, message="no such thing"))
    assert same(found, errors.NotFound("no such thing"))


def test_unknown_details_are_passed_over() -> None:
    status = status_from_error(errors.NotFound("gone"))
    status.details.insert(0, AnyMessage(type_url="type.googleapis.com/other.Detail", value=b"\x08\x01"))
    assert same(error_from_status(status), errors.NotFound("gone"))


@pytest.mark.parametrize("row", ROWS)
def test_item_error_round_trip(row: ErrorRow) -> None:
    item = item_error(row.type("message", retry_after_s=1.5))
    assert code_pb2.Code.Name(item.code) == row.grpc_code
    found = error_from_item(common_pb2.ItemError.FromString(item.SerializeToString()))
    assert same(found, row.type("message", retry_after_s=1.5))
    assert error_from_item(item_error(row.type("message"))).retry_after_s is None


async def test_every_error_crosses_a_real_server_to_both_clients() -> None:
    raised: list[InterplayError] = []

    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        raise raised[-1]

    async with scripted_server(act) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        blocking = SyncModelServerClient(CAPABILITY, service.address)
        for row in ERROR_TABLE:
            if row.type is errors.Unavailable:
                continue  # the channel retries it; the next test has it
            raised.append(full_error(row))
            with pytest.raises(InterplayError) as caught:
                await client.call(client.stub.Presence, pb.PresenceRequest())
            assert same(caught.value, raised[-1]), row.reason
            with pytest.raises(InterplayError) as caught:
                await asyncio.to_thread(blocking.call, blocking.stub.Presence, pb.PresenceRequest())
            assert same(caught.value, raised[-1]), row.reason
        blocking.close()
        await client.close()


async def test_unavailable_from_a_server_keeps_its_details() -> None:
    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        raise errors.Unavailable("loading", retry_after_s=7.0)

    async with scripted_server(act) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        with pytest.raises(errors.Unavailable) as caught:
            await client.call(client.stub.Presence, pb.PresenceRequest())
        await client.close()
    assert (caught.value.message, caught.value.retry_after_s) == ("loading", 7.0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidInput),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (grpc.StatusCode.UNAUTHENTICATED, errors.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, errors.PermissionDenied),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.UNIMPLEMENTED, errors.InternalError),
        (grpc.StatusCode.UNKNOWN, errors.InternalError),
        (grpc.StatusCode.DATA_LOSS, errors.InternalError),
    ],
)
async def test_bare_statuses_of_foreign_servers(
    code: grpc.StatusCode, expected: type[InterplayError]
) -> None:
    async def act(request: pb.PresenceRequest, context: grpc.aio.ServicerContext) -> None:
        await context.abort(code, "secret of the server" if expected is errors.InternalError else "why")

    async with scripted_server(act, edge=False) as service:
        client = ModelServerClient(CAPABILITY, service.address)
        with pytest.raises(InterplayError) as caught:
            await client.call(client.stub.Presence, pb.PresenceRequest())
        await client.close()
    assert type(caught.value) is expected
    # A foreign internal error may hold anything, so its text goes no further; the texts with which
    # gRPC itself says that time or room ran out name its internals, so ours stand in their place.
    own_texts = {
        errors.InternalError: "the model server failed",
        errors.DeadlineExceeded: "the model server did not answer before the deadline",
        errors.Overloaded: "the model server has too many calls at one time",
    }
    assert caught.value.message == own_texts.get(expected, "why")
    assert (caught.value.retry_after_s is not None) == (expected is errors.Overloaded)

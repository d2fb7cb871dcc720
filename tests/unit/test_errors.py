"""The error table is complete and consistent: it decides what every client of the system sees."""

from __future__ import annotations

import http
import inspect
import re

import grpc
import pytest

from interplay import errors
from interplay.errors import ERROR_TABLE, ROW_BY_REASON, ErrorRow, InterplayError, error_from_reason

OUTCOMES = {"ok", "invalid", "rejected", "cancelled", "deadline", "error"}
ROWS = [pytest.param(row, id=row.reason) for row in ERROR_TABLE]


def error_types() -> set[type[InterplayError]]:
    return {
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, InterplayError) and value is not InterplayError
    }


def test_every_exception_has_exactly_one_row() -> None:
    assert sorted(row.type.__name__ for row in ERROR_TABLE) == sorted(t.__name__ for t in error_types())


def test_reasons_are_unique_and_stable_in_form() -> None:
    assert len(ROW_BY_REASON) == len(ERROR_TABLE)
    assert all(re.fullmatch(r"[A-Z][A-Z_]{1,62}", row.reason) for row in ERROR_TABLE)


@pytest.mark.parametrize("row", ROWS)
def test_row_names_real_codes(row: ErrorRow) -> None:
    assert row.grpc_code in grpc.StatusCode.__members__
    assert row.grpc_code not in {"OK", "UNKNOWN"}
    # 499 is the one status of common use that is in no RFC.
    assert row.http_status == 499 or http.HTTPStatus(row.http_status) >= 400
    assert row.outcome in OUTCOMES
    assert row.title


@pytest.mark.parametrize("row", ROWS)
def test_server_faults_and_client_faults_agree_between_grpc_and_http(row: ErrorRow) -> None:
    server_fault = row.grpc_code in {"INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"}
    assert server_fault == (row.http_status >= 500)
    if row.grpc_code in {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}:
        assert row.retryable


@pytest.mark.parametrize("row", ROWS)
def test_error_survives_the_way_through_its_reason(row: ErrorRow) -> None:
    error = error_from_reason(
        row.reason, "what happened", field="options.x", retry_after_s=2.5, metadata={"limit": "3"}
    )
    assert type(error) is row.type
    assert error.row is row
    assert str(error) == error.message == "what happened"
    assert (error.field, error.retry_after_s, error.metadata) == ("options.x", 2.5, {"limit": "3"})


def test_unknown_reason_is_an_internal_error() -> None:
    error = error_from_reason("FROM_THE_FUTURE", "message")
    assert type(error) is errors.InternalError
    assert error.message == "message"


def test_metadata_is_the_errors_own() -> None:
    facts = {"limit": "1"}
    error = errors.InvalidInput("message", metadata=facts)
    facts["limit"] = "2"
    assert error.metadata == {"limit": "1"}


def test_docstring_tree_is_the_class_tree() -> None:
    """The tree at the top of the module is what people read first; it must be true."""
    parents: dict[str, str] = {}
    stack: list[tuple[int, str]] = [(-1, "InterplayError")]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^([ │]*)[├└]── (\w+)", line)
        if not found:
            continue
        depth, name = len(found[1]), found[2]
        while stack[-1][0] >= depth:
            stack.pop()
        parents[name] = stack[-1][1]
        stack.append((depth, name))
    assert parents == {t.__name__: t.__bases__[0].__name__ for t in error_types()}

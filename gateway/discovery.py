"""The discovery document of ``comments:analyze``: what Google's API clients build themselves from."""

from __future__ import annotations

from typing import Any

_NAME, _VERSION = "commentanalyzer", "v1alpha1"
_STRING, _BOOLEAN = {"type": "string"}, {"type": "boolean"}
_NUMBER = {"type": "number", "format": "float"}
_WHOLE = {"type": "integer", "format": "int32"}


def discovery_document(root_url: str) -> dict[str, Any]:
    """The document.

    Args:
        root_url: Where the gateway is, with a slash at its end.
    """
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": f"{_NAME}:{_VERSION}",
        "name": _NAME,
        "version": _VERSION,
        "title": "Comment analysis by Interplay",
        "description": "Scores comments as the Perspective API does.",
        "protocol": "rest",
        "rootUrl": root_url,
        "baseUrl": root_url,
        "servicePath": "",
        "basePath": "",
        "batchPath": "batch",
        "parameters": {
            "key": {**_STRING, "location": "query", "description": "API key."},
            "alt": {**_STRING, "location": "query", "enum": ["json"], "default": "json"},
            "prettyPrint": {**_BOOLEAN, "location": "query"},
        },
        "schemas": _SCHEMAS,
        "resources": {
            "comments": {
                "methods": {
                    "analyze": {
                        "id": f"{_NAME}.comments.analyze",
                        "path": f"{_VERSION}/comments:analyze",
                        "flatPath": f"{_VERSION}/comments:analyze",
                        "httpMethod": "POST",
                        "description": "Analyses a comment and returns scores.",
                        "parameterOrder": [],
                        "parameters": {},
                        "request": {"$ref": "AnalyzeCommentRequest"},
                        "response": {"$ref": "AnalyzeCommentResponse"},
                    }
                }
            }
        },
    }


def _object(name: str, **properties: Any) -> dict[str, Any]:
    return {"id": name, "type": "object", "properties": properties}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _map(values: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": name}


_SCHEMAS = {
    schema["id"]: schema
    for schema in (
        _object("TextEntry", text=_STRING, type=_STRING),
        _object("Context", entries=_list(_ref("TextEntry"))),
        _object("AttributeParameters", scoreType=_STRING, scoreThreshold=_NUMBER),
        _object(
            "AnalyzeCommentRequest",
            comment=_ref("TextEntry"),
            context=_ref("Context"),
            requestedAttributes=_map(_ref("AttributeParameters")),
            languages=_list(_STRING),
            spanAnnotations=_BOOLEAN,
            dropUnsupportedAttributes=_BOOLEAN,
            doNotStore=_BOOLEAN,
            clientToken=_STRING,
            sessionId=_STRING,
            communityId=_STRING,
        ),
        _object("Score", value=_NUMBER, type=_STRING),
        _object("SpanScore", begin=_WHOLE, end=_WHOLE, score=_ref("Score")),
        _object("AttributeScores", summaryScore=_ref("Score"), spanScores=_list(_ref("SpanScore"))),
        _object(
            "AnalyzeCommentResponse",
            attributeScores=_map(_ref("AttributeScores")),
            languages=_list(_STRING),
            detectedLanguages=_list(_STRING),
            clientToken=_STRING,
        ),
    )
}

"""The OpenAPI document: bodies are read by hand, after the gate, so they are described here."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from assistant.feedback import schema as feedback_schema
from assistant.serving.schema import ChatRequest, CoachRequest, ErrorBody

_REF: Final = "#/components/schemas/{model}"
_BODIES: Final[tuple[type[BaseModel], ...]] = (ChatRequest, CoachRequest)
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    "4XX": {"model": ErrorBody, "description": "Refused, and why"},
    "5XX": {"model": ErrorBody, "description": "The server cannot, and why"},
}
FEEDBACK: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Feedback on the clip, as `poise coach --json` prints it",
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="Feedback")}}},
    },
    **ERRORS,
}
UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "default": "user_data"},
                    },
                }
            }
        },
    }
}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a route's JSON body."""
    reference = {"$ref": _REF.format(model=model.__name__)}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": reference}}}
    }


def describe(app: FastAPI, *, keyed: bool) -> dict[str, Any]:
    """The document of an app.

    Args:
        keyed: whether all routes but health ask for a key.
    """
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    _, definitions = models_json_schema(
        [(model, "validation") for model in _BODIES], ref_template=_REF
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= definitions["$defs"]
    schemas["Feedback"] = feedback_schema()
    if keyed:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        document["paths"]["/health"]["get"]["security"] = []
    return document

"""The one typed API, which mounts the router of each app, its OpenAPI document, and the page that shows it."""

import json
from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from dashboard.api.router import router as dashboard_router
from deployments.api.router import router as deployments_router
from deployments.http import problems
from deployments.http.bodies import BodyParser
from portal.api_examples import example_of


@cache
def described(api: NinjaAPI) -> OpenAPISchema:
    """The document of an API, made once in a process: it is the same for everybody, and takes half a second."""
    return api.get_openapi_schema()


@cache
def written() -> bytes:
    """The same as JSON."""
    return json.dumps(described(api)).encode()


@require_safe
def openapi(_request: HttpRequest) -> HttpResponse:
    """`/api/v1/openapi.json`."""
    return HttpResponse(written(), content_type="application/json")


class ReferencePage(DocsBase):
    """The reference as a page of our own: rendered on the server, so the strict content security policy holds."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        """Every operation by its tag, with its parameters, bodies and answers, and an example; or those asked for."""
        document = described(api)
        asked = request.GET.get("q", "")[:100]
        words = asked.lower().split()
        tags: dict[str, list[dict[str, Any]]] = {}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                text = f"{method} {path} {operation['summary']} {operation.get('description', '')}".lower()
                if all(word in text for word in words):
                    example = example_of(document, method, path, operation, base=settings.PORTAL_URL)
                    found = {"method": method.upper(), "path": path, "example": example, **operation}
                    tags.setdefault(operation["tags"][0], []).append(found)
        schemas = {} if words else document["components"]["schemas"]
        context = {"api": api, "tags": tags, "schemas": schemas, "asked": asked}
        return render(request, "dashboard/api.html", context)


class PortalAPI(NinjaAPI):
    """NinjaAPI whose OpenAPI document tells failures as what they are: problem documents."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The name of the view: generated clients call their methods so."""
        return operation.view_func.__name__

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        """The document; a response that is a Problem has the media type of RFC 9457."""
        document = super().get_openapi_schema(**kwargs)
        for methods in document["paths"].values():
            for operation in methods.values():
                for parameter in operation.get("parameters", []):
                    # ninja repeats the schema's list of examples, but here OpenAPI wants a single one
                    if isinstance(examples := parameter.pop("examples", None), list):
                        parameter["example"] = examples[0]
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    schema = content.get("application/json", {}).get("schema", {})
                    if schema.get("$ref", "").endswith("/Problem"):
                        content[problems.CONTENT_TYPE] = content.pop("application/json")
        return document


api = PortalAPI(
    title="CyTube Ops Portal",
    version=settings.VERSION,
    description="Deployments, approvals and status of CyTube bots. Every failure is a problem document (RFC 9457).",
    urls_namespace="api",
    docs=ReferencePage(),
    parser=BodyParser(),
)
problems.install(api)
api.add_router("", deployments_router)
api.add_router("", dashboard_router)

"""Showing an OpenAPI document."""

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def documented(schema: dict[str, Any]) -> SafeString:
    """The type a schema describes, with links to the documents it names."""
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        return format_html('<a href="#document-{}">{}</a>', name, name)
    for key in ("anyOf", "allOf"):
        if parts := schema.get(key):
            return format_html_join(" or ", "{}", ((documented(part),) for part in parts))
    if schema.get("type") == "array":
        return format_html("list of {}", documented(schema.get("items", {})))
    if "enum" in schema:
        return format_html_join(", ", "<code>{}</code>", ((value,) for value in schema["enum"]))
    words = {"null": "null", "object": "object", "string": schema.get("format", "text")}
    return format_html("{}", words.get(schema.get("type", "object"), schema.get("type", "object")))


@register.filter
def fields(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Name and schema of each field of a document."""
    return list(schema.get("properties", {}).items())

"""`/docs/`: the documentation of the release that runs here, for everyone."""

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboard.selectors import documents
from dashboard.selectors.status import page_settings

_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp"}


@require_safe
def documents_page(request: HttpRequest) -> HttpResponseBase:
    """All pages by group, or those that hold what was searched for."""
    words = request.GET.get("q", "")[:100]
    context = {"page": page_settings(), "words": words, "hits": documents.search(words), "groups": documents.groups()}
    return render(request, "dashboard/documents.html", context)


@require_safe
def document_page(request: HttpRequest, name: str) -> HttpResponseBase:
    """One page."""
    found = documents.page_named(name)
    if found is None:
        raise Http404
    return render(request, "dashboard/document.html", {"page": page_settings(), "document": found})


@require_safe
def picture(request: HttpRequest, name: str) -> HttpResponseBase:
    """A picture of a page."""
    path = documents.folder() / "images" / name
    kind = _TYPES.get(path.suffix)
    if "/" in name or kind is None or not path.is_file():
        raise Http404
    return HttpResponse(path.read_bytes(), content_type=kind)

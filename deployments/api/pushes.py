"""Where repositories tell of pushes."""

from django.http import HttpRequest
from ninja import Path, Router
from ninja import Status as HttpStatus
from pydantic import Field

from deployments.http import limits
from deployments.http.documents import Document
from deployments.http.paging import Name
from deployments.http.problems import answers
from deployments.models import Push
from deployments.sources.receiving import receive_push
from deployments.sources.webhooks import UnsignedPush

router = Router(tags=["Pushes"])


class PushOut(Document):
    """What became of a delivery so far."""

    push: int | None = Field(description="Its number here; null for what is no push.")
    state: str = Field(examples=["queued"])
    sentence: str
    new: bool = Field(description="False where it was delivered before: nothing was done again.")


@router.post(
    "/push/{name}",
    response=answers({200: PushOut, 202: PushOut}, 409, 413),
    summary="Tell of a push",
)
def tell_of_push(request: HttpRequest, name: Path[Name]) -> HttpStatus[PushOut]:
    """A webhook's delivery as GitHub, GitLab, Gitea or Forgejo send it, with its signature: no token goes with it.

    202 means that it is queued: it is built, and asked for in the environment that follows its ref.
    """
    try:
        push, new = receive_push(source=name, headers=request.headers, body=request.body)
    except UnsignedPush:
        limits.spend("strangers", limits.STRANGERS)
        raise
    if push is None:
        return HttpStatus(200, PushOut(push=None, state=Push.State.IGNORED, sentence="This tells of no push.", new=new))
    queued = new and push.state == Push.State.QUEUED
    told = PushOut(push=push.pk, state=push.state, sentence=push.sentence, new=new)
    return HttpStatus(202 if queued else 200, told)

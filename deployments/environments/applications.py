"""Which application an environment belongs to: the one it was made for, or the first that comes to run there."""

from deployments.models import Application, Environment
from engine.errors import Conflict, InvalidRequest


def refuse_other_application(environment: Environment, application: str) -> None:
    """Raise InvalidRequest where a release of `application` has no place in `environment`."""
    if environment.application and environment.application != application:
        raise InvalidRequest(
            f"{environment} runs {environment.application}, and no release of {application}.",
            hint=f"An environment of its own: `manage.py environments add {application}/{environment.name}`.",
            reason="other_application",
        )
    if not environment.application:
        refuse_name_taken(application, environment.name)


def refuse_name_taken(application: str, name: str) -> None:
    """Raise Conflict where `application` has an environment of this name, in use or retired."""
    taken = Environment.objects.filter(application=application, name=name).first()
    if taken is not None:
        kept = " It is retired, and keeps its name with its history." if taken.retired else ""
        raise Conflict(
            f"There is an environment {taken.path} already.{kept}",
            hint=f"Use {taken.path}, or choose another name.",
            reason="name_taken",
        )


def bind(environment: Environment, application: str) -> None:
    """Let an environment that belongs to none belong to `application`; in the transaction of what runs there first.

    Raises as `refuse_other_application` does.
    """
    refuse_other_application(environment, application)
    if not environment.application:
        Application.objects.get_or_create(name=application)
        environment.application = application
        environment.save(update_fields=["application"])
        mark_shared(environment.name)


def mark_shared(*names: str) -> None:
    """After a name was given or taken away: where several have it, each is called `application/name`."""
    for name in names:
        rows = Environment.objects.filter(name=name)
        rows.update(shared_name=rows.count() > 1)

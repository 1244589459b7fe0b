"""The form of a channel: for a new one, the questions of its service instead of an Apprise URL."""

from typing import Any, ClassVar
from urllib.parse import quote, urlencode, urlsplit

from django import forms
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminRadioSelectWidget, UnfoldAdminTextInputWidget

from deployments.admin.forms import ModelForm, choice, number, word
from deployments.models import NotificationChannel
from deployments.notifications.messages import EVENTS, GROUPS

WHERE = ("application", "environment", "events", "enabled")
ALL, THESE = "all", "these"
_SUBSCRIBERS = (
    "Also mail public incidents to those who subscribed on the status page. Only for every application and environment."
)


def _hidden(label: str, *, required: bool = True, help_text: str = "") -> forms.CharField:
    """A line that is covered while it is typed, and that no page gives back."""
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "off"})
    return forms.CharField(label=label, required=required, help_text=help_text, widget=widget, max_length=1000)


class ChannelForm(ModelForm[NotificationChannel]):
    """The URL may hold a password: it is typed and never shown again."""

    asked: ClassVar[tuple[str | tuple[str, str], ...]] = ("url",)
    """The fields that say where messages go; a pair stands on one line."""

    url = _hidden(
        "Apprise URL",
        required=False,
        help_text="mailto://…, slack://…, json://…, jsons://…. It is stored encrypted and not shown again; "
        "leave it empty to keep the one that is stored.",
    )
    told = forms.ChoiceField(
        label="Events",
        required=False,
        choices=[(ALL, "All events"), (THESE, "Only these")],
        widget=UnfoldAdminRadioSelectWidget(),
        help_text="All: also those that a later version adds.",
    )
    events = forms.MultipleChoiceField(
        label="Only these",
        required=False,
        choices=[(group, [(name, EVENTS[name]) for name in names]) for group, names in GROUPS.items()],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "cy-checks cy-groups"}),
    )

    class Meta:
        model = NotificationChannel
        fields = ("name", "url", *WHERE, "mails_subscribers")
        widgets = {"name": UnfoldAdminTextInputWidget()}  # noqa: RUF012  (Django's attribute)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.pop("url", None)
        self.initial["told"] = THESE if self.instance.events else ALL
        for name in ("application", "environment"):
            if isinstance(field := self.fields.get(name), forms.ModelChoiceField):
                field.empty_label, field.help_text = f"Every {name}", ""
                for way in ("add", "change", "delete", "view"):
                    setattr(field.widget, f"can_{way}_related", False)  # nobody leaves a form with a password in it
        if "mails_subscribers" in self.fields:
            self.fields["mails_subscribers"].help_text = _SUBSCRIBERS

    def clean(self) -> dict[str, Any]:
        """Of every event, or of those that are ticked: at least one."""
        given = super().clean() or self.cleaned_data
        if given.get("told") == ALL:
            given["events"] = []
        elif given.get("told") == THESE and not given.get("events") and "events" not in self.errors:
            self.add_error("events", "Tick one at least, or choose all events.")
        return given

    def clean_url(self) -> str:
        """The new one, or the one that is stored."""
        given: str = self.cleaned_data["url"]
        stored = NotificationChannel.objects.filter(pk=self.instance.pk).first()
        if not given and stored is None:
            raise forms.ValidationError("A new channel needs its URL.")
        return given or (str(stored.url) if stored else "")


class _ServiceForm(ChannelForm):
    """Of a service whose URL is put together from what it is asked."""

    url = None  # type: ignore[assignment]  # so a field is taken away

    class Meta(ChannelForm.Meta):
        fields = ("name", *WHERE)  # type: ignore[assignment]  # fewer

    def address(self, given: dict[str, Any]) -> str:
        """The Apprise URL, made by each service. Raises ValidationError where what was typed is none of it."""
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        """With the URL, where all its parts are there."""
        given = super().clean()
        if not self.errors:
            given["url"] = self.address(given)
        return given


class MailForm(_ServiceForm):
    """By a mail server."""

    asked = ("to", "sender", "server", ("security", "port"), ("account", "password"), "mails_subscribers")
    to = word("To", help_text="One address, or several with commas between.", max_length=500)
    sender = word("From", help_text="The address that messages come from.", max_length=200)
    server = word("Mail server", help_text="For example: smtp.example.org.", max_length=200)
    security = choice("Connection")
    port = number(
        "Port",
        required=False,
        min_value=1,
        max_value=65535,
        help_text="Default: 587 with STARTTLS, 465 with TLS from the start, 25 not encrypted.",
    )
    account = word("Account", required=False, help_text="Empty where the server asks for none.", max_length=200)
    password = _hidden("Password", required=False, help_text="Stored encrypted and not shown again.")

    _SECURITY: ClassVar[dict[str, tuple[str, str, int]]] = {
        "starttls": ("STARTTLS", "mailtos", 587),
        "ssl": ("TLS from the start", "mailtos", 465),
        "none": ("Not encrypted", "mailto", 25),
    }

    class Meta(_ServiceForm.Meta):
        fields = ("name", *WHERE, "mails_subscribers")  # type: ignore[assignment]  # a tuple of other fields

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["security"].choices = [(key, words) for key, (words, _, _) in self._SECURITY.items()]  # type: ignore[attr-defined]  # a ChoiceField

    def address(self, given: dict[str, Any]) -> str:
        """`mailtos://account:password@server:port/?from=…&to=…`."""
        _, scheme, usual = self._SECURITY[given["security"]]
        account = f"{quote(given['account'], safe='')}:{quote(given['password'], safe='')}@" if given["account"] else ""
        more = {"mode": "ssl"} if given["security"] == "ssl" else {}
        asked = urlencode({"from": given["sender"], "to": given["to"], **more})
        return f"{scheme}://{account}{_host(given['server'])}:{given['port'] or usual}/?{asked}"


class SlackForm(_ServiceForm):
    """By an incoming webhook."""

    asked = ("hook",)
    hook = _hidden(
        "Address of the incoming webhook",
        help_text="https://hooks.slack.com/services/T…/B…/…, from the settings of your app on Slack.",
    )

    def address(self, given: dict[str, Any]) -> str:
        """`slack://T…/B…/…`."""
        return _of_a_hook(given["hook"], "slack", "hooks.slack.com", "/services/", parts=3)


class DiscordForm(_ServiceForm):
    """By a webhook of a channel there."""

    asked = ("hook",)
    hook = _hidden(
        "Address of the webhook",
        help_text="https://discord.com/api/webhooks/…/…, from the settings of the channel there, under integrations.",
    )

    def address(self, given: dict[str, Any]) -> str:
        """`discord://number/token`."""
        return _of_a_hook(given["hook"], "discord", "discord.com", "/api/webhooks/", parts=2)


class TelegramForm(_ServiceForm):
    """By a bot of one's own."""

    asked = ("token", "chat")
    token = _hidden("Token of the bot", help_text="As BotFather gave it: 123456789:AA…. Stored encrypted.")
    chat = word("Number of the chat", help_text="Of a group it begins with a minus.", max_length=40)

    def address(self, given: dict[str, Any]) -> str:
        """`tgram://token/chat`."""
        return f"tgram://{given['token'].strip()}/{quote(given['chat'].strip(), safe='-@')}"


class WebhookForm(_ServiceForm):
    """JSON to an address of one's own."""

    asked = ("hook",)
    hook = _hidden("Address", help_text="https://…. It gets title and text as JSON, by POST; stored encrypted.")

    def address(self, given: dict[str, Any]) -> str:
        """`jsons://host/path`."""
        scheme, _, rest = given["hook"].strip().partition("://")
        if scheme not in ("http", "https") or not rest:
            raise forms.ValidationError({"hook": "An address begins with https:// (or http://)."})
        return f"{'jsons' if scheme == 'https' else 'json'}://{rest}"


SERVICES: dict[str, tuple[str, type[ChannelForm]]] = {
    "mail": ("Mail", MailForm),
    "slack": ("Slack", SlackForm),
    "discord": ("Discord", DiscordForm),
    "telegram": ("Telegram", TelegramForm),
    "webhook": ("Webhook", WebhookForm),
    "other": ("Other (Apprise URL)", ChannelForm),
}
"""What can be asked for by its own form; whatever else Apprise knows is the last."""
_KINDS = {
    "mailto": "Mail",
    "mailtos": "Mail",
    "slack": "Slack",
    "discord": "Discord",
    "tgram": "Telegram",
    "json": "Webhook",
    "jsons": "Webhook",
}


def service_of(request: HttpRequest) -> str:
    """Whose form was asked for; an Apprise URL where none was."""
    asked = request.GET.get("service", "mail" if request.method == "GET" else "other")
    return asked if asked in SERVICES else "other"


def kind_of(channel: NotificationChannel) -> str:
    """Which service it is, by the scheme of its URL; the rest of that is a secret."""
    scheme = str(channel.url).partition("://")[0]
    return _KINDS.get(scheme, scheme)


def _of_a_hook(typed: str, scheme: str, host: str, path: str, *, parts: int) -> str:
    url = urlsplit(typed.strip())
    keys = url.path.removeprefix(path).strip("/").split("/")
    if url.scheme != "https" or url.hostname != host or not url.path.startswith(path) or len(keys) != parts:
        raise forms.ValidationError({"hook": f"The address is https://{host}{path} with {parts} parts after it."})
    return f"{scheme}://{'/'.join(quote(key, safe='') for key in keys)}"


def _host(typed: str) -> str:
    host = typed.strip()
    if not host or set(host) & set("/@:?# "):
        raise forms.ValidationError({"server": "The name of a server, without port, path or account."})
    return host

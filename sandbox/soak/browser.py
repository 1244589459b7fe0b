"""A person in front of a browser, as far as a form needs one."""

import re
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

from sandbox.demo.portal import CommandFailed

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Visitor:
    """Signed in to the portal for as long as this object is used. Raises CommandFailed when that does not work."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self._url = url
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        after, _ = self.send("/admin/login/", "/admin/login/", username=name, password=password, next="/")
        if "/admin/login/" in after:
            raise CommandFailed(f"{name} could not sign in.")

    def send(self, form: str, action: str, **fields: str) -> tuple[str, str]:
        """Fill in the form of a page; the address that this leads to, and what stands there."""
        try:
            with self._opener.open(f"{self._url}{form}", timeout=60) as response:
                found = _TOKEN.search(response.read().decode())
            fields["csrfmiddlewaretoken"] = found[1] if found else ""
            asked = urllib.request.Request(
                f"{self._url}{action}", urllib.parse.urlencode(fields).encode(), {"Referer": f"{self._url}{form}"}
            )
            with self._opener.open(asked, timeout=60) as response:
                return str(response.url), str(response.read().decode())
        except urllib.error.URLError as error:
            raise CommandFailed(f"{action}: {error}") from error

"""What the demo prints when everything runs."""

import os

from sandbox.demo.portal import DemoPortal
from sandbox.demo.watch import Watch


def closing_page(portal: DemoPortal, watch: Watch, seconds: float, following: str) -> str:
    """Accounts, addresses, and what to click next; `following` is the version of the second release."""
    waiting = portal.manage("history", "production", "--format", "json", "--limit", "1")
    number = waiting.split('"deployment": ', 1)[1].split(",", 1)[0]
    accounts = "\n".join(f"    {name:10} {password}" for name, password in portal.passwords.items())
    return f"""
Ready after {seconds:.0f} s. The bot runs on test-1; production waits for a second person.

  Status page       {portal.url}/
  Control room      {portal.url}/admin/
  The bot's health  curl {portal.url}/api/health/test-1
{_addresses(watch)}
  Accounts (new ones at every start)
{accounts}

  What to try next: ten minutes, step by step, in {portal.url}/docs/tour/#with-servers-ten-minutes-with-the-demo
    1. Sign in as operator and look at deployment {number}: it cannot approve its own request.
    2. Sign in as approver (another browser, or a private window), read the plan, approve it:
       {portal.url}/deployments/{number}/
    3. Watch it run on the same page.
    4. Go on to {following}: as operator "Deploy production" in the control room, as approver agree to it, and watch.
    5. Go back: "Roll back" on the page of that deployment, with a reason. It needs no approval, since it has had one.
    6. {_provoke(portal, watch)}
    7. Or do it all from another terminal{_as_root()}:
         export PORTAL_STATE_DIR={portal.state}
         PORTAL_TOKEN_FILE=$PORTAL_STATE_DIR/approver.token .venv/bin/python manage.py approve {number}
         .venv/bin/python manage.py history

  Log of the portal: {portal.state}/portal.log
  Ctrl-C stops the portal, the bot and both servers, and removes them."""


def _as_root() -> str:
    """`sudo` in front of a command forgets the variables that the commands need."""
    return ", in a root shell (sudo -s)" if os.geteuid() == 0 and os.environ.get("SUDO_USER") else ""


def _addresses(watch: Watch) -> str:
    if watch.missing:
        return ""
    return f"""  Prometheus        {watch.prometheus_url}/targets
  Alertmanager      {watch.alertmanager_url}/
"""


def _provoke(portal: DemoPortal, watch: Watch) -> str:
    if watch.missing:
        return f"Install Debian's prometheus and prometheus-alertmanager ({watch.missing} is missing) to see alerts."
    return f"""Provoke an alert, and see it end, from another terminal. BotDown takes a good minute; its mail is
       announced here and kept in {portal.state}/mail, and the portal's inbox shows it ({portal.url}/alerts/):
         .venv/bin/python -m sandbox hosts --set demo root 1 systemctl stop cytube-bot
         .venv/bin/python -m sandbox hosts --set demo root 1 systemctl start cytube-bot"""

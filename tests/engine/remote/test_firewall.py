"""The firewall on a real host: it closes our own private ports to strangers, and shuts nobody out."""

from collections.abc import Iterator

import pytest

from engine.commands.provisioning import confirmation, operations
from engine.remote import Report, provision
from engine.remote.errors import ProvisionFailed
from tests.engine.remote.servers import Server
from tests.engine.remote.test_provisioning import reachable

pytestmark = pytest.mark.hosts

TABLE = "nft list table inet rosey_bot"


@pytest.fixture
def others(server: Server) -> Iterator[Server]:
    """A server on which somebody runs a site and a second sshd."""
    server.shell("systemd-run -q --unit=site python3 -m http.server 8300 --bind 0.0.0.0")
    server.shell("systemd-run -q --unit=second-sshd /usr/sbin/sshd -D -p 2222 -o PidFile=none")
    server.wait("curl -s 127.0.0.1:8300 >/dev/null && nc -z 127.0.0.1 2222")
    yield server
    server.shell("systemctl stop site second-sshd; systemctl stop rosey-bot-firewall-undo.timer; nft flush ruleset")
    server.provision()


def test_nobody_elses_port_is_closed_whatever_port_the_portal_comes_by(others: Server) -> None:
    others.provision()
    assert [port for port in (22, 2222, 8300) if not reachable(others, port)] == []


def test_a_restart_of_nftables_leaves_our_table_in_place(others: Server) -> None:
    others.provision()
    before = others.shell(TABLE)
    for verb in ("restart", "reload", "restart"):
        others.shell(f"systemctl {verb} nftables")
        others.wait(TABLE)
        assert others.shell(TABLE) == before


@pytest.mark.parametrize("change", ["nft flush ruleset", "nft flush table inet rosey_bot"])
def test_rules_that_are_gone_are_seen_and_put_back(others: Server, change: str) -> None:
    others.provision()
    before = others.shell(TABLE)
    others.shell(change)
    with others.bootstrap() as session:
        planned = provision(session, operations(others.setup()), plan=True, sudo=False)
    assert [report.name for report in planned if report.state == "changed"] == ["firewall"]
    others.provision()
    assert others.shell(TABLE) == before


def test_strict_rules_close_what_the_plan_names_and_no_way_in(others: Server) -> None:
    others.provision()
    with others.bootstrap() as session:
        planned = firewall_of(provision(session, operations(others.setup(strict=True)), plan=True, sudo=False))
        assert "Open to everybody: 22, 2222." in planned.sentence
        assert "8300/tcp (python3)" in planned.sentence
        assert reachable(others, 8300), "a plan changes nothing"
        provision(session, operations(others.setup(strict=True)), sudo=False)
    assert [port for port in (22, 2222, 8300) if reachable(others, port)] == [22, 2222]
    with others.bootstrap() as session:
        provision(session, confirmation("rosey-bot"), sudo=False)
    assert others.shell("systemctl is-active rosey-bot-firewall-undo.timer") == "inactive"
    kept = others.shell(TABLE)
    others.shell("systemctl restart rosey-bot-firewall")
    assert others.shell(TABLE) == kept
    others.shell("echo > /etc/nftables.d/rosey-bot.nft")
    with others.bootstrap() as session:
        provision(session, operations(others.setup(strict=True)), sudo=False)
        provision(session, confirmation("rosey-bot"), sudo=False)  # of what was never on trial
        assert changed(provision(session, operations(others.setup(strict=True)), plan=True, sudo=False)) == []
        back = firewall_of(provision(session, operations(others.setup()), sudo=False))
    assert "No other port is closed any more." in back.sentence
    assert reachable(others, 8300)


def test_strict_rules_leave_the_ports_of_our_other_applications_to_their_own(others: Server) -> None:
    others.provision()
    neighbour = '[{"op": "firewall", "public": [], "private": [8300]}]'
    others.shell(f"echo '{neighbour}' > /var/lib/cytube-ops/tea-bot.operations")
    with others.bootstrap() as session:
        planned = firewall_of(provision(session, operations(others.setup(strict=True)), plan=True, sudo=False))
    others.shell("rm /var/lib/cytube-ops/tea-bot.operations")
    assert "Left to the rules of our other applications here: 8300." in planned.sentence
    assert "python3" not in planned.sentence
    assert any(line.startswith("+") and "8300" in line for line in planned.difference)


def test_strict_rules_that_nobody_confirms_take_themselves_back(others: Server) -> None:
    others.provision()
    before = others.shell(TABLE)
    with others.bootstrap() as session:
        provision(session, operations(others.setup(strict=True)), sudo=False)
    assert not reachable(others, 8300)
    others.wait("nft list table inet rosey_bot | grep -q 'policy accept'", deadline=60)
    assert others.shell(TABLE) == before
    assert reachable(others, 8300)
    with others.bootstrap() as session, pytest.raises(ProvisionFailed, match="were taken back"):
        provision(session, confirmation("rosey-bot"), sudo=False)
    assert others.shell(TABLE) == before


def test_a_health_port_that_is_a_way_in_is_refused(others: Server) -> None:
    with others.bootstrap() as session, pytest.raises(ProvisionFailed, match="People sign in by port 2222"):
        provision(session, operations(others.setup(private_ports=[2222])), sudo=False)
    assert reachable(others, 2222)


def test_the_strict_table_of_earlier_versions_is_taken_over(others: Server) -> None:
    others.provision()
    others.host.root(["sh", "-c", "cat > /etc/nftables.d/rosey-bot.nft"], EARLIER.encode())
    others.shell("nft -f /etc/nftables.d/rosey-bot.nft")
    assert not reachable(others, 8300)
    with others.bootstrap() as session:
        planned = firewall_of(provision(session, operations(others.setup()), plan=True, sudo=False))
        assert planned.before.startswith("strict")
        assert "No other port is closed any more." in planned.sentence
        provision(session, operations(others.setup()), sudo=False)
    assert reachable(others, 8300)


EARLIER = """table inet rosey_bot
delete table inet rosey_bot
table inet rosey_bot {
    chain input {
        type filter hook input priority 0; policy drop;
        iif "lo" accept
        ct state established,related accept
        ct state invalid drop
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport { 22 } accept
    }
}
"""


def firewall_of(reports: list[Report]) -> Report:
    (report,) = (report for report in changed(reports) if report.operation == "firewall")
    return report


def changed(reports: list[Report]) -> list[Report]:
    return [report for report in reports if report.state == "changed"]

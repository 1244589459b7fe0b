"""Servers as people have them: each a line of shell that makes a bare host one, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

STEPS = ("enroll", "provision", "deploy", "rollback", "verify", "drift", "decommission")
"""What is done with a server, in this order."""
_IN_USE = ("deploy", "rollback", "verify", "drift")
_RELOAD = "; systemctl reload ssh"


@dataclass(frozen=True)
class Difficulty:
    """What makes a host difficult, again before each step where it `comes_back`.

    `says` are words of the sentence with which a step says no; the others work. `hint` are words of what it says to do,
    or of what provisioning says where that is all the hint; `way_out` is that as a line of shell. `bootstrap` is the
    account by which one becomes root once the hint was followed, `image` what the host stands on, `reached` how the
    portal gets there: by its `address`, or by a `name` whose first address leads nowhere.
    """

    made_by: str
    says: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    way_out: str = ":"
    bootstrap: str = "root"
    image: str = "bare"
    reached: str = "address"
    comes_back: bool = True


def _sshd(*lines: str) -> str:
    """sshd takes the first of two words, so ours come first; those that were there before go."""
    words = sorted({line.split()[0] for line in lines})
    gone = " ".join(f"-e '/^{word} /d'" for word in words)
    text = "\\n".join(lines)
    return f"sed -i {gone} /etc/ssh/sshd_config; sed -i '1i {text}' /etc/ssh/sshd_config" + _RELOAD


def _refused(provision: str, *steps: str) -> dict[str, str]:
    """An account that may not deploy: provisioning says why, and the others that provisioning is to be asked."""
    return {"provision": provision, **dict.fromkeys(steps or _IN_USE, "provision")}


_MUTE = (
    "echo 127.0.0.1 localhost > /etc/hosts; echo nameserver 127.0.0.1 > /etc/resolv.conf;"
    " systemctl is-active -q mute || systemd-run -q --unit=mute python3 -c"
    " 'import socket, time; s = socket.socket(2, 2); s.bind((\"127.0.0.1\", 53)); time.sleep(9999)'"
)
_USUAL: dict[str, Difficulty] = {
    "start files that print": Difficulty(
        r"for file in /root/.bashrc /root/.profile /etc/skel/.bashrc /etc/bash.bashrc; do"
        r""" echo 'printf "\033]0;web-01\007"; echo Welcome.' | cat - $file > /tmp/new; cat /tmp/new > $file; done;"""
        " echo 'echo from sshrc' > /etc/ssh/sshrc",
        comes_back=False,
    ),
    "a umask of 077": Difficulty(
        "echo 'umask 077' >> /etc/bash.bashrc; echo 'umask 077' >> /root/.bashrc;"
        " sed -i 's/^UMASK.*/UMASK 077/' /etc/login.defs",
        comes_back=False,
    ),
    "MaxSessions 1": Difficulty(_sshd("MaxSessions 1")),
    "two ports of sshd": Difficulty(_sshd("Port 22", "Port 2222")),
    "AllowUsers": Difficulty(
        _sshd("AllowUsers root"),
        _refused("not allowed because not listed in AllowUsers"),
        "Let rosey in (AllowUsers, AllowGroups)",
        _sshd("AllowUsers root rosey"),
    ),
    "AllowGroups": Difficulty(
        _sshd("AllowGroups root"),
        _refused("not allowed because none of user's groups are listed in AllowGroups"),
        "Let rosey in (AllowUsers, AllowGroups)",
        _sshd("AllowGroups root rosey"),
    ),
    "AuthorizedKeysFile elsewhere": Difficulty(
        "mkdir -p /etc/ssh/keys; cp /root/.ssh/authorized_keys /etc/ssh/keys/root; "
        + _sshd("AuthorizedKeysFile /etc/ssh/keys/%u"),
        _refused("sshd reads keys from /etc/ssh/keys/%u"),
        "Write 'AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys'",
        _sshd("AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys"),
    ),
    "a home that sshd finds too open": Difficulty(
        "sed -i '/^HOME_MODE/d' /etc/login.defs; echo HOME_MODE 0777 >> /etc/login.defs; chmod -f 777 /home/rosey || :",
        _refused("bad ownership or modes for directory /home/rosey"),
        "chmod go-w /home/rosey",
        "chmod go-w /home/rosey",
    ),
    "a forced command for everybody but root": Difficulty(
        "sed -i '/^Match/,$d' /etc/ssh/sshd_config; printf 'Match User *,!root\\n"
        "ForceCommand echo This account is for backups only.\\n' >> /etc/ssh/sshd_config" + _RELOAD,
        {"provision": "This account is for backups only."},
        "ForceCommand",
        "sed -i '/^Match/,$d' /etc/ssh/sshd_config" + _RELOAD,
        comes_back=False,
    ),
    "a key alone is not enough": Difficulty(
        "sed -i '/^Match/,$d' /etc/ssh/sshd_config; printf 'Match User *,!root\\n"
        "AuthenticationMethods publickey,password\\nPasswordAuthentication yes\\n' >> /etc/ssh/sshd_config" + _RELOAD,
        dict.fromkeys(("provision", *_IN_USE), "wants more than a key from the user rosey"),
        "Allow publickey alone",
        "sed -i '/^Match/,$d' /etc/ssh/sshd_config" + _RELOAD,
    ),
    "sudo with requiretty": Difficulty("sed -i -e /requiretty/d -e '1i Defaults requiretty' /etc/sudoers"),
    "sudo with requiretty after all else": Difficulty(
        "echo 'Defaults requiretty' >> /etc/sudoers",
        _refused("you must have a tty", "deploy", "rollback"),
        "Put 'Defaults requiretty' above '@includedir' in /etc/sudoers, or take it out",
        "sed -i '/requiretty/d' /etc/sudoers",
    ),
    "sudo that reads no /etc/sudoers.d": Difficulty(
        "sed -i '/includedir/d' /etc/sudoers",
        _refused("may not run what deployments need", "deploy", "rollback"),
        "add '@includedir /etc/sudoers.d' to /etc/sudoers",
        "echo '@includedir /etc/sudoers.d' >> /etc/sudoers",
    ),
    "a cloud image whose root says who to be": Difficulty(
        "useradd -m -s /bin/bash debian; cp -r /root/.ssh /home/debian; chown -R debian: /home/debian/.ssh;"
        " echo 'debian ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/90-cloud-init-users;"
        """ sed -i 's/^ssh/no-pty,command="echo Please login as the user debian; sleep 2; exit 142" ssh/' """
        "/root/.ssh/authorized_keys",
        {"provision": "Please login as the user debian"},
        "--bootstrap-user",
        bootstrap="debian",
        comes_back=False,
    ),
    "noexec /tmp": Difficulty("mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp", comes_back=False),
    "noexec /opt": Difficulty(
        "mountpoint -q /opt || mount -t tmpfs -o size=2g,mode=755 tmpfs /opt; mount -o remount,noexec /opt",
    ),
    "a read-only /etc": Difficulty(
        "mount --bind /etc /etc; mount -o remount,bind,ro /etc",
        {"provision": "is mounted read-only"},
        "`mount -o remount,rw /etc`",
        "mount -o remount,bind,rw /etc",
        comes_back=False,
    ),
    "nftables in use": Difficulty(
        "printf 'table inet theirs {}\\ndelete table inet theirs\\ntable inet theirs {\\nchain input {\\n"
        'type filter hook input priority 0; policy drop;\\nct state established,related accept\\niif "lo" accept\\n'
        "tcp dport 22 accept\\n}\\n}\\n' | nft -f -"
    ),
    "a full /opt": Difficulty(
        "mountpoint -q /opt || mount -t tmpfs -o mode=755 tmpfs /opt;"
        " mount -o remount,size=$(( $(du -sm /opt | cut -f1) + 20 ))m /opt",
        {"provision": "MB are free below /opt", "deploy": "MB are free"},
        "ree",
        "mount -o remount,size=2g /opt",
    ),
    "an account that is taken": Difficulty(
        "useradd -r dice-bot",
        {"provision": "The account dice-bot is there already"},
        "Rename or remove it",
        "userdel dice-bot",
        comes_back=False,
    ),
    "a unit that is taken": Difficulty(
        "printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/dice-bot.service; systemctl daemon-reload",
        {"provision": "dice-bot.service is a unit of this server already"},
        "move that one away",
        "rm /etc/systemd/system/dice-bot.service; systemctl daemon-reload",
        comes_back=False,
    ),
    "a port that is taken": Difficulty(
        "systemd-run -q --unit=theirs python3 -m http.server 8101 --bind 127.0.0.1;"
        " until nc -z 127.0.0.1 8101; do sleep 0.1; done",
        {"deploy": "8101"},
        "8101",
        "systemctl stop theirs",
        comes_back=False,
    ),
    "a directory that is taken": Difficulty(
        "mkdir -p /opt/dice-bot/own",
        {"provision": "/opt/dice-bot"},
        "ove it away",
        "mv /opt/dice-bot /opt/own",
        comes_back=False,
    ),
    "a name server that never answers": Difficulty(
        _MUTE,
        {"provision": "sudo needed"},
        "give /etc/hosts a line with the server's own name",
        "echo 127.0.1.1 $(hostname) >> /etc/hosts",
        comes_back=False,
    ),
    "a name server that never answers, and UseDNS yes": Difficulty(
        f"{_MUTE}; " + _sshd("UseDNS yes"),
        dict.fromkeys(("provision", *_IN_USE, "decommission"), "did not end the sign-in"),
        "have /etc/resolv.conf name one that does",
        "systemctl stop mute",
    ),
    "a name whose first address is IPv6 and leads nowhere": Difficulty(":", reached="name"),
    "Ubuntu's layout": Difficulty(
        "useradd -m -s /bin/bash ubuntu; cp -r /root/.ssh /home/ubuntu; chown -R ubuntu: /home/ubuntu/.ssh;"
        " echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/90-cloud-init-users;"
        " sed -i '1i Defaults use_pty' /etc/sudoers; echo HOME_MODE 0750 >> /etc/login.defs;"
        " systemctl disable -q --now ssh.service; systemctl enable -q --now ssh.socket; rm /root/.ssh/authorized_keys",
        {"provision": "does not accept the key"},
        "--bootstrap-user",
        bootstrap="ubuntu",
        comes_back=False,
    ),
}
_ON_ANOTHER_IMAGE: dict[str, Difficulty] = {
    "Debian 13": Difficulty(":", image="debian-13"),
    "Debian 13 with AllowUsers": Difficulty(
        _USUAL["AllowUsers"].made_by,
        _USUAL["AllowUsers"].says,
        _USUAL["AllowUsers"].hint,
        _USUAL["AllowUsers"].way_out,
        image="debian-13",
    ),
    "ufw in use": Difficulty("ufw allow 22/tcp; ufw --force enable", image="services", comes_back=False),
    "firewalld in use": Difficulty(
        "systemctl enable -q --now firewalld; firewall-cmd -q --state", image="services", comes_back=False
    ),
    "fail2ban that bans at the second failure": Difficulty(
        "printf '[sshd]\\nenabled = true\\nbackend = systemd\\nmaxretry = 2\\n' > /etc/fail2ban/jail.d/ours.conf;"
        " systemctl enable -q --now fail2ban; until fail2ban-client status sshd; do sleep 0.2; done",
        image="services",
        comes_back=False,
    ),
    "dropbear": Difficulty(
        "mkdir -p /etc/dropbear; dropbearconvert openssh dropbear /etc/ssh/ssh_host_ed25519_key /etc/dropbear/key;"
        " systemctl disable -q --now ssh; systemd-run -q --unit=dropbear dropbear -F -s -r /etc/dropbear/key",
        image="services",
        comes_back=False,
    ),
}
DIFFICULT = {**_USUAL, **_ON_ANOTHER_IMAGE}

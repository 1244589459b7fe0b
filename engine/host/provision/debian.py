"""Names that Debian and its well-known packages use: no application and no unit of one may take them.

For `check_manifest`, which sees no server. The base names are those of Debian 12 (base-passwd; the units of systemd,
openssh-server, sudo, nftables, dbus); the others are of packages that many servers have. A server refuses, beyond this
list, whatever is there and was not made by provisioning.
"""

from __future__ import annotations

from typing import FrozenSet


def _words(*lines: str) -> FrozenSet[str]:
    return frozenset(" ".join(lines).split())


ACCOUNTS = _words(
    # base-passwd: users and groups
    "root daemon bin sys sync games man lp mail news uucp proxy www-data backup list irc nobody adm tty disk kmem "
    "dialout fax voice cdrom floppy tape sudo audio dip operator src shadow utmp video sasl plugdev staff users "
    "nogroup input sgx "
    # of packages
    "kvm render crontab netdev messagebus sshd ssh systemd-network systemd-resolve systemd-timesync "
    "systemd-journal systemd-coredump systemd-oom avahi bind caddy chrony clamav colord debian-exim dnsmasq "
    "docker dovecot elasticsearch ftp git gitea gitlab-runner grafana haproxy influxdb jenkins landscape libvirt "
    "lxd memcache memcached minio mongodb mosquitto mysql named nginx node-exporter ntp openldap polkitd podman "
    "postfix postgres postgresql prometheus alertmanager rabbitmq redis redsocks rtkit saned snmp statd stunnel4 "
    "syslog tcpdump telegraf tomcat tor tss unbound usbmux uuidd vault vboxadd wireshark zabbix "
    # people's, and clouds'
    "admin administrator ansible azureuser centos cloud-user core debian deploy deployer ec2-user fedora guest "
    "opc pi rocky test ubuntu user vagrant wheel "
    # our own
    "rosey rosey-portal rosey-watch cytube-ops"
)
DIRECTORIES = _words(
    "alternatives apache2 apm apparmor apt bash ca-certificates cloud cron cron-d default dbus-1 dhcp dpkg emacs "
    "fonts gss grub initramfs-tools iproute2 java kernel ld ldap letsencrypt lighttpd lvm modprobe mysql network "
    "networkd-dispatcher nftables opt pam perl php pki ppp profile python3 resolvconf rsyslog security selinux "
    "skel ssl sudoers sysctl systemd sysstat terminfo tmpfiles ucf udev udisks2 ufw update-motd vim "
    "wpa-supplicant xdg containerd google"
)
"""Below /etc, /opt and /var/lib."""
TABLES = _words("filter nat mangle raw security firewalld fail2ban docker-user crowdsec")
"""Of other people's firewalls: the table of an application has its name."""
UNITS = _words(
    # systemd's own, by the part before the dot
    "basic bluetooth boot-complete cryptsetup cryptsetup-pre ctrl-alt-del default emergency exit factory-reset "
    "final first-boot-complete getty getty-pre graphical halt hibernate hybrid-sleep initrd integritysetup kexec "
    "kmod local-fs local-fs-pre multi-user network network-online network-pre nss-lookup nss-user-lookup paths "
    "poweroff printer quotaon rc-local rc reboot remote-cryptsetup remote-fs remote-fs-pre rescue rpcbind "
    "shutdown sigpwr sleep slices smartcard sockets sound suspend suspend-then-hibernate swap sysinit syslog "
    "system-update time-set time-sync timers umount usb-gadget veritysetup debug-shell console-getty procps "
    "autovt blockdev modprobe user user-runtime-dir halt-local hwclock display-manager sudo pam_namespace "
    # of packages
    "acpid anacron apache2 apparmor apt-daily apt-daily-upgrade atd auditd avahi-daemon bind9 bird caddy "
    "caddy-api chrony chronyd clamav-daemon cloud-config cloud-final cloud-init cloud-init-local collectd "
    "containerd cron crowdsec cups dbus dbus-broker dhcpcd dnsmasq docker dovecot dpkg-db-backup e2scrub_all "
    "e2scrub_reap exim4 fail2ban firewalld fstrim ftp gdm3 gitea grafana-server haproxy httpd ifupdown-pre "
    "influxdb irqbalance iscsid keepalived kubelet libvirtd lightdm logrotate lvm2-monitor lxd man-db mariadb "
    "mdadm memcached mongod mongodb mosquitto mysql mysqld named netdata netfilter-persistent networking "
    "networkd-dispatcher NetworkManager nfs-server nftables nginx node_exporter ntp ntpd ntpsec open-vm-tools "
    "openvpn packagekit php-fpm podman polkit postfix postgresql prometheus prometheus-alertmanager "
    "prometheus-node-exporter proftpd qemu-guest-agent rabbitmq-server redis redis-server rpcbind rpc-statd rsync "
    "rsyslog samba sendmail serial-getty smartd smbd snapd snmpd squid ssh sshd stunnel4 sysstat syslog-ng "
    "telegraf tomcat tor udev udisks2 ufw unattended-upgrades unbound upower uuidd varnish vsftpd walinuxagent "
    "wg-quick wpa_supplicant x11-common xinetd zabbix-agent zfs-zed"
)
UNIT_PREFIXES = (
    "systemd-",
    "dbus-org.",
    "initrd-",
    "runlevel",
    "container-getty",
    "rescue-",
    "system-",
    "user-",
    "snap.",
)


def takes_name(name: str) -> bool:
    """Whether an application of this name would take an account, a directory or a firewall table of others."""
    return name in ACCOUNTS or name in DIRECTORIES or name in TABLES or name.startswith("systemd-")


def takes_unit(unit: str) -> bool:
    """Whether this unit has a name that Debian or a well-known package gives to one of theirs, of whatever type."""
    stem = unit.rpartition(".")[0].partition("@")[0]
    return stem in UNITS or stem.startswith(UNIT_PREFIXES)

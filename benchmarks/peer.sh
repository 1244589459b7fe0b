#!/usr/bin/env bash
# The peer of the measurement: what a careful person writes instead of a portal. One multiplexed ssh connection per
# server, rsync against the release before, an atomic switch, a restart, and the same wait for the same proof.
# usage: peer.sh NAME PORT TREE VERSION KEY KNOWN_HOSTS SAMPLES INTERVAL ACCOUNT [--back] -- HOST...
set -euo pipefail
name=$1 port=$2 tree=$3 version=$4 key=$5 known=$6 samples=$7 interval=$8 account=$9
shift 9
back=no
if [ "$1" = --back ]; then back=yes; shift; fi
shift
sockets=$(mktemp -d)
trap 'rm -rf "$sockets"' EXIT

one() {
  local host=$1
  local ssh=(ssh -i "$key" -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o "UserKnownHostsFile=$known"
    -o LogLevel=ERROR -o ControlMaster=auto -o "ControlPath=$sockets/%h" -o ControlPersist=yes)
  if [ $back = no ]; then
    "${ssh[@]}" "$account@$host" "mkdir -p /opt/$name/releases/$version"
    rsync -a --delete --checksum --link-dest="/opt/$name/current/" -e "${ssh[*]}" "$tree/" \
      "$account@$host:/opt/$name/releases/$version/"
  fi
  "${ssh[@]}" "$account@$host" "ln -sfn releases/$version /opt/$name/next && mv -T /opt/$name/next /opt/$name/current &&
    sudo -n systemctl restart $name.service"
  "${ssh[@]}" "$account@$host" "seen=0; end=\$((SECONDS + 20))
    while [ \$seen -lt $samples ]; do
      [ \$SECONDS -lt \$end ] || exit 1
      if curl -fs http://127.0.0.1:$port/api/health | grep -q '\"$version\"'; then
        seen=\$((seen + 1)); [ \$seen -eq $samples ] || sleep $interval
      else seen=0; sleep 0.02; fi
    done"
  "${ssh[@]}" -O exit "$account@$host" 2>/dev/null
}

running=()
for host; do one "$host" & running+=($!); done
for process in "${running[@]}"; do wait "$process"; done

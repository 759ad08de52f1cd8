#!/bin/bash
# First process of the cluster's namespaces: the login node and controller "ctl". When it dies, everything does.
set -euo pipefail
folder=$1 nodes=$2 here=$(dirname "$0")
hostname ctl
mount --bind "$folder/hosts" /etc/hosts
mount --bind "$folder/etc" /etc/slurm
ip link set lo up
ip link add bridge type bridge
ip address add 10.77.0.1/24 dev bridge
ip link set bridge up
munged --key-file="$folder/munge.key" --socket="$folder/munge.sock" --pid-file="$folder/munge.pid" \
  --log-file="$folder/log/munged.log" --seed-file="$folder/munge.seed" --force --num-threads=2
if [ -f /etc/slurm/slurmdbd.conf ]; then # in namespaces of its own, the database needs neither passwords nor a free port
  mariadb-install-db --no-defaults --datadir="$folder/database" --user=root --skip-test-db >"$folder/log/database.log" 2>&1
  mariadbd --no-defaults --datadir="$folder/database" --user=root --skip-grant-tables --bind-address=10.77.0.1 \
    --socket="$folder/database.sock" --innodb-buffer-pool-size=32M >>"$folder/log/database.log" 2>&1 &
  until (exec 3<>/dev/tcp/10.77.0.1/3306) 2>/dev/null; do sleep 0.1; done
  slurmdbd
  until sacctmgr -n show cluster >/dev/null 2>&1; do sleep 0.1; done
  sacctmgr -i add cluster lab
fi
slurmctld -i
# Orders come through a pipe: "start NUMBER" boots a node, as its power button would.
start() {
  unshare --fork --kill-child --pid --mount-proc --net --uts --mount --propagation private \
    "$here/node.sh" "$folder" "$1" >>"$folder/log/node-$1.log" 2>&1 &
  local outer=$! inner=
  ip link delete "port$1" 2>/dev/null || true # of the node that died
  ip link add "port$1" type veth peer name "uplink$1"
  while [ -z "$inner" ]; do inner=$(tr -d ' ' <"/proc/$outer/task/$outer/children"); done
  while [ "$(readlink "/proc/$inner/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do :; done
  ip link set "uplink$1" netns "$inner"
  ip link set "port$1" master bridge up
}
for number in $(seq 0 $((nodes - 1))); do start "$number"; done
touch "$folder/booted"
exec 3<>"$folder/orders"
while true; do # a read that times out reaps what has ended, too
  if read -r -t 1 -u 3 order number; then [ "$order" = start ] && start "$number"; fi
done

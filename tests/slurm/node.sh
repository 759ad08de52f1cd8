#!/bin/bash
# First process of one node: its own address, host name, processes and mounts. When it dies, the node is dark.
set -euo pipefail
folder=$1 number=$2
hostname "n$number"
until ip link show "uplink$number" >/dev/null 2>&1; do sleep 0.01; done
ip link set lo up
ip address add "10.77.0.$((10 + number))/24" dev "uplink$number"
ip link set "uplink$number" up
mkdir -p "$folder/spool/n$number"
while true; do # a slurmd that dies is started again, as systemd would
  slurmd -D &
  daemon=$!
  while kill -0 $daemon 2>/dev/null; do wait -n || true; done
  sleep 0.2
done

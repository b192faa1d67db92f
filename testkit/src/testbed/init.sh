#!/bin/bash
# Two roles. `supervise` starts a node's pid 1 in fresh namespaces, and again when it rebooted.
# `init` is that pid 1: it builds the node's root and becomes its systemd.
set -e
role=$1 name=$2 namespace=$3 disk=$4 folder=$5 base=$6 program=$7
groups=/sys/fs/cgroup/unified
[ -d $groups ] || groups=/sys/fs/cgroup
bed=${namespace%-"$name"}

if [ "$role" = supervise ]; then
  mkdir -p "$folder/rw" "$folder/root"
  if [ -n "$disk" ] && ! mountpoint -q "$folder/rw"; then mount -t tmpfs -o "size=$disk" tmpfs "$folder/rw"; fi
  while :; do
    mkdir -p "$groups/$bed/$name"
    echo $$ > "$groups/$bed/$name/cgroup.procs"
    if [ -d /sys/fs/cgroup/memory ]; then
      mkdir -p "/sys/fs/cgroup/memory/$bed/$name"
      echo $$ > "/sys/fs/cgroup/memory/$bed/$name/cgroup.procs"
    fi
    up=$(cut -d. -f1 /proc/uptime)
    ip netns exec "$namespace" unshare --mount --pid --fork --kill-child --uts --ipc --cgroup --time --boottime "-$up" --monotonic "-$up" \
      bash "$0" init "${@:2}" &
    echo $! > "$folder/unshare.pid"
    rc=0
    wait $! || rc=$?
    echo $$ > "$groups/cgroup.procs"
    [ ! -d /sys/fs/cgroup/memory ] || echo $$ > /sys/fs/cgroup/memory/cgroup.procs
    find "$groups/$bed/$name" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
    # A reboot ends the namespace's pid 1 by SIGHUP.
    [ $rc = 129 ] || exit 0
  done
fi

mount --make-rprivate /
mkdir -p "$folder/rw/upper" "$folder/rw/work"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/rw/upper,workdir=$folder/rw/work" "$folder/root"
hostname "$name"
cd "$folder/root"
if [ ! -s etc/machine-id ]; then
  tr -d - < /proc/sys/kernel/random/uuid > etc/machine-id
  printf '127.0.0.1 localhost\n' > etc/hosts
fi
echo "$name" > etc/hostname
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup 2>/dev/null || true
mount -t tmpfs -o mode=755,size=1m tmpfs dev
for device in null zero full random urandom tty; do : > dev/$device; mount --bind /dev/$device dev/$device; done
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin; ln -s /proc/self/fd/1 dev/stdout; ln -s /proc/self/fd/2 dev/stderr
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/lock
# The kernel's boot id is shared by all; each boot of a node gets one of its own.
cat /proc/sys/kernel/random/uuid > run/.boot_id
mount --bind run/.boot_id proc/sys/kernel/random/boot_id
: > usr/local/bin/fettle
mount --bind "$program" usr/local/bin/fettle
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old 2>/dev/null || true
exec env -i container=testbed PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-level=warning --show-status=no

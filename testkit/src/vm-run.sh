#!/bin/bash
# Boots a disk in an emulated machine, again and again until someone stops it: each time with the newest kernel in
# its /boot, as a boot loader would.
folder=$1 emulator=$2 tap=$3
inside=$folder/emulator
mkdir -p "$inside"
unshare --mount --propagation private bash -s "$@" <<'END'
folder=$1 emulator=$2 tap=$3
mount --bind "$emulator" "$folder/emulator"
mount -t tmpfs tmpfs "$folder/emulator/mnt"
mkdir "$folder/emulator/mnt/vm"
mount --bind "$folder" "$folder/emulator/mnt/vm"
mount --bind /dev "$folder/emulator/dev"
while [ ! -e "$folder/stop" ]; do
  kernel=$(debugfs -R 'ls -p /boot' "$folder/disk" 2>/dev/null | awk -F/ '/vmlinuz-/ { print $6 }' | sort -V | tail -1)
  debugfs -R "dump /boot/$kernel $folder/kernel" "$folder/disk" 2>/dev/null
  debugfs -R "dump /boot/initrd.img-${kernel#vmlinuz-} $folder/initrd" "$folder/disk" 2>/dev/null
  echo "booting $kernel" >> "$folder/console"
  chroot "$folder/emulator" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 1024 -smp 2 -nographic -no-reboot \
    -kernel /mnt/vm/kernel -initrd /mnt/vm/initrd -append "root=/dev/vda rw console=ttyS0 net.ifnames=0 quiet" \
    -drive file=/mnt/vm/disk,format=raw,if=virtio,cache=unsafe -netdev "tap,id=n,ifname=$tap,script=no,downscript=no" \
    -device virtio-net-pci,netdev=n < /dev/null >> "$folder/console" 2>&1 &
  echo $! > "$folder/pid"
  wait $!
done
END

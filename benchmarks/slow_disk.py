"""A folder as on a slow disk: each read request waits, bytes are rationed.

    python benchmarks/slow_disk.py FOLDER MOUNT [--latency 5] [--bandwidth 100] \
        [--spinning]

Stands in for a network disk, to which many requests may be under way; or with
--spinning for a disk whose arm is at one place at a time: requests come one by one, and
only such have to wait that do not begin within 4 MB from where the last one was. What
is read is kept in memory by the system as from any disk, and fetched ahead of a reader
as from NFS (128 kB). Needs FUSE and the package mfusepy. End it with Ctrl-C or
`fusermount3 -u MOUNT`; it then says what was asked of it.
"""

from __future__ import annotations

import argparse
import os
import threading
import time

import mfusepy


class SlowFolder(mfusepy.Operations):
    """Reads files of a folder, slowly.

    Args:
        latency: seconds that a request takes beside its bytes.
        bandwidth: bytes a second, of all requests together.
        spinning: whether requests wait for an arm.
    """

    use_ns = True

    def __init__(
        self, folder: str, latency: float, bandwidth: float, spinning: bool
    ) -> None:
        self.folder, self.latency, self.bandwidth = folder, latency, bandwidth
        self._spinning = spinning
        self._arm = threading.Lock()
        self._lock = threading.Lock()
        self._last = ("", 0)
        self._free_at = 0.0
        self.num_requests = self.num_bytes = 0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        status = os.lstat(self.folder + path)
        names = ("st_mode", "st_size", "st_nlink", "st_uid", "st_gid")
        times = {
            f"st_{kind}time": getattr(status, f"st_{kind}time_ns") for kind in "acm"
        }
        return {name: getattr(status, name) for name in names} | times

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self.folder + path)]

    def open(self, path: str, flags: int) -> int:
        return os.open(self.folder + path, os.O_RDONLY)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if not self._spinning:
            time.sleep(self.latency)
            self._transfer(size)
        else:
            with self._arm:
                last, self._last = self._last, (path, offset)
                if path != last[0] or abs(offset - last[1]) > 1 << 22:
                    time.sleep(self.latency)
                self._transfer(size)
        return os.pread(fh, size, offset)

    def _transfer(self, size: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / self.bandwidth
            self.num_requests += 1
            self.num_bytes += size
            wait = self._free_at - now
        time.sleep(wait)

    def destroy(self, path: str) -> None:
        print(f"{self.num_requests} requests, {self.num_bytes / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("mount")
    parser.add_argument("--latency", type=float, default=5.0, help="milliseconds")
    parser.add_argument("--bandwidth", type=float, default=100.0, help="MB a second")
    parser.add_argument("--spinning", action="store_true")
    args = parser.parse_args()
    folder = SlowFolder(
        os.path.abspath(args.folder),
        args.latency / 1e3,
        args.bandwidth * 1e6,
        args.spinning,
    )
    mfusepy.FUSE(folder, args.mount, foreground=True, ro=True, max_background=64)


if __name__ == "__main__":
    main()

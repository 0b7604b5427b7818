"""The memory a process may use, read from trees as they are found on real machines, and from broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.adapters.cgroup import Cgroup, Usage, bound, machine, memory_limit, working_set
from server.rules.pressure import CALM, Reading, Standing, decide

MIB = 2**20
NONE_V1 = "9223372036854771712"
V2_MOUNT = "41 31 0:38 {top} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 {top} {point} rw,relatime - cgroup cgroup rw,memory"
OTHER_MOUNTS = (
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
    "33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct",
)


class Tree:
    """A machine made of files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def process(self, *memberships: str, mounts: tuple[str, ...]) -> None:
        """What the process finds in its own directory of /proc."""
        self.write("proc/self/cgroup", "".join(f"{line}\n" for line in memberships))
        self.write("proc/self/mountinfo", "".join(f"{line}\n" for line in (*OTHER_MOUNTS, *mounts)))

    def write(self, path: str, text: str) -> None:
        """A file."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")

    def group(self, path: str, **files: object) -> None:
        """A control group: its files by name, with an underscore where the name has a dot."""
        for name, text in files.items():
            self.write(f"{path}/{name.replace('__', '.')}", f"{text}\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """An empty machine."""
    return Tree(tmp_path)


def v2(top: str = "/", point: str = "/sys/fs/cgroup") -> str:
    return V2_MOUNT.format(top=top, point=point)


def v1(top: str = "/", point: str = "/sys/fs/cgroup/memory") -> str:
    return V1_MOUNT.format(top=top, point=point)


def test_a_service_of_systemd_has_its_own_limit(tree: Tree) -> None:
    tree.process("0::/system.slice/yojohan.service", mounts=(v2(),))
    tree.group(
        "sys/fs/cgroup/system.slice/yojohan.service",
        memory__max=512 * MIB, memory__high="max", memory__current=300 * MIB,
        memory__stat=f"anon 1\nactive_file 0\ninactive_file {100 * MIB}",
    )  # fmt: skip
    tree.group("sys/fs/cgroup/system.slice", memory__max="max", memory__current=900 * MIB)
    assert memory_limit(tree.root) == 512 * MIB
    assert working_set(tree.root) == 200 * MIB
    assert Cgroup(tree.root).tightest() == Usage(512 * MIB, 200 * MIB)


def test_the_smaller_of_high_and_max_counts_since_the_kernel_slows_down_there(tree: Tree) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__max=512 * MIB, memory__high=435 * MIB, memory__current=MIB)
    assert memory_limit(tree.root) == 435 * MIB


def test_the_smallest_limit_of_all_above_counts_and_the_least_room_decides(tree: Tree) -> None:
    tree.process("0::/pod/box/app", mounts=(v2(),))
    tree.group("sys/fs/cgroup/pod/box/app", memory__max=400 * MIB, memory__current=100 * MIB)
    tree.group("sys/fs/cgroup/pod/box", memory__max=300 * MIB, memory__current=110 * MIB)
    tree.group("sys/fs/cgroup/pod", memory__max=1000 * MIB, memory__current=990 * MIB)
    assert memory_limit(tree.root) == 300 * MIB
    assert working_set(tree.root) == 100 * MIB
    # The neighbours in the pod have used it up.
    assert Cgroup(tree.root).tightest() == Usage(1000 * MIB, 990 * MIB)


def test_without_a_limit_there_is_none(tree: Tree) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__max="max", memory__high="max", memory__current=100 * MIB)
    assert memory_limit(tree.root) is None
    assert working_set(tree.root) == 100 * MIB
    assert Cgroup(tree.root).tightest() is None


def test_in_a_namespace_the_mount_point_is_the_group(tree: Tree) -> None:
    tree.process("0::/", mounts=(v2(),))
    tree.group("sys/fs/cgroup", memory__max=256 * MIB, memory__current=50 * MIB)
    assert memory_limit(tree.root) == 256 * MIB
    assert working_set(tree.root) == 50 * MIB


@pytest.mark.parametrize(
    ("path", "top"), [("/../../other/app", "/"), ("/", "/../.."), ("/docker/abc", "/elsewhere"), ("/gone", "/")]
)
def test_a_group_that_cannot_be_seen_leaves_what_is_at_the_mount_point(tree: Tree, path: str, top: str) -> None:
    tree.process(f"0::{path}", mounts=(v2(top=top),))
    tree.group("sys/fs/cgroup", memory__max=128 * MIB, memory__current=MIB)
    tree.group("other/app", memory__max=1)
    assert memory_limit(tree.root) == 128 * MIB


def test_only_part_of_the_hierarchy_may_be_mounted(tree: Tree) -> None:
    tree.process("4:memory:/docker/abc/inner", mounts=(v1(top="/docker/abc"),))
    tree.group("sys/fs/cgroup/memory", memory__limit_in_bytes=200 * MIB, memory__usage_in_bytes=9)
    tree.group("sys/fs/cgroup/memory/inner", memory__limit_in_bytes=NONE_V1, memory__usage_in_bytes=MIB)
    assert memory_limit(tree.root) == 200 * MIB
    assert working_set(tree.root) == MIB


def test_version_1_knows_limits_above_that_cannot_be_seen(tree: Tree) -> None:
    tree.process("9:name=systemd:/a", "4:memory:/a", mounts=(v1(),))
    tree.group(
        "sys/fs/cgroup/memory/a",
        memory__limit_in_bytes=NONE_V1, memory__usage_in_bytes=90 * MIB,
        memory__stat=f"hierarchical_memory_limit {150 * MIB}\ninactive_file 1\ntotal_inactive_file {40 * MIB}",
    )  # fmt: skip
    assert memory_limit(tree.root) == 150 * MIB
    assert Cgroup(tree.root).tightest() == Usage(150 * MIB, 50 * MIB)


def test_files_in_use_are_no_pressure_since_the_kernel_drops_them_first(tree: Tree) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group(
        "sys/fs/cgroup/a",
        memory__max=512 * MIB, memory__current=511 * MIB,
        memory__stat=f"anon {180 * MIB}\nfile {320 * MIB}\ninactive_file {20 * MIB}\nactive_file {300 * MIB}",
    )  # fmt: skip
    # What is needed, and a tenth of the files in use.
    found = Cgroup(tree.root).tightest()
    assert found == Usage(512 * MIB, (511 - 20 - 270) * MIB)
    assert decide(Standing(), Reading(found.limit, found.used, 0.0), 1.0).level == CALM


def test_version_1_counts_files_in_use_of_the_groups_below_as_well(tree: Tree) -> None:
    tree.process("4:memory:/a", mounts=(v1(),))
    tree.group(
        "sys/fs/cgroup/memory/a",
        memory__limit_in_bytes=150 * MIB, memory__usage_in_bytes=140 * MIB,
        memory__stat=f"active_file 7\ntotal_inactive_file {40 * MIB}\ntotal_active_file {50 * MIB}",
    )  # fmt: skip
    assert Cgroup(tree.root).tightest() == Usage(150 * MIB, (140 - 40 - 45) * MIB)


def test_memory_that_is_no_file_is_pressure(tree: Tree) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group(
        "sys/fs/cgroup/a",
        memory__max=512 * MIB, memory__current=500 * MIB,
        memory__stat=f"anon {300 * MIB}\nfile {190 * MIB}\nshmem {190 * MIB}\ninactive_file 0\nactive_file 0",
    )  # fmt: skip
    assert Cgroup(tree.root).tightest() == Usage(512 * MIB, 500 * MIB)


def test_version_1_without_a_limit_says_so_with_a_huge_number(tree: Tree) -> None:
    tree.process("4:memory:/", mounts=(v1(),))
    tree.group(
        "sys/fs/cgroup/memory",
        memory__limit_in_bytes=NONE_V1, memory__usage_in_bytes=5, memory__stat=f"hierarchical_memory_limit {NONE_V1}",
    )  # fmt: skip
    assert memory_limit(tree.root) is None
    assert working_set(tree.root) == 5


@pytest.mark.parametrize("number", ["4", "0"])
def test_with_both_versions_mounted_memory_is_read_where_it_is(tree: Tree, number: str) -> None:
    tree.process("4:memory:/a", "0::/a", mounts=(v1(), v2(point="/sys/fs/cgroup/unified")))
    if number == "4":
        tree.group("sys/fs/cgroup/memory/a", memory__limit_in_bytes=70 * MIB, memory__usage_in_bytes=MIB)
        tree.group("sys/fs/cgroup/unified/a", cgroup__procs="1")
    else:
        tree.group("sys/fs/cgroup/unified/a", memory__max=70 * MIB, memory__current=MIB)
        tree.group("sys/fs/cgroup/memory/a", cgroup__procs="1")
    assert memory_limit(tree.root) == 70 * MIB
    assert working_set(tree.root) == MIB


def test_a_mount_point_may_have_odd_letters(tree: Tree) -> None:
    tree.process("0::/ä b:c", mounts=(v2(point="/mnt/my\\040groups"),))
    tree.group("mnt/my groups/ä b:c", memory__max=64 * MIB, memory__current=1)
    assert memory_limit(tree.root) == 64 * MIB


@pytest.mark.parametrize("text", ["", "garbage", "-5", "0", "12 34", "٣", "1e9", "9" * 30])
def test_a_limit_that_is_no_number_is_none(tree: Tree, text: str) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__max=text, memory__current=5)
    assert memory_limit(tree.root) is None


@pytest.mark.parametrize("text", ["", "inactive_file", "inactive_file many", "\x00\xff"])
def test_use_is_taken_whole_where_the_files_in_it_are_not_told(tree: Tree, text: str) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__max=64 * MIB, memory__current=MIB, memory__stat=text)
    assert working_set(tree.root) == MIB


@pytest.mark.parametrize("missing", ["proc/self/cgroup", "proc/self/mountinfo", "sys/fs/cgroup/a/memory.current"])
def test_whatever_is_missing_reads_as_no_limit(tree: Tree, missing: str) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__max=64 * MIB, memory__current=MIB)
    (tree.root / missing).unlink()
    assert Cgroup(tree.root).tightest() is None
    assert working_set(tree.root) is None


def test_what_cannot_be_read_reads_as_no_limit(tree: Tree) -> None:
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__current=MIB)
    # A directory where a file is expected fails for root, too.
    (tree.root / "sys/fs/cgroup/a/memory.max").mkdir()
    assert memory_limit(tree.root) is None
    assert working_set(tree.root) == MIB


@pytest.mark.parametrize(
    ("memberships", "mount"), [("", v2()), ("nonsense", v2()), ("0::/a", "41 31"), ("0::/a", "a - b"), ("0::", v1())]
)
def test_nonsense_in_proc_reads_as_no_limit(tree: Tree, memberships: str, mount: str) -> None:
    tree.process(memberships, mounts=(mount,))
    tree.group("sys/fs/cgroup/a", memory__max=64 * MIB, memory__current=MIB)
    assert memory_limit(tree.root) is None


def test_the_machine_says_what_it_has(tree: Tree) -> None:
    tree.write("proc/meminfo", "MemTotal:        1000 kB\nMemFree:  10 kB\nMemAvailable:     400 kB\n")
    assert machine(tree.root) == Usage(1000 * 1024, 600 * 1024)


@pytest.mark.parametrize("text", ["", "MemTotal: 1000 kB\n", "MemTotal: x kB\nMemAvailable: 5 kB\n"])
def test_a_machine_that_does_not_say_is_not_asked(tree: Tree, text: str) -> None:
    tree.write("proc/meminfo", text)
    assert machine(tree.root) is None


def test_of_group_and_machine_the_tighter_one_bounds_this_process(tree: Tree) -> None:
    assert bound(tree.root) is None
    tree.write("proc/meminfo", "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n")
    assert bound(tree.root) == 1024 * MIB
    tree.process("0::/a", mounts=(v2(),))
    tree.group("sys/fs/cgroup/a", memory__max=512 * MIB, memory__current=MIB)
    assert bound(tree.root) == 512 * MIB
    tree.write("proc/meminfo", "MemTotal: 262144 kB\nMemAvailable: 131072 kB\n")
    assert bound(tree.root) == 256 * MIB


def test_this_machine_can_be_read() -> None:
    found = machine()
    assert found is not None
    assert 0 < found.used < found.limit
    limit = memory_limit()
    assert limit is None or limit > MIB

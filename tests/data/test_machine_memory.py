"""How much memory may be used: a container's limit counts, and huge requests are refused with numbers."""

import numpy as np
import pytest

from widthwise.data.machine_memory import machine_bytes
from widthwise.data.stream import Probes
from widthwise.data.synthetic import synthetic_points
from widthwise.data.targets import class_targets
from widthwise.errors import InputError
from widthwise.study import DataSettings


def put(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


VERSION_2 = {
    "proc/self/cgroup": "0::/job/step\n",
    "sys/fs/cgroup/job/memory.max": "1000000\n",
    "sys/fs/cgroup/job/step/memory.max": "max\n",
}
VERSION_1 = {
    "proc/self/cgroup": "5:cpu,cpuacct:/a\n4:memory:/outside\n0::/\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
    "sys/fs/cgroup/cpu/a/memory.limit_in_bytes": "1\n",
}


def test_limits_of_groups_and_of_those_around_them_count(tmp_path):
    assert machine_bytes(put(tmp_path / "two", VERSION_2)) == 1_000_000
    assert machine_bytes(put(tmp_path / "one", VERSION_1)) == 2_000_000


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"proc/self/cgroup": "nonsense\n\n0::\n"},
        {"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63}"},
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max"},
    ],
)
def test_without_a_limit_the_whole_machine_counts(tmp_path, files):
    whole = machine_bytes(tmp_path / "absent")
    assert machine_bytes(put(tmp_path, files)) == whole > 2**28


def test_more_synthetic_points_than_fit_are_refused_before_they_are_made():
    data = DataSettings(kind="synthetic", dimension=10**6, train=10**6)
    with pytest.raises(InputError, match=r"1,000,000 points in 1,000,000 dimensions need 16000.* GB"):
        synthetic_points(data, "mse")


def test_targets_of_a_large_vocabulary_take_no_table_of_all_pairs():
    """A table of 2^20 words would be 8 TB."""
    words = 2**20
    answers = np.array([[3, words - 1], [5, 0]])
    targets = Probes(answers, answers, 1, words).targets
    assert targets.shape == (2, words) and targets.sum() == 2
    assert targets[0, words - 1] == targets[1, 0] == 1
    assert class_targets(np.array([words - 1]), words, "cross_entropy").argmax() == words - 1

import platform

import pytest
import torch

from yulan.isa import isa


def test_the_instruction_set_is_the_one_that_torch_uses():
    words = isa().split()
    assert words[0] == platform.machine()
    if words[0] == "x86_64":
        assert words[1].upper() == torch.backends.cpu.get_cpu_capability()


def test_a_level_that_is_asked_for_counts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    isa.cache_clear()
    try:
        assert "avx2" in isa() or platform.machine() != "x86_64"
    finally:
        isa.cache_clear()

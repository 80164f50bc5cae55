import pytest

from runner.llama.report import device_of, parse_offloaded, parse_report
from statemachines.facts import AllocationReport, DeviceBytes
from statemachines.units import MIB

CPU_LINES = (
    "load_tensors: loading model tensors, this can take a while... (load_mode = mmap)",
    "load_tensors:   CPU_Mapped model buffer size =     2.50 MiB",
    "load_tensors:   CPU_REPACK model buffer size =     1.25 MiB",
    "llama_context:        CPU  output buffer size =     0.50 MiB",
    "llama_kv_cache:        CPU KV buffer size =     4.00 MiB",
    "llama_kv_cache: size =    4.00 MiB (  1024 cells,   2 layers,  1/1 seqs), K (f16):    2.00 MiB",
    "sched_reserve:        CPU compute buffer size =     8.00 MiB",
)


def mib(count: float) -> int:
    return round(count * MIB)


def test_buffers_of_one_memory_are_one_device() -> None:
    assert parse_report(CPU_LINES) == AllocationReport(
        (DeviceBytes("host", mib(2.5), mib(1.25), mib(4), mib(8), mib(0.5)),)
    )


def test_caches_add_up_but_a_compute_buffer_that_is_made_again_replaces_itself() -> None:
    again = (
        *CPU_LINES,
        "llama_kv_cache:        CPU KV buffer size =     1.00 MiB",
        "llama_memory_recurrent:        CPU RS buffer size =     2.00 MiB",
        "sched_reserve:        CPU compute buffer size =     9.00 MiB",
    )
    (host,) = parse_report(again).devices
    assert (host.kv_bytes, host.compute_bytes) == (mib(7), mib(9))


def test_each_accelerator_is_a_device_of_its_own() -> None:
    report = parse_report(
        [
            "load_tensors:        CUDA0 model buffer size =   100.00 MiB",
            "load_tensors:        CUDA1 model buffer size =    50.00 MiB",
            "llama_kv_cache:      CUDA0 KV buffer size =    10.00 MiB",
            "sched_reserve:  CUDA_Host compute buffer size =     3.00 MiB",
        ]
    )
    assert report.devices == (
        DeviceBytes("CUDA0", weight_bytes=mib(100), kv_bytes=mib(10)),
        DeviceBytes("CUDA1", weight_bytes=mib(50)),
        DeviceBytes("host", compute_bytes=mib(3)),
    )


@pytest.mark.parametrize("figure", ["1.2.3", "9" * 400, "-5.00", "1e9", "."])
def test_a_figure_that_is_none_is_passed_over(figure: str) -> None:
    assert parse_report([f"load_tensors: CPU model buffer size = {figure} MiB"]).devices == ()


def test_a_log_without_such_lines_gives_an_empty_report() -> None:
    assert parse_report(["print_info: file size   = 0.07 MiB (4.57 BPW)", ""]) == AllocationReport()


@pytest.mark.parametrize(
    ("buffer", "device"),
    [("CPU", "host"), ("CPU_AARCH64", "host"), ("AMX", "host"), ("CUDA_Host", "host"), ("MTL0_Mapped", "MTL0")],
)
def test_a_buffer_type_tells_its_memory(buffer: str, device: str) -> None:
    assert device_of(buffer) == device


def test_offloaded_layers_are_counted_where_the_log_says_so() -> None:
    assert parse_offloaded(["load_tensors: offloaded 3/13 layers to GPU"]) == 3
    assert parse_offloaded(CPU_LINES) == 0

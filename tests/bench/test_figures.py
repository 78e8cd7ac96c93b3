"""What is counted and concluded: operations, targets, memory, who takes part, the report."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from rich.console import Console

from monitor.bench import targets
from monitor.bench.contestant import BenchError
from monitor.bench.flops import Shape
from monitor.bench.memory import Mark, growth, is_flat, watch
from monitor.bench.openloop import Latency
from monitor.bench.padded import batches, padded
from monitor.bench.parts import Part
from monitor.bench.render import show
from monitor.bench.report import Lengths, Report
from monitor.bench.roster import Absent, Entry, entries, roster
from monitor.bench.rounds import Measured, Round

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "bench.schema.json").read_text("utf-8"))


def one(
    name: str, precision: str, seconds: float, *, agreed: float = 1.0, flops: float = 1e9
) -> Measured:
    """A contestant of 100 texts a round, in three rounds around `seconds`."""
    rounds = [Round(seconds * factor, seconds) for factor in (0.9, 1.0, 1.2)]
    return Measured(name, precision, 100, 7_800, flops, 78.0, rounds, agreed, 200)  # type: ignore[arg-type]


def test_operations_of_two_texts_are_those_counted_by_hand() -> None:
    # One layer of width 4 that widens to 8; texts of 3 and 5 tokens.
    # Four products 4x4 and two 4x8: 128 multiply-adds a token, so 256 x 8 = 2,048 operations.
    # Scores and mixture: 2 x 2 x 4 x (9 + 25) = 544. Heads: 2 x 2 texts x 4 x 23 = 368.
    assert 2_048 + 544 + 368 == Shape(4, 8, 1).flops([3, 5])


def test_layers_multiply_all_but_the_heads() -> None:
    heads = 2 * 2 * 4 * 23
    assert 3 * (2_048 + 544) + heads == Shape(4, 8, 3).flops([3, 5])


def test_a_token_of_minilm_costs_21_million_operations() -> None:
    assert pytest.approx(21.2e6, rel=0.01) == Shape(384, 1536, 6).flops([1])


def test_sizes_are_read_from_either_family_of_names(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"dim": 4, "hidden_dim": 8, "n_layers": 2}', "utf-8")
    assert Shape(4, 8, 2) == Shape.read(tmp_path)
    config.write_text('{"model_type": "other"}', "utf-8")
    with pytest.raises(BenchError, match="hidden_size"):
        Shape.read(tmp_path)


def test_sorted_batches_hold_every_row_once_within_the_budget() -> None:
    lengths = [(n * 37) % 120 + 1 for n in range(200)] + [5_000]
    found = batches(lengths, 1_024)
    assert list(range(201)) == sorted(row for batch in found for row in batch)
    assert all(len(b) * max(lengths[r] for r in b) <= 1_024 for b in found[:-1])
    assert [200] == found[-1]


def test_rows_are_padded_on_the_right_under_a_mask() -> None:
    ids, mask = padded([[5, 6, 7], [8]], pad=9)
    assert [[5, 6, 7], [8, 9, 9]] == ids.tolist()
    assert [[1, 1, 1], [1, 0, 0]] == mask.tolist()


MIX = [
    one("HF pipeline 1-by-1", "fp32", 2.0),
    one("monitor", "fp32", 1.0, flops=70e9),
    one("monitor", "bf16", 0.5, flops=70e9),
    one("HF pipeline b32", "fp32", 11.0),
    one("sentence-transformers b32", "fp32", 2.5),
    one("ONNX Runtime fused", "fp32", 0.9),
    one("OpenVINO", "bf16", 0.4, agreed=0.9),
]


def test_the_figures_to_reach_are_met_missed_or_not_measured() -> None:
    found = targets.on_cpu(MIX, {"fp32": 100e9, "bf16": 300e9})
    assert [
        ("sentence-transformers b32 fp32", "fp32", pytest.approx(2.5), "missed"),
        ("sentence-transformers b32 fp32", "bf16", pytest.approx(5.0), "met"),
        ("HF pipeline 1-by-1 fp32", "fp32", pytest.approx(2.0), "met"),
        ("HF pipeline 1-by-1 fp32", "bf16", pytest.approx(4.0), "met"),
        ("HF pipeline b32 fp32", "fp32", pytest.approx(11.0), "met"),
        ("HF pipeline b32 fp32", "bf16", pytest.approx(22.0), "met"),
        ("ONNX Runtime fused fp32", "fp32", pytest.approx(0.9), "missed"),
        ("ONNX Runtime fused fp32", "bf16", pytest.approx(1.8), "met"),
        ("OpenVINO bf16", "bf16", None, "not measured"),
        ("GEMM peak of this machine", "fp32", pytest.approx(0.7), "met"),
        ("GEMM peak of this machine", "bf16", pytest.approx(140 / 300), "missed"),
    ] == [(t.what, t.precision, t.reached, t.verdict) for t in found]


def test_without_bfloat16_its_figures_say_that_they_were_not_measured() -> None:
    found = targets.on_cpu([m for m in MIX if m.precision == "fp32"], {"fp32": 100e9})
    reasons = {target.why for target in found if target.precision == "bf16"}
    assert {"monitor bf16 was not measured"} == reasons


def part(name: str, rate: float, roof: float | None = None) -> Part:
    return Part("mix", "bf16", name, 100, [rate * 0.9, rate, rate * 1.1], roof)


def test_a_gpu_is_measured_against_its_peer_its_roof_and_its_own_parts() -> None:
    mix = [one("monitor", "bf16", 1.0), one("sentence-transformers b32", "bf16", 4.0)]
    parts = [
        part("tokeniser only", 190.0),
        part("device only", 400.0, 0.3),
        part("end to end", 160.0),
    ]
    reached = [(t.reached, t.verdict) for t in targets.on_cuda(mix, parts, 384)]
    assert [(4.0, "met"), (0.3, "met"), (pytest.approx(160 / 190), "met")] == reached


def test_a_base_size_has_a_roof_of_its_own_and_without_peers_no_ratio() -> None:
    found = targets.on_cuda([], [part("device only", 400.0, 0.3)], 768)
    assert [(0.4, "missed"), (0.8, "not measured")] == [(t.wanted, t.verdict) for t in found]


def test_memory_is_flat_when_the_last_third_adds_next_to_nothing() -> None:
    early = [Mark(0, 400.0), Mark(100, 700.0), Mark(200, 801.0)]
    assert is_flat([*early, Mark(250, 800.0), Mark(300, 801.0)])
    assert not is_flat([*early, Mark(250, 830.0), Mark(300, 860.0)])


def test_growth_is_what_the_line_through_the_last_third_adds() -> None:
    marks = [Mark(0, 0.0), Mark(200, 500.0), Mark(250, 510.0), Mark(300, 520.0)]
    assert pytest.approx(20.0) == growth(marks)
    with pytest.raises(ValueError, match="last third"):
        growth([Mark(0, 1.0), Mark(300, 2.0)])


def test_memory_is_looked_at_before_at_every_tenth_and_at_the_end() -> None:
    scored: list[str] = []
    used = iter(range(100))
    marks = watch(
        scored.extend, iter(f"t{n}" for n in range(2_005)), 2_005, resident=lambda: next(used)
    )
    assert [0, *range(200, 2_001, 200), 2_005] == [mark.texts for mark in marks]
    assert [f"t{n}" for n in range(2_005)] == scored


def test_who_is_not_installed_is_named_with_what_to_install() -> None:
    present, absent = roster(
        entries(), "cpu", native_bf16=True, has=lambda name: name != "openvino"
    )
    assert ["OpenVINO", "OpenVINO"] == [missing.name for missing in absent]
    assert "not installed (openvino): pip install 'monitor[bench]'" == absent[0].reason
    assert ("HF pipeline 1-by-1", "fp32") == (present[0].name, present[0].precision)


def test_bfloat16_that_is_emulated_takes_no_part() -> None:
    present, absent = roster(entries(), "cpu", native_bf16=False, has=lambda _name: True)
    assert {"fp32"} == {entry.precision for entry in present}
    assert {("monitor", "bf16"), ("OpenVINO", "bf16")} == {(a.name, a.precision) for a in absent}


def test_a_gpu_has_its_own_contestants_after_the_reference() -> None:
    present, absent = roster(entries(), "cuda", native_bf16=True, has=lambda _name: True)
    assert not absent
    assert ("HF pipeline 1-by-1", "fp32") == (present[0].name, present[0].precision)
    assert {"bf16"} == {entry.precision for entry in present[1:]}
    assert {"monitor", "HF pipeline b32", "sentence-transformers b32"} == {
        entry.name for entry in present[1:]
    }


def test_the_reference_and_the_scorer_need_nothing_beyond_the_program() -> None:
    def needs(entry: Entry) -> tuple[str, ...]:
        return entry.packages

    own = ("HF pipeline 1-by-1", "HF pipeline b32", "monitor")
    assert all(not needs(entry) for entry in entries() if entry.name in own)


def report(mix: list[Measured]) -> Report:
    return Report(
        date="2026-02-03T04:05:06+00:00",
        options={"seed": 7},
        hardware={"cpu": "Test CPU", "cores": 2, "cpu_flags": {"avx2": True}, "gpu": None},
        versions={"torch": "2.9.0", "openvino": None},
        model="default",
        device="cpu",
        threads=1,
        peaks={"fp32": {"F.linear": 100e9}, "bf16": {"F.linear": 300e9}},
        lengths={"mix": Lengths(600, 78.0, 8, 512)},
        contests={"mix": mix},
        absent=[Absent("OpenVINO", "fp32", "not installed (openvino)")],
        parts=[part("device only", 400.0, 0.3)],
        latencies=[Latency("mix", 0.5, 40.0, 200, 0.02, 0.09, 0.1)],
        memory=[Mark(0, 500.0), Mark(70, 801.0), Mark(85, 800.0), Mark(100, 801.0)],
        targets=targets.on_cpu(mix, {"fp32": 100e9, "bf16": 300e9}),
    )


def test_the_json_holds_to_its_schema_and_has_every_round() -> None:
    content = json.loads(json.dumps(report(MIX).as_json()))
    jsonschema.validate(content, SCHEMA)
    monitor = content["contests"]["mix"][1]
    assert [0.9, 1.0, 1.2] == [round_["seconds"] for round_ in monitor["rounds"]]
    assert 100.0 == monitor["texts_per_second"]
    faster = content["contests"]["mix"][0]["monitor_times_faster"]
    assert {"fp32": 2.0, "bf16": 4.0} == pytest.approx(faster)


def test_who_is_refused_has_a_reason_in_the_json_and_no_speed() -> None:
    refused = report(MIX).as_json()["contests"]["mix"][-1]
    assert "below 0.99" in refused["refused"]
    assert "texts_per_second" not in refused and "monitor_times_faster" not in refused


def shown(what: Report) -> str:
    console = Console(width=170, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as capture:
        show(what, console)
    return capture.get()


def test_the_tables_name_every_contestant_its_ratio_and_what_was_to_reach() -> None:
    text = shown(report(MIX))
    assert "2.50 x" in text and "missed" in text
    assert "0.9000 of 200 labels are the reference's" in text
    assert "not installed (openvino)" in text
    assert "20.0 ms" in text and "90.0 ms" in text
    assert "flat" in text


def test_a_scorer_that_disagrees_is_refused_by_name() -> None:
    mix = [MIX[0], one("monitor", "fp32", 1.0, agreed=0.95)]
    found = report(mix)
    (reason,) = found.ours_refused
    assert reason.startswith("mix, fp32: 0.9500")
    assert "monitor is refused" in shown(found)
    assert [] == report(MIX).ours_refused

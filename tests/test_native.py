"""The C program that proves a SavedModel without Python: what it accepts, what it notices, what it refuses."""

import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny_runs import autoencoder, spatial_vae, vector_vae, write_run

from export import __main__ as program_main
from export import bundle, parity
from export.kits.native import build, prove
from export.kits.serving import kit, warmup
from export.reference import Reference
from tfvae import serving
from tfvae.errors import UserError

needs_compiler = pytest.mark.skipif(build.compiler() is None, reason="no C compiler (cc, gcc, clang) on the PATH")
LIMIT = 1e-5
TIMED = (1, 8, 256)


class Served:
    """A tiny model with its SavedModel and warm-up file."""

    def __init__(self, folder, model, size):
        self.model, self.path, self.images = model, folder / "1", _images(*size, model.image_shape[-1])
        serving.write_saved_model(model, self.path)
        self.records = warmup.write(self.path, "tiny", model, size, [1, 2, 4])
        self.reference = Reference(model, self.images, 0)

    def prove(self, program, requests, timed=()):
        return prove.prove(self.reference, self.path, self.images, LIMIT, requests, timed, program)


def _images(height, width, channels):
    return np.random.default_rng(1).random((6, height, width, channels), np.float32)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return build.build(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("tiny"), vector_vae(), (8, 8))


@pytest.fixture(scope="module")
def proved(tiny, program):
    return tiny.prove(program, 500, TIMED)


@needs_compiler
def test_every_signature_answers_like_keras_at_every_batch_size(proved):
    facts, defects = proved
    assert defects == []
    assert set(facts["signatures"]) == {"encode", "decode", "reconstruct", "generate", "serving_default"}
    for signature in facts["signatures"].values():
        assert signature["max_abs"] <= LIMIT
        # Sizes 1 to 256, three warm-up records, a fifth of the run, and what was timed.
        assert signature["requests"] >= 256 + 3 + 100 + 5 * len(TIMED)
    assert facts["batches"] == "1 to 256, every size"


@needs_compiler
def test_the_warm_up_file_is_replayed(tiny, proved):
    assert proved[0]["warmup_records_replayed"] == tiny.records == 15


@needs_compiler
def test_memory_and_speed_are_measured(proved):
    facts, _ = proved
    assert facts["requests_in_a_row"] == 500 and facts["requests_per_second"] > 0
    resident = facts["resident_kib"]
    assert len(resident["by_tenths"]) == 10 and min(resident["by_tenths"]) > 50_000  # TensorFlow is in there
    assert resident["growth"] == resident["by_tenths"][-1] - resident["by_tenths"][0]
    for curve in facts["images_per_second"].values():
        assert list(curve) == ["1", "8", "256"] and all(rate > 0 for rate in curve.values())


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize(("model", "size"), [(spatial_vae(channels=3), (13, 10)), (autoencoder(), (8, 8))])
def test_other_kinds_of_models_pass_too(model, size, program, tmp_path):
    served = Served(tmp_path, model, size)
    facts, defects = served.prove(program, 100)
    assert defects == [] and ("generate" in facts["signatures"]) == (model.prior is not None)
    assert facts["image_shape"] == [*size, model.image_shape[-1]]


@pytest.fixture(scope="module")
def cases(tiny):
    """Requests with Keras's answers, by signature."""
    return {name: (inputs, dict(outputs)) for name, inputs, outputs in prove._cases(tiny.reference, tiny.images)}


@pytest.fixture
def ask(tiny, program, tmp_path):
    """Runs the program on cases, or on files of any content."""

    def run(cases, requests=0):
        paths = tmp_path / "cases", tmp_path / "answers"
        if isinstance(cases, bytes):
            paths[0].write_bytes(cases)
        else:
            prove._write_records(paths[0], [(name, *tensors) for name, tensors in cases.items()])
        prove._write_records(paths[1], prove._warmup_answers(tiny.reference, tiny.path))
        return prove.run(program, tiny.path, *paths, [1, 6], [1], requests)

    return run


@needs_compiler
def test_a_wrong_number_is_noticed_whichever_row_it_is_in(ask, cases):
    for row in (0, 5):
        inputs, outputs = cases["decode"]
        wrong = outputs["image"].copy()
        wrong[row, 3, 2, 0] += 1e-3
        found = ask({**cases, "decode": (inputs, {"image": wrong})})["signatures"]
        assert found["decode"]["max_abs"] == pytest.approx(1e-3, rel=1e-2)
        assert all(found[name]["max_abs"] <= LIMIT for name in found if name != "decode")
        assert prove.defects(_facts(found), LIMIT) == [
            f"decode through the C API: error {found['decode']['max_abs']} (bound 1e-05)"
        ]


@needs_compiler
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_never_within_the_bound(value, ask, cases):
    inputs, outputs = cases["encode"]
    wrong = {**outputs, "mean": np.where(np.arange(18).reshape(6, 3) == 0, value, outputs["mean"])}
    found = ask({"encode": (inputs, wrong), "reconstruct": cases["reconstruct"]}, requests=20)["signatures"]
    assert found["encode"]["max_abs"] is None and found["reconstruct"]["max_abs"] <= LIMIT
    assert "encode through the C API: error None (bound 1e-05)" in prove.defects(_facts(found), LIMIT)


@needs_compiler
def test_an_answer_of_another_shape_is_no_match(ask, cases):
    inputs, outputs = cases["decode"]
    found = ask({"decode": (inputs, {"image": outputs["image"].reshape(6, 4, 16, 1)})})["signatures"]
    assert found["decode"]["max_abs"] is None


@needs_compiler
def test_requests_that_the_model_cannot_answer_end_in_one_line(ask, cases):
    inputs, outputs = cases["decode"]
    for asked, said in [
        ({"paint": (inputs, outputs)}, "the model has no signature 'paint'"),
        ({"decode": ({"y": inputs["z"]}, outputs)}, "signature 'decode': the record has no tensor 'z'"),
        ({"decode": (inputs, {"picture": outputs["image"]})}, "the record has no tensor 'image'"),
        ({"decode": ({"z": inputs["z"][:, :2]}, outputs)}, "decode: .*"),
        ({"decode": ({}, outputs)}, "a request for signature 'decode' has no inputs"),
    ]:
        with pytest.raises(RuntimeError, match=f"code 2.*{said}"):
            ask(asked)


@needs_compiler
def test_damaged_files_are_refused(ask, cases, tmp_path):
    prove._write_records(tmp_path / "good", [(name, *tensors) for name, tensors in cases.items()])
    good = (tmp_path / "good").read_bytes()
    flipped = bytearray(good)
    flipped[40] ^= 1
    for content, said in [
        (bytes(flipped), "record 0 is damaged"), (good[:-3], "record 4 is cut short"), (good[:7], "cut short"),
        (b"", "has no records"), (b"x" * 64, "record 0 is damaged"),
    ]:  # fmt: skip
        with pytest.raises(RuntimeError, match=said):
            ask(content)


@needs_compiler
def test_no_content_of_a_record_reads_or_writes_outside_its_memory(cases, tmp_path):
    """Records with changed bytes and right checksums, under the address and undefined-behaviour sanitizers."""
    source = tmp_path / "main.c"
    source.write_text(
        '#include "records.h"\n'
        "int main(int n, char **a) { Cases c = read_cases(a[n - 1]); free_cases(&c); return 0; }\n"
    )
    program, folder = tmp_path / "records", Path(build.__file__).parent
    command = [
        build.compiler(),
        "-std=c11",
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover",
        f"-I{folder}",
    ]
    command += [str(source), str(folder / "records.c"), "-o", str(program)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("this compiler has no sanitizers")
    inputs, outputs = cases["encode"]
    prove._write_records(tmp_path / "good", [("encode", {"image": inputs["image"][:1]}, {"mean": outputs["mean"][:1]})])
    (record,) = tf.data.TFRecordDataset(str(tmp_path / "good")).as_numpy_iterator()
    assert subprocess.run([program, tmp_path / "good"], capture_output=True).returncode == 0
    rng, codes = np.random.default_rng(0), []
    structure = [i for i in range(len(record)) if i < 70 or i > len(record) - 60]  # not the pixels between
    for _ in range(80):
        changed = bytearray(record)
        for place in rng.choice(structure, rng.integers(1, 4), replace=False):
            changed[place] = rng.integers(256)
        with tf.io.TFRecordWriter(str(tmp_path / "changed")) as writer:
            writer.write(bytes(changed[: rng.integers(1, len(changed) + 1)] if rng.random() < 0.3 else changed))
        process = subprocess.run([program, tmp_path / "changed"], capture_output=True, text=True, errors="replace")
        codes.append(process.returncode)
        assert process.returncode == 0 or process.stderr.startswith("serve: error: "), process.stderr
        # A refusal leaves memory to the system; nothing else may be said.
        assert "runtime error" not in process.stderr and "overflow" not in process.stderr
    assert {0, 2} <= set(codes)


def _facts(signatures, requests=0, growth=0):
    return {"signatures": signatures, "requests_in_a_row": requests, "resident_kib": {"growth": growth}}


def test_growing_memory_is_a_defect_of_a_long_run():
    good = {"decode": {"requests": 9, "max_abs": 0.0}}
    assert prove.defects(_facts(good, 100_000, prove.MOST_GROWTH_KIB), LIMIT) == []
    (line,) = prove.defects(_facts(good, 100_000, prove.MOST_GROWTH_KIB + 1), LIMIT)
    assert line == "memory grew by 4097 KiB in 100000 requests (bound 4096)"
    assert prove.defects(_facts({"decode": {"requests": 0, "max_abs": 0.0}}), LIMIT) == [
        "decode was not asked through the C API"
    ]


def test_the_images_of_requests_differ_from_each_other():
    images = prove.mixtures(_images(8, 8, 1), 256)
    assert len(np.unique(images.reshape(256, -1), axis=0)) == 256
    assert images.dtype == np.float32 and images.min() >= 0 and images.max() <= 1


def test_the_checksum_is_that_of_tfrecord(tmp_path):
    """CRC-32C of a record's length is what TensorFlow wrote: the framing that the C program reads is the real one."""
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
        writer.write(b"123")
    length, crc = struct.unpack("<QI", (tmp_path / "one").read_bytes()[:12])
    bits = ~0 & 0xFFFFFFFF
    for byte in struct.pack("<Q", length):
        bits ^= byte
        for _ in range(8):
            bits = bits >> 1 ^ (0x82F63B78 if bits & 1 else 0)
    bits = ~bits & 0xFFFFFFFF
    assert length == 3 and crc == ((bits >> 15 | bits << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_without_a_compiler_there_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="--native needs a C compiler"):
        build.build(tmp_path)


@pytest.fixture
def bundled(tmp_path):
    """A bundle's SavedModel and `serving/`, with the work they came from."""
    run = write_run(tmp_path / "digits", vector_vae())
    work = bundle._prepare(bundle.open_run(run), None, parity.BOUNDS, lambda line: None)
    artefact = bundle._saved_model(work, tmp_path, "saved_model/1", lambda line: None)
    kit.write(work, [artefact], tmp_path)
    return work, artefact, tmp_path


@pytest.mark.slow
@needs_compiler
def test_the_proof_becomes_a_fact_of_the_saved_model(bundled):
    work, artefact, folder = bundled
    line = prove.write(work, [artefact], folder, 30)
    facts = json.loads(json.dumps(artefact.facts["c_api"], allow_nan=False))
    assert facts["requests_in_a_row"] == 30 and artefact.written and (folder / "saved_model").is_dir()
    assert facts["warmup_records_replayed"] == artefact.facts["warmup_records"] == 5 * 9
    assert line.startswith("saved_model/1 without Python: 30 requests through TensorFlow's C API, max error ")


@pytest.mark.slow
def test_a_saved_model_that_misses_its_bound_in_c_is_withheld_with_what_serves_it(bundled, monkeypatch):
    work, artefact, folder = bundled
    monkeypatch.setattr(prove, "prove", lambda *_: ({"signatures": {}}, ["memory grew by 9999 KiB"]))
    assert prove.write(work, [artefact], folder, 30) == "WITHHELD saved_model/1: memory grew by 9999 KiB"
    assert not artefact.written
    assert not (folder / "saved_model").exists() and not (folder / "serving").exists()
    assert prove.write(work, [artefact], folder, 30).startswith("no SavedModel was written")


@pytest.mark.slow
def test_the_program_takes_a_number_of_requests(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.toml").write_text("")
    asked = []
    monkeypatch.setattr(bundle, "export_run", lambda *_, native, **__: asked.append(native) or [])
    for arguments in ([], ["--native"], ["--native", "2000"]):
        assert program_main.main([str(tmp_path), *arguments]) == 0
    assert asked == [0, 100_000, 2000]
    for wrong in ("0", "many", "-3"):
        assert program_main.main([str(tmp_path), f"--native={wrong}"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
@needs_compiler
def test_a_leak_of_one_answer_a_request_is_noticed(tiny, tmp_path, monkeypatch):
    """The same program, except that it forgets to free what it was answered."""
    source = build.SOURCES[0].read_text(encoding="utf-8")
    assert source.count("    TF_DeleteTensor(found[i]);\n") == 1
    for file in build.SOURCES[0].parent.glob("*.[ch]"):
        shutil.copy(file, tmp_path)
    (tmp_path / "serve.c").write_text(source.replace("    TF_DeleteTensor(found[i]);\n", ""), encoding="utf-8")
    monkeypatch.setattr(build, "SOURCES", tuple(tmp_path / file.name for file in build.SOURCES))
    facts, (defect,) = tiny.prove(build.build(tmp_path), 20_000)
    assert defect.startswith("memory grew by ") and facts["resident_kib"]["growth"] > prove.MOST_GROWTH_KIB
    assert all(signature["max_abs"] <= LIMIT for signature in facts["signatures"].values())


@pytest.mark.slow
@needs_compiler
def test_a_hundred_thousand_requests_leave_memory_as_it_was(tiny, program):
    facts, defects = tiny.prove(program, 100_000)
    assert defects == [] and facts["requests_in_a_row"] == 100_000

"""Make the int8 form of an embedding model on this machine.

Run it as `python -m deployments.npu.openvino.quantise`.

Post-training quantisation by NNCF, calibrated on real text. The result gets a name of its own
(`gte-small-int8`): its vectors are close to the float model's, not the same, so the two are never
mixed. Needs the extra `quantise` (NNCF, scikit-learn, SciPy), which no room needs to run.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autobot.errors import SetupError
from autobot.settings import Settings
from deployments.npu.openvino.text_encoders import INT8, MANIFEST, TextEncoders, sha256

SAMPLES = 256


def quantise(name: str, settings: Settings) -> Path:
    """Write the int8 form of catalogue model ``name`` and return its folder.

    Raises `ModelNotFound`; `SetupError` without NNCF.
    """
    try:
        import nncf
    except ImportError as error:
        raise SetupError(
            "NNCF is not installed.", "Install the extra: pip install 'autobot[quantise]'."
        ) from error
    import openvino

    encoders = TextEncoders(settings)
    source = encoders.find(name)
    model = openvino.Core().read_model(source.folder / "model.onnx")
    inputs = {port.get_any_name() for port in model.inputs}
    feeds = [
        {key: value for key, value in feed.items() if key in inputs}
        for feed in calibration(source.folder / "tokenizer.json", source.max_tokens)
    ]
    made: Any = nncf.quantize(
        model,
        nncf.Dataset(feeds),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(feeds),
        preset=nncf.QuantizationPreset.MIXED,
    )
    folder = encoders.int8_folder(name + INT8)
    staging = folder.with_name(folder.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    openvino.save_model(made, staging / "model.xml", compress_to_fp16=False)
    shutil.copy(source.folder / "tokenizer.json", staging)
    manifest = {
        "source_sha256": encoders.source_digest(name),
        "made_by": f"nncf {nncf.__version__}, openvino {openvino.__version__}",
        "calibration": f"{len(feeds)} of Python {sys.version.split()[0]}'s own docstrings",
        "sha256": {file.name: sha256(file) for file in sorted(staging.iterdir())},
    }
    (staging / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    staging.rename(folder)
    return folder


def calibration(tokenizer_file: Path, max_tokens: int) -> Iterator[dict[str, Any]]:
    """Yield inputs of one real text each: documentation that every Python carries."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.no_padding()
    for text in real_texts():
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        yield {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}


def real_texts() -> list[str]:
    """Return `SAMPLES` documentation strings of the standard library, long and short."""
    import ast
    import sysconfig

    texts: list[str] = []
    library = Path(sysconfig.get_path("stdlib"))
    for file in sorted(library.glob("*.py")):
        tree = ast.parse(file.read_text("utf-8", errors="replace"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        found = (ast.get_docstring(n) for n in ast.walk(tree) if isinstance(n, documented))
        texts += [text for text in found if text and len(text) > 40]
    return texts[:: max(1, len(texts) // SAMPLES)][:SAMPLES]


def main() -> None:
    """Make the form that the command line asks for, and print its folder."""
    parser = argparse.ArgumentParser(prog="python -m deployments.npu.openvino.quantise")
    parser.add_argument("model", nargs="?", default="gte-small")
    print(quantise(parser.parse_args().model, Settings()))


if __name__ == "__main__":
    main()

"""`./kiln build`: a Keras model -> a verified bundle in the store."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .source import Source

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "model" / "store"
LONGEST_NAME = 64


def main() -> None:
    """Command line. Exit status 0, or 1 with one message on standard error; 130 and 143 when stopped.

    With --json the message is on standard output, too, as {"error": ...}.
    """
    options = _options()
    stop = Stop()
    try:
        _build(options, stop)
    except (Exception, KeyboardInterrupt) as fault:
        status = 128 + stop.signal if stop.signal else 1
        message = "stopped; the store is as it was." if stop.signal else _message(fault)
        if options.json:
            print(json.dumps({"error": message}))
        print(f"kiln: {message}", file=sys.stderr)
        sys.exit(status)


def _message(fault: BaseException) -> str:
    from ..errors import ModelError
    from .errors import reason

    if isinstance(fault, ModelError):
        return fault.message
    with tempfile.NamedTemporaryFile("w", prefix="kiln-build-", suffix=".txt", delete=False) as file:
        traceback.print_exception(fault, file=file)
    return f"The build failed where it should not: {type(fault).__name__}: {reason(fault)} All of it is in {file.name}."


class Stop:
    """SIGINT and SIGTERM as KeyboardInterrupt, so that what is half built is removed.

    TensorFlow may turn that into an error of its own, or lose it: `signal` tells, and `check` raises again.
    """

    def __init__(self) -> None:
        self.signal = 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._take)

    def check(self) -> None:
        """Raises KeyboardInterrupt once a signal has come."""
        if self.signal:
            raise KeyboardInterrupt

    def _take(self, number: int, _: object) -> None:
        self.signal = number
        sys.unraisablehook = lambda _: None  # TensorFlow's native code prints what it makes of being interrupted
        raise KeyboardInterrupt


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kiln build", description="Make a proven bundle of a Keras model.")
    parser.add_argument(
        "path",
        help="a .keras or .h5 file, an architecture .json (with --weights), a SavedModel folder, or "
        "keras.applications:NAME (with --weights), e.g. 'keras.applications:MobileNetV2?alpha=0.5&input_shape=96,96,3'",
    )
    parser.add_argument("--name", required=True, help="of the model in the store")
    parser.add_argument("--version", default="", help="a whole number; by default one more than the newest")
    parser.add_argument("--labels", default="", help="a,b or a file: a label a line, or JSON (class_index.json)")
    parser.add_argument(
        "--preprocess",
        default="",
        help="what makes a picture the model's input: a family (mobilenet, resnet50, efficientnet, ...), a range "
        "(0..255, 0..1, -1..1, caffe, torch), changes to it (fit=crop,method=bicubic,colour=bgr,size=224x224,"
        "mean=1/2/3,scale=0.01,dtype=uint8), a JSON file, or none",
    )
    parser.add_argument("--photos", type=Path, help="folder of pictures to prove and measure on, too")
    parser.add_argument(
        "--inputs",
        type=Path,
        help="rows to prove and measure on instead of random ones, for a model of tensors: .npz with an array for each "
        "input, by its name, or .npy for a single one",
    )
    parser.add_argument("--store", type=Path, default=STORE, help="folder of the bundles")
    parser.add_argument(
        "--quantize",
        action="append",
        choices=("int8", "float16"),
        default=[],
        help="add a candidate of fewer bits and show what it loses; --engine litert-int8 chooses it; may be repeated",
    )
    parser.add_argument("--engine", default="", help="choose this engine, not the fastest")
    parser.add_argument(
        "--scores",
        default="",
        choices=("as_is", "softmax", "sigmoid"),
        help="how the first "
        "output becomes the labels' scores; by default as_is where it is from 0 to 1, else softmax, or sigmoid of one",
    )
    parser.add_argument("--weights", type=Path, help=".h5 file for an architecture or an application")
    parser.add_argument(
        "--trained-with",
        default="",
        choices=("tensorflow", "theano"),
        help="what Keras ran on, for a model of Keras 1 whose file does not tell",
    )
    parser.add_argument("--allow-unsafe", action="store_true", help="run Python code that the model's file holds")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_args(_joined(sys.argv[1:]))
    _from_caller(options)
    return options


def _joined(arguments: list[str]) -> list[str]:
    """`--preprocess -1..1` as `--preprocess=-1..1`: argparse takes what begins with "-" for an option."""
    joined: list[str] = []
    for argument in arguments:
        if re.match(r"-\.?\d", argument) and joined and joined[-1].startswith("--"):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined


def _from_caller(options: argparse.Namespace) -> None:
    """Relative paths are relative to where the user stands; the launcher is in its own folder by now."""
    stands = Path(os.environ.get("KILN_CWD", "."))
    for name in ("inputs", "photos", "store", "weights"):
        if getattr(options, name) is not None:
            setattr(options, name, (stands / getattr(options, name)).resolve())
    if not options.path.startswith("keras.applications:"):
        options.path = os.path.normpath(stands / options.path)  # a link keeps its name
    for name, endings in (("labels", (".txt", ".json")), ("preprocess", (".json",))):
        text = getattr(options, name)
        if text.endswith(endings) or (name == "labels" and text and (stands / text).is_file()):
            setattr(options, name, str(stands / text))


def _build(options: argparse.Namespace, stop: Stop) -> None:
    from rich.console import Console

    from .. import families, quiet
    from ..errors import ModelError
    from . import labels
    from .errors import BuildError

    problems: list[str] = []

    def checked(what: Any, *arguments: Any) -> Any:
        try:
            return what(*arguments)
        except ModelError as error:
            problems.append(error.message)

    notes: list[str] = []
    names = checked(labels.read, options.labels, notes.append) if options.labels else ()
    proposed = checked(families.parse, options.preprocess) if options.preprocess not in ("", "none") else None
    problems += _problems(options)
    if problems:
        raise BuildError("\n".join(problems))

    from .report import Steps, as_json, curl, description, doubts, on_a_node, reasons, run, table

    with quiet.native_code(), Steps(Console(stderr=True), stop.check) as steps:
        with steps.step("Starting TensorFlow"):
            from . import assemble, golden, loaders
        with steps.step("Loading the model"):
            source = loaders.load(
                options.path,
                options.weights,
                allow_unsafe=options.allow_unsafe,
                trained_with=options.trained_with,
            )
        if proposed is None and options.preprocess != "none" and source.application:
            proposed = families.of_application(source.application)
        if proposed is not None and len(source.inputs) != 1:
            raise BuildError("--preprocess makes one input of a picture, and the model has several.")
        how = (
            families.complete(proposed, source.inputs[0].shape, source.inputs[0].dtype)
            if proposed is not None
            else None
        )
        own = golden.own_inputs(options.inputs, source.inputs) if options.inputs is not None else None
        request = assemble.Request(
            store=options.store,
            name=options.name,
            version=options.version or str(assemble.newest_version(options.store, options.name) + 1),
            labels=names,
            preprocessing=how,
            photos=options.photos,
            inputs=own,
            quantize=tuple(dict.fromkeys(options.quantize)),
            engine=options.engine,
            scores=options.scores,
            built_from={"command": "./kiln build", "source": Path(options.path).name},
        )
        bundle = assemble.build(source, request, step=steps.step)
    if options.json:
        print(json.dumps(as_json(bundle) | {"notes": notes}, indent=1))
        return
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print("\n".join([*description(bundle), *notes]))
    console.print(table(bundle))
    console.print("\n".join((*reasons(bundle), *doubts(bundle))))
    if proposal := "" if how is not None or options.preprocess == "none" else _proposal(source):
        console.print(proposal)
    serve = f"serve it    {run(bundle, STORE)}{on_a_node(bundle)}"
    console.print(f"\nThe bundle  {bundle.folder}\n{serve}\nask it      {curl(bundle)}")


def _proposal(source: Source) -> str:
    """What --preprocess would do for a model that takes tensors alone, or nothing where it is not of pictures."""
    from .. import families

    (first, *others) = source.inputs
    if others or not families.looks_like_pictures(first.shape, first.dtype):
        return ""
    if not source.based_on:
        return "The input looks like a picture's. With --preprocess the model takes pictures, too."
    return (
        f"It holds {source.based_on} of keras.applications. With --preprocess {families.named_after(source.based_on)} "
        "the model takes pictures, too; with --preprocess 0..255 where it has layers of its own that rescale them."
    )


def _problems(options: argparse.Namespace) -> list[str]:
    """What is wrong with the other options, each in a sentence."""
    from .. import disk
    from ..policy import is_number
    from .exporting import QUANTIZED

    found = []
    if not disk.is_name(options.name) or len(options.name) > LONGEST_NAME:
        found.append(
            f"--name {options.name!r}: take letters, digits, '.', '_' and '-', at most {LONGEST_NAME}, "
            "a letter or digit first."
        )
    if options.version and not is_number(options.version):
        found.append(
            f"--version {options.version!r} is no whole number like 3, without a zero before it, of 18 digits at most."
        )
    elif (target := options.store / options.name / options.version).exists() and options.version:
        found.append(f"{target} exists. Choose another version or remove it first.")
    if options.scores not in ("", "as_is") and not options.labels:
        found.append(f"--scores {options.scores} needs --labels: without them the values are answered as they are.")
    if (kind := options.engine.removeprefix("litert-")) in QUANTIZED and kind not in options.quantize:
        found.append(f"--engine {options.engine} needs --quantize {kind}.")
    if options.photos is not None and not options.photos.is_dir():
        found.append(f"--photos: {options.photos} is no folder.")
    if not options.path.startswith("keras.applications:") and not Path(options.path).exists():
        found.append(f"{options.path} does not exist.")
    if options.inputs is not None and not options.inputs.is_file():
        found.append(f"--inputs: {options.inputs} does not exist.")
    if options.weights is not None and not options.weights.is_file():
        found.append(f"--weights: {options.weights} does not exist.")
    return found


if __name__ == "__main__":
    main()

"""
Notebooks of the series in .NET Interactive itself: the installed tool behind Jupyter's nbconvert, compared with our own engine.

    /usr/bin/python3 tests/jupyter/test_interactive.py [NOTEBOOK...]

Without names four fixed notebooks; with "all" every one of the series. The tool and the two packages go to a folder that is thrown
away; of the user's package cache only the copies of our own two packages are replaced, since a version that lies there would hide
the one just built.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import support

TOOL = ("Microsoft.dotnet-interactive", "1.0.712001")
FIXED = [
    "notebooks/00-start-here.ipynb", "notebooks/01-sparse-coding/probabilistic-sparse-coding.ipynb",
    "notebooks/02-bayesian-recovery/one-problem-every-solver.ipynb", "notebooks/03-sparse-autoencoders/from-activations-to-features.ipynb",
]
NAMED = [name for name in sys.argv[1:] if not name.startswith("-")]
PROGRESS = re.compile(r"(: [\d,]+( of [\d,]+)? \w+|: done)( \(.*\))?$")
TIMES = re.compile(r"Stopwatch|Elapsed|Seconds|\bms\b|faster|speed|clock", re.IGNORECASE)
NUMBERS = re.compile(r"[-−]?\d[\d.,]*(×10[⁻⁰¹²³⁴-⁹]+|E[-+]?\d+)?\s*")
# What sums in another order leave of an exact zero: 8.9e-16 here and 5.6e-16 there.
ROUNDING = re.compile(r"\d[\d.]*(×10⁻¹[³⁴-⁹]|[eE]-1[3-9])(?![\d⁰¹²³⁴-⁹]) *")
CLAIMS = "application/vnd.sparseland.claims+json"


def notebooks():
    if NAMED == ["all"]:
        return sorted(str(path.relative_to(support.ROOT)) for path in (support.ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
    return NAMED or FIXED


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def shown(cell):
    """Plain text of what a cell displays and of its result, without times, progress and the host's own lines."""
    texts = []
    for output in cell.get("outputs", []):
        if output["output_type"] == "error":
            texts.append(f"{output['ename']}: {output['evalue']}")
        data = output.get("data", {})
        text = data.get("text/plain", "")
        text = "".join(text) if isinstance(text, list) else text
        if CLAIMS in data or not text or text.startswith(("Loading extensions from", "Sparseland 0.")):
            continue
        html = "".join(data.get("text/html", ""))
        if "sl-time" in html or re.search(r"\d (ms|s|min)\b", text) or PROGRESS.search(text):
            continue
        texts.append(ROUNDING.sub("0 ", text).strip())
    return texts


class Interactive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="interactive-"))
        cls.home = support.Home()
        # As many threads as the tests gave each notebook: sums in another order differ in their last digits.
        threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
        cls.home.environment.update(OMP_NUM_THREADS=threads, DOTNET_PROCESSOR_COUNT=threads)
        cls.environment = dict(cls.home.environment, SPARSELAND_SCALE="quick", SPARSELAND_QUIET="1", DOTNET_NOLOGO="1", DOTNET_CLI_TELEMETRY_OPTOUT="1")
        run("dotnet", "tool", "install", "--tool-path", cls.folder / "tool", TOOL[0], "--version", TOOL[1])
        feed = cls.folder / "feed"
        for project in ("Sparseland", "Sparseland.Notebooks"):
            # In the configuration of the tests, which have built it (optimised in each): nothing is compiled anew but the extension.
            run("dotnet", "pack", support.ROOT / "src" / project, "-c", "Debug", "-v", "q", "-o", feed)
            cached = pathlib.Path(cls.environment["NUGET_PACKAGES"]) / project.lower() / "0.1.0"
            shutil.rmtree(cached, ignore_errors=True)
        kernels = cls.folder / "jupyter/kernels"
        kernels.mkdir(parents=True)
        cls.environment["PATH"] = f"{cls.folder / 'tool'}:{cls.environment['PATH']}"
        run("dotnet-interactive", "jupyter", "install", "--path", kernels, env=cls.environment)
        # A kernel of the same name in the data folder would come first: that is our own.
        shutil.rmtree(cls.home.folder / "data/kernels", ignore_errors=True)
        cls.environment["JUPYTER_PATH"] = str(kernels.parent)
        cls.feed = feed

    @classmethod
    def tearDownClass(cls):
        cls.home.remove()
        shutil.rmtree(cls.folder, ignore_errors=True)

    def in_interactive(self, path):
        notebook = json.loads((support.ROOT / path).read_text(encoding="utf-8"))
        setup = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        setup["source"] = [f'#i "nuget:{self.feed}"\n', *setup["source"]]
        place = self.folder / "run" / pathlib.Path(path).name
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps(notebook), encoding="utf-8")
        began = time.monotonic()
        run("jupyter", "nbconvert", "--to", "notebook", "--execute", "--ExecutePreprocessor.timeout=600", "--allow-errors", "--inplace", place,
            env=dict(self.environment, SPARSELAND_DATA=str(support.ROOT / "data")))
        print(f"{path}: {time.monotonic() - began:.0f} s in .NET Interactive", flush=True)
        return json.loads(place.read_text(encoding="utf-8"))

    def in_ours(self, path):
        stored = support.ROOT / "artifacts/executed" / pathlib.Path(path).relative_to("notebooks")
        built = pathlib.Path(support.program()[-1])
        if not stored.exists() or stored.stat().st_mtime < max((support.ROOT / path).stat().st_mtime, built.stat().st_mtime):
            self.home.run("run", str(support.ROOT / path), "--scale", "quick", "--output", str(self.folder / "ours"))
            stored = self.folder / "ours" / pathlib.Path(path).name
        return json.loads(stored.read_text(encoding="utf-8"))

    def test_notebooks_show_the_same(self):
        for path in notebooks():
            with self.subTest(path):
                theirs, ours = self.in_interactive(path), self.in_ours(path)
                self.assertEqual(len(ours["cells"]), len(theirs["cells"]))
                compared = 0
                for number, (mine, other) in enumerate(zip(ours["cells"], theirs["cells"])):
                    code = "".join(mine["source"])
                    if "Plotly.NET" in code:
                        # Known: that host carries an FSharp.Core older than Plotly.NET asks for.
                        continue
                    left, right = shown(mine), shown(other)
                    if left != right and TIMES.search(code + " ".join(left)):
                        # Where times are measured, all but the numbers.
                        left, right = [[NUMBERS.sub("#", text) for text in side] for side in (left, right)]
                    self.assertEqual(left, right, f"{path}, cell {number}: {code[:200]}")
                    compared += len(left)
                self.assertGreater(compared, 5, path)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

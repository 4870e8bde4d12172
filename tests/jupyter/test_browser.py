"""
The classic Notebook page in headless chromium (Debian: jupyter-notebook, chromium, chromium-driver, python3-selenium).

    /usr/bin/python3 tests/jupyter/test_browser.py [Test.name ...]

Types, completes, runs, draws and interrupts as a reader would. Screenshots go to artifacts/jupyter.
"""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import unittest
import urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import support

PATIENCE = 40
TOKEN = "reader"
PICTURES = support.ROOT / "artifacts/jupyter"
TEMPLATE = (support.ROOT / "src/Sparseland.Kernel/Notebooks/NotebookTemplate.cs").read_text(encoding="utf8")
SETUP = "\n".join(line[8:] for line in re.search(r'SetupCell = """\n(.*?)\n        """;', TEMPLATE, re.S).group(1).split("\n"))
CHART = 'Chart.Curves([("falling", new double[] { 9, 4, 2, 1 })], x: "step", y: "error [1]", title: "A falling curve", caption: "It falls.")'


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def notebook(*cells):
    """A notebook file of code cells, as text."""
    return json.dumps({
        "cells": [
            {"cell_type": "code", "execution_count": None, "id": f"c{i}", "metadata": {}, "outputs": [], "source": source}
            for i, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"display_name": ".NET (C#)", "language": "C#", "name": support.KERNEL}},
        "nbformat": 4,
        "nbformat_minor": 5,
    })


class Page(unittest.TestCase):
    """One server and one browser for all tests; each test opens a notebook of its own."""

    @classmethod
    def setUpClass(cls):
        PICTURES.mkdir(parents=True, exist_ok=True)
        cls.home = support.Home()
        cls.folder = cls.home.folder / "notes"
        shutil.copytree(support.ROOT / "notebooks", cls.folder, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
        port = free_port()
        cls.address = f"http://127.0.0.1:{port}"
        cls.server = subprocess.Popen(
            ["/usr/bin/jupyter-notebook", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0",
             f"--NotebookApp.token={TOKEN}", f"--notebook-dir={cls.folder}"],
            env=cls.home.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cls.until(lambda: cls.answers(), "the notebook server answers")
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
                     "--disable-background-networking", "--disable-component-update", "--window-size=1300,1100"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        cls.browser = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        cls.browser.set_page_load_timeout(PATIENCE)
        cls.browser.set_script_timeout(PATIENCE)

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.terminate()
        try:
            cls.server.wait(15)
        except subprocess.TimeoutExpired:
            cls.server.kill()
        cls.home.remove()

    @classmethod
    def answers(cls):
        try:
            return urllib.request.urlopen(f"{cls.address}/api?token={TOKEN}", timeout=2).status == 200
        except OSError:
            return False

    @classmethod
    def until(cls, condition, what, patience=PATIENCE):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"after {patience} s still not: {what}")

    def script(self, code, *arguments):
        return self.browser.execute_script(code, *arguments)

    def open(self, name, *cells):
        """Opens a notebook, a new one where cells are given, and waits for its kernel."""
        if cells:
            (self.folder / name).write_text(notebook(*cells), encoding="utf8")
        self.browser.get(f"{self.address}/notebooks/{name}?token={TOKEN}")
        self.addCleanup(self.leave)
        self.until(lambda: self.script("return !!(window.Jupyter && Jupyter.notebook && Jupyter.notebook._fully_loaded)"), f"{name} is open")

    def ready(self):
        self.until(lambda: self.script("return !!(Jupyter.notebook.kernel && Jupyter.notebook.kernel.is_connected())"), "the kernel is connected")

    def leave(self):
        self.script("""if (window.Jupyter && Jupyter.notebook) {
            window.onbeforeunload = null; Jupyter.notebook.set_dirty(false);
            if (Jupyter.notebook.session && Jupyter.notebook.kernel) Jupyter.notebook.session.delete(); }""")

    def run_cell(self, index, wait=True):
        self.script("Jupyter.notebook.get_cell(arguments[0]).set_input_prompt()", index)
        self.script("Jupyter.notebook.select(arguments[0]); Jupyter.notebook.execute_cells([arguments[0]])", index)
        if wait:
            self.until(lambda: self.done(index), f"cell {index} is done")
        return self.output(index)

    def done(self, index):
        # A running cell has * where its number will be. The number comes with the reply, the outputs by another channel and maybe later:
        # the last that comes there says that the kernel is idle again.
        return self.script("""var cell = Jupyter.notebook.get_cell(arguments[0]), kernel = Jupyter.notebook.kernel;
            var request = kernel && kernel._msg_callbacks[cell.last_msg_id];
            return typeof cell.input_prompt_number === 'number' && (!request || request.iopub_done);""", index)

    def output(self, index):
        return self.script("return Jupyter.notebook.get_cell(arguments[0]).element.find('.output_wrapper').text()", index)

    def element(self, index):
        return self.script("return Jupyter.notebook.get_cell(arguments[0]).element[0]", index)

    def picture(self, name):
        self.browser.save_screenshot(str(PICTURES / f"{name}.png"))

    def visible_charts(self, within="document"):
        """Description and size of the pictures that the page really shows."""
        return self.script(f"""return Array.from({within}.querySelectorAll('.output_area figure img')).map(
            function (s) {{ var b = s.getBoundingClientRect(); return [s.alt, b.width, b.height, s.complete && s.naturalWidth > 0]; }})
            .filter(function (s) {{ return s[1] > 100 && s[2] > 60 && s[3]; }})""")

    def outside_requests(self):
        """Addresses that the page asked for and that are not the server's own."""
        asked = []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        return [url for url in asked if not url.startswith((self.address, self.address.replace("http", "ws"), "data:", "blob:", "about:", "chrome"))]

    def test_typing_completing_and_running(self):
        self.open("typing.ipynb", "")
        self.ready()
        cell = self.element(0)
        cell.find_element(By.CSS_SELECTOR, ".CodeMirror").click()
        keys = ActionChains(self.browser)
        keys.send_keys("var words = new List<string> { \"few\", \"many\" };", Keys.ENTER, "words.Re", Keys.TAB).perform()
        menu = self.until(lambda: self.script(
            "return Array.from(document.querySelectorAll('#complete option')).map(function (o) { return o.text; })"), "the menu of completions")
        self.assertIn("Remove", menu)
        self.assertIn("Reverse", menu)
        self.picture("completion")
        self.script("Jupyter.notebook.get_cell(0).set_text('var words = new List<string> { \"few\", \"many\" };\\nwords.Count + 40')")
        self.assertIn("42", self.run_cell(0))

    def test_a_chart_is_seen_and_survives_reloading(self):
        self.open("chart.ipynb", SETUP, CHART)
        self.ready()
        self.assertIn("Sparseland", self.run_cell(0))
        self.run_cell(1)
        charts = self.until(self.visible_charts, "the chart is visible")
        self.assertIn("A falling curve", charts[0][0])
        self.picture("chart")
        self.script("Jupyter.notebook.save_checkpoint()")
        self.until(lambda: "A falling curve" in (self.folder / "chart.ipynb").read_text(encoding="utf8"), "the notebook is saved")
        self.open("chart.ipynb")
        self.assertIn("A falling curve", self.until(self.visible_charts, "the stored chart is visible")[0][0])
        self.assertEqual([], self.outside_requests())

    def test_plotly_draws_without_network(self):
        self.open("plotly.ipynb", SETUP, "lesson.Interactive()", CHART)
        self.ready()
        self.run_cell(0)
        self.run_cell(1)
        self.run_cell(2)
        drawn = "return document.querySelectorAll('.output_area .js-plotly-plot .main-svg').length"
        self.until(lambda: self.script(drawn), "plotly has drawn")
        points = self.script("return document.querySelector('.js-plotly-plot').data[0].y.length")
        self.assertEqual(4, points)
        self.until(lambda: self.script("return getComputedStyle(document.querySelector('figure img')).display") == "none", "the static picture makes room")
        self.picture("plotly")
        self.assertEqual([], self.outside_requests())

    def test_progress_ends_as_one_line(self):
        self.open("progress.ipynb", SETUP, 'foreach (var i in lesson.Track(12, "Counting")) await Task.Delay(120);')
        self.ready()
        self.run_cell(0)
        self.run_cell(1, wait=False)
        seen = set()

        def watch():
            seen.add(self.output(1).strip())
            return self.done(1)

        self.until(watch, "the work is done")
        self.until(lambda: "Counting: 12 steps" in self.output(1), "one line sums up")
        self.assertGreater(len(seen - {""}), 2, seen)
        self.assertEqual(1, self.output(1).count("Counting"))

    def test_an_error_names_cell_and_line(self):
        self.open("error.ipynb", "int Half(int n)\n{\n    return n / (n - n);\n}\nHalf(3)", "randn(2)")
        self.ready()
        text = self.run_cell(0)
        self.assertIn("DivideByZeroException", text)
        self.assertRegex(text, r"line 3")
        self.assertIn("CS0103", self.run_cell(1))
        self.picture("error")

    def test_a_wrong_shape_leaves_the_kernel_alive(self):
        self.open("shape.ipynb", SETUP, "var kept = 41;\nrandn(3, 4).matmul(randn(3, 4))", "kept + 1")
        self.ready()
        self.run_cell(0)
        self.assertRegex(self.run_cell(1), r"3x4|\[3, 4\]|shape")
        self.assertIn("42", self.run_cell(2))

    def test_interrupt_stops_a_loop_and_keeps_the_state(self):
        self.open("loop.ipynb", "var kept = 41;", "while (true) { kept = 41; }", "kept + 1")
        self.ready()
        self.run_cell(0)
        self.run_cell(1, wait=False)
        time.sleep(1)
        begin = time.monotonic()
        self.browser.find_element(By.CSS_SELECTOR, "#int_interrupt, [data-jupyter-action='jupyter-notebook:interrupt-kernel']").click()
        self.until(lambda: self.done(1), "the loop has stopped")
        print(f"interrupt button to stopped loop, as the page sees it: {time.monotonic() - begin:.2f} s")
        self.assertIn("nterrupted", self.output(1))
        self.assertIn("42", self.run_cell(2))
        self.picture("interrupt")

    @staticmethod
    def place(path):
        return json.loads((support.ROOT / "notebooks" / path).read_text(encoding="utf8"))["metadata"].get("sparseland", {})

    def test_the_notebooks_of_the_series_show_their_charts(self):
        paths = sorted(p.relative_to(self.folder) for p in self.folder.rglob("*.ipynb") if (support.ROOT / "notebooks" / p.relative_to(self.folder)).exists())
        if os.environ.get("SPARSELAND_PAGES") != "all":
            # The openings of the chapters and what stands before them; every chart of the others is of the same kinds.
            paths = [p for p in paths if len(p.parts) == 1 or self.place(p).get("opening")]
        self.assertGreater(len(paths), 10)
        for path in paths:
            with self.subTest(path=str(path)):
                # A fresh clone: nobody has trusted these files yet.
                stored = json.loads((support.ROOT / "notebooks" / path).read_text(encoding="utf8"))
                wanted = sum(1 for c in stored["cells"] for o in c.get("outputs", []) if "<figure" in "".join(o.get("data", {}).get("text/html", [])))
                self.open(str(path).replace("\\", "/"))
                charts = self.until(lambda: len(self.visible_charts()) >= wanted and self.visible_charts(), f"{wanted} charts of {path} are visible")
                self.assertGreaterEqual(len(charts), wanted)
                name = path.stem
                self.browser.set_window_size(1300, 4200)
                self.script("document.querySelector('.output_area figure img').scrollIntoView({block: 'center'})")
                self.picture(f"series-{name}")
                self.browser.set_window_size(1300, 1100)
        self.assertEqual([], self.outside_requests())

    def test_the_gallery_finds_notebooks_by_their_words(self):
        place = self.folder / "gallery"
        self.home.run("gallery", *[str(path) for path in sorted((support.ROOT / "notebooks").rglob("*.ipynb")) if ".ipynb_checkpoints" not in path.parts], "--stored", "--out", str(place))
        self.browser.get((place / "index.html").as_uri())
        shown = lambda: [a.find_element(By.TAG_NAME, "h3").text for a in self.browser.find_elements(By.TAG_NAME, "article") if a.is_displayed()]
        everything = shown()
        self.assertGreater(len(everything), 5)
        box = self.browser.find_element(By.ID, "find")
        box.send_keys("kronecker-structured")
        self.assertEqual(1, len(shown()))
        box.send_keys(" nowhere")
        self.assertEqual([], shown())
        self.assertTrue(self.browser.find_element(By.ID, "none").is_displayed())
        for width in (390, 1280):
            self.browser.set_window_size(width, 1100)
            self.assertLessEqual(self.script("return document.documentElement.scrollWidth"), self.script("return window.innerWidth"))
        self.browser.set_window_size(1300, 1100)
        # The pictures beside the page are no requests to the outside; the next test counts anew.
        self.assertEqual([], [address for address in self.outside_requests() if not address.startswith("file:")])

    def test_the_start_notebook_runs_in_the_page(self):
        self.open("00-start-here.ipynb")
        self.ready()
        self.script("Jupyter.notebook.clear_all_output(); Jupyter.notebook.execute_all_cells()")
        last = self.script("var c = Jupyter.notebook.get_cells(), i = c.length - 1; while (c[i].cell_type !== 'code') i--; return i")
        self.until(lambda: self.done(last), "all cells have run", 90)
        self.assertEqual([], self.script("return Array.from(document.querySelectorAll('.output_error')).map(function (e) { return e.textContent; })"))
        # The counts of the stored notebook, so that another identity there is no fault here; judged claims all held.
        stored = json.loads((support.ROOT / "notebooks" / "00-start-here.ipynb").read_text(encoding="utf8"))
        table = next(o["data"] for c in reversed(stored["cells"]) for o in c.get("outputs", []) if "application/vnd.sparseland.claims+json" in o.get("data", {}))
        head = "".join(table["text/plain"]).splitlines()[0]
        counts = re.search(r"identities (\d+) of \1 held, findings (\d+) of \2", head)
        self.assertIsNotNone(counts, head)
        self.assertIn(counts[0], self.browser.find_element(By.TAG_NAME, "body").text)
        self.picture("start-run")


if __name__ == "__main__":
    program = unittest.main(exit=False, verbosity=2, argv=[sys.argv[0], *(f"Page.{name}" for name in sys.argv[1:])])
    result = program.result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed")
    sys.exit(1 if bad else 0)

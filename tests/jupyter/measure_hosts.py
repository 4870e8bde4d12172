"""
Start-up and memory of the hosts, as a table for environment.md: our kernel and .NET Interactive's behind Jupyter's client, and the runner.

    /usr/bin/python3 tests/jupyter/measure_hosts.py [ROUNDS]

Each figure is the median of ROUNDS (3) fresh processes after one that is not counted. Measure on a machine that does nothing else.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

from jupyter_client.manager import KernelManager

import support
import test_interactive

START = support.ROOT / "notebooks/00-start-here.ipynb"
ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 3


def memory(pid):
    """Resident megabytes of a process and all that it started."""
    total = 0
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if ":" in line)
        except OSError:
            continue  # it has ended since
        own = int(status.parent.name)
        if own == pid:
            total += int(fields.get("VmRSS", "0 kB").split()[0])
        elif int(fields["PPid"]) == pid:
            total += memory(own) * 1024
    return total // 1024


def execute(client, code):
    reply = client.execute_interactive(code, output_hook=lambda _: None, timeout=300, store_history=True)
    if reply["content"]["status"] != "ok":
        raise AssertionError(f"{code[:200]}\n{reply['content']}")


def kernel(name, environment, cells):
    """Seconds from the start of the process to ready and to the first result; megabytes then and after the start notebook."""
    began = time.monotonic()
    manager = KernelManager(kernel_name=name)
    manager.start_kernel(env=environment, cwd=str(START.parent), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=120)
        ready = time.monotonic() - began
        execute(client, "1 + 1")
        first = time.monotonic() - began
        pid = manager.provisioner.pid
        small = memory(pid)
        for cell in cells:
            execute(client, cell)
        return ready, first, small, memory(pid)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def runner(home, folder):
    """The same of `sparseland run` on one cell, where nobody waits for it to be ready; its memory is the peak that it reports."""
    small = folder / "one.ipynb"
    notebook = json.loads(START.read_text(encoding="utf-8"))
    notebook["cells"] = [{"cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "execution_count": None, "source": ["1 + 1"]}]
    small.write_text(json.dumps(notebook), encoding="utf-8")
    peaks, first = [], 0
    for path in (small, START):
        report = folder / "report.json"
        began = time.monotonic()
        home.run("run", str(path), "--scale", "quick", "--no-save", "--json", str(report))
        if path == small:
            first = time.monotonic() - began
        peaks.append(json.loads(report.read_text(encoding="utf-8"))["notebooks"][0]["peakMemoryMB"])
    return None, first, *peaks


def main():
    hosts = test_interactive.Interactive
    hosts.setUpClass()
    try:
        cells = ["".join(cell["source"]) for cell in json.loads(START.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        # Known: that host carries an FSharp.Core older than Plotly.NET asks for.
        cells = [cell for cell in cells if "Plotly.NET" not in cell]
        theirs = dict(hosts.environment)
        ours = dict(hosts.home.environment, SPARSELAND_SCALE="quick", SPARSELAND_QUIET="1")
        hosts.home.run("kernel", "install", "--user")
        os.environ.update(JUPYTER_DATA_DIR=ours["JUPYTER_DATA_DIR"], JUPYTER_RUNTIME_DIR=ours["JUPYTER_RUNTIME_DIR"], JUPYTER_PATH="")
        measured = {
            "our kernel": [kernel(".net-csharp", ours, cells) for _ in range(ROUNDS + 1)],
            "sparseland run": [runner(hosts.home, hosts.folder) for _ in range(ROUNDS + 1)],
        }
        os.environ.update(JUPYTER_DATA_DIR=str(hosts.folder / "nowhere"), JUPYTER_PATH=theirs["JUPYTER_PATH"])
        measured[".NET Interactive"] = [kernel(".net-csharp", theirs, [f'#i "nuget:{hosts.feed}"', *cells]) for _ in range(ROUNDS + 1)]
    finally:
        hosts.tearDownClass()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| host | ready [s] | first result [s] | after `1 + 1` [MB] | after the start notebook [MB] |")
    print("| --- | --- | --- | --- | --- |")
    for host, rounds in measured.items():
        ready, first, small, large = (None if None in column else statistics.median(column) for column in zip(*rounds[1:]))
        print(f"| {host} | {'-' if ready is None else f'{ready:.1f}'} | {first:.1f} | {small:.0f} | {large:.0f} |")


if __name__ == "__main__":
    main()

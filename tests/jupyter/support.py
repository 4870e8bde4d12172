"""What the Jupyter tests share: the program under test, and a home folder that is thrown away afterwards."""
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNEL = ".net-csharp"


def program():
    """Command line of `sparseland`: $SPARSELAND, or the newest build in the tree."""
    if os.environ.get("SPARSELAND"):
        return [os.environ["SPARSELAND"]]
    built = list((ROOT / "src/Sparseland.Kernel/bin").glob("*/net10.0/Sparseland.Kernel.dll"))
    if not built:
        raise SystemExit("no build of src/Sparseland.Kernel; run: dotnet build src/Sparseland.Kernel")
    return ["dotnet", str(max(built, key=lambda path: path.stat().st_mtime))]


class Home:
    """A home folder with the kernel installed; nothing of it is left behind."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="jupyter home ü "))
        self.environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "IPYTHON", "XDG_", "CONDA", "VIRTUAL_ENV"))
        }
        # Packages stay where they are; everything that Jupyter and the kernel write goes to the new home.
        self.environment.setdefault("NUGET_PACKAGES", str(pathlib.Path.home() / ".nuget/packages"))
        self.environment.update(
            HOME=str(self.folder), JUPYTER_DATA_DIR=str(self.folder / "data"), JUPYTER_CONFIG_DIR=str(self.folder / "config"),
            JUPYTER_RUNTIME_DIR=str(self.folder / "runtime"), JUPYTER_NO_CONFIG="1")
        (self.folder / "runtime").mkdir(mode=0o700)
        self.run("kernel", "install", "--user")

    def run(self, *arguments):
        done = subprocess.run(program() + list(arguments), env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def enter(self):
        """Makes this home the one of the running Python process, for jupyter_client."""
        os.environ.clear()
        os.environ.update(self.environment)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)

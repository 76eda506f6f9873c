"""A corpus travels: training from it needs torch, numpy, safetensors and tqdm only."""

from __future__ import annotations

import subprocess
import sys
import textwrap

#: What is not on a machine that only trains.
ABSENT = ("mne", "nilearn", "scipy", "sklearn", "pandas", "joblib", "matplotlib", "lazy_loader")


def run_without(names, code):
    """Run code in a process in which some packages cannot be imported."""
    block = f"""
        import sys
        from importlib.machinery import PathFinder

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {set(names)!r}:
                    return None  # as where it was never installed
                return PathFinder.find_spec(name, path, target)

        sys.meta_path[sys.meta_path.index(PathFinder)] = Absent()
    """
    script = textwrap.dedent(block) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def test_package_imports_without_lazy_loader():
    done = run_without(ABSENT, "import brainof_toolbox; print(brainof_toolbox.__version__)")
    assert done.returncode == 0, done.stderr


def test_training_imports_without_readers():
    code = """
        import brainof_toolbox.pretraining as pretraining
        for name in pretraining.__all__:
            if name != "build_corpus":
                getattr(pretraining, name)
        import brainof_toolbox.pretraining.loop, brainof_toolbox.pretraining.distributed
        print("imported")
    """
    done = run_without(ABSENT, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "imported"

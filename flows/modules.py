"""The import path of the command: modules of the working folder come after all others."""

import sys
from pathlib import Path


def find_modules_here() -> None:
    """Append the working folder to the import path.

    `environment.id: my_module:MyEnv-v0` may lie beside the experiment. First on the path, a
    `yaml.py` or `tasks/` there would take the place of the modules that the command needs.
    """
    here = str(Path.cwd())
    # `python -m` puts it first. A checkout that the command itself runs from stays where it is.
    if sys.path[:1] in ([here], [""]) and Path(__file__).parents[1] != Path(here):
        del sys.path[0]
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)

"""Serve the page with Voilà on the loopback interface: `python -m course_utils.explore.dashboard [--port=8866]`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Room for an upload in base64 and what goes around it; tornado's own limit of 10 MB would drop the connection.
_SETTINGS = {"websocket_max_message_size": 64 * 2**20}
# All that the page needs. Others that may be installed, such as nbgrader's, fail without a JupyterLab around them.
_EXTENSIONS = ("@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget")


def main(arguments: list[str]) -> None:
    """Until interrupted. Voilà's own arguments are passed on, but the address stays 127.0.0.1."""
    from voila.app import Voila

    folders = [str(HERE / "share"), os.environ.get("JUPYTER_PATH", "")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, folders))
    fixed = [
        str(HERE / "page.ipynb"),
        "--Voila.ip=127.0.0.1",
        "--template=dashboard",
        "--VoilaConfiguration.show_tracebacks=False",
        *(f"--VoilaConfiguration.extension_allowlist={name}" for name in _EXTENSIONS),
    ]
    Voila.launch_instance([*arguments, *fixed], tornado_settings=_SETTINGS)


if __name__ == "__main__":
    main(sys.argv[1:])

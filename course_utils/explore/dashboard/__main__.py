"""Serve the page with Voilà on the loopback interface: `python -m course_utils.explore.dashboard [--port=8866]`."""

import os
import shutil
import socket
import sys
from pathlib import Path

from jupyter_core.utils import run_sync
from voila.app import Voila

HERE = Path(__file__).parent
# Room for an upload in base64 and what goes around it; tornado's own limit of 10 MB would drop the connection.
# A closing tab ends its kernel by a request that can carry no XSRF token (voila-dashboards/voila#1458); what it could
# forge is the end of a kernel whose random name nobody knows.
_SETTINGS = {"websocket_max_message_size": 64 * 2**20, "disable_check_xsrf": True}
# All that the page needs. Others that may be installed, such as nbgrader's, fail without a JupyterLab around them.
_EXTENSIONS = ("@voila-dashboards/widgets-manager8", "@jupyter-widgets/jupyterlab-manager", "anywidget")
# A kernel takes 4 to 20 s until it can answer: one stands ready, and the next starts once the page that took it has
# been drawn. A tab that vanished without a word, as on phones, keeps its kernel for half an hour.
_KERNELS = (
    "--VoilaConfiguration.preheat_kernel=True",
    "--VoilaConfiguration.default_pool_size=1",
    "--VoilaKernelManager.fill_delay=4",
    "--MappingKernelManager.cull_idle_timeout=1800",
    "--MappingKernelManager.cull_interval=60",
)


class Dashboard(Voila):
    """Voilà, whose kernels are told the right port and end at once."""

    def start(self) -> None:
        # Its own choice among taken ports comes after the first kernel was told where to ask for its visitor.
        for port in self.random_ports(self.port, self.port_retries + 1):
            if _is_free(port):
                self.port = port
                break
        super().start()

    def stop(self) -> None:
        # At once: a kernel that waits for a visitor can't answer a polite request, and none has anything to save.
        run_sync(self.kernel_manager.shutdown_all)(now=True)
        shutil.rmtree(self.connection_dir, ignore_errors=True)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def main(arguments: list[str]) -> None:
    """Until interrupted. Voilà's own arguments are passed on, but the address stays 127.0.0.1."""
    folders = [str(HERE / "share"), os.environ.get("JUPYTER_PATH", "")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, folders))
    fixed = [
        str(HERE / "page.ipynb"),
        "--Voila.ip=127.0.0.1",
        "--template=dashboard",
        "--VoilaConfiguration.show_tracebacks=False",
        *_KERNELS,
        *(f"--VoilaConfiguration.extension_allowlist={name}" for name in _EXTENSIONS),
    ]
    Dashboard.launch_instance([*arguments, *fixed], tornado_settings=_SETTINGS)


if __name__ == "__main__":
    main(sys.argv[1:])

"""A page in the browser that stages nights of watches and chest straps, on this computer alone.

    sleepkd web                            # serves the page at http://127.0.0.1:8765 and opens it
    sleepkd web --checkpoint best.pt       # with a network of your own that reads heartbeats
    sleepkd web --out folder               # writes the page for a web server, and serves nothing

The page reads files of Polar, Garmin, Apple Health and CSV in the browser and stages them there. No file leaves the
computer, and after it was loaded, the page asks for nothing. It runs the network with onnxruntime-web, a package of npm
that is not part of sleepkd: without it, the command tells how to install it.
"""

import argparse
import errno
import json
import os
import shutil
import webbrowser
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sleepkd import __version__
from sleepkd.checkpoints.shipped import SHIPPED
from sleepkd.errors import UserError, run_command
from sleepkd.export import export_float
from sleepkd.extras import require_extra
from sleepkd.files import write_text_atomically
from sleepkd.prediction.many.file_state import weights_checksum
from sleepkd.prediction.model import Model, load_model

PAGE = Path(__file__).parent / "web_page"
"""The files of the page, which need no build."""
RUNTIME, RUNTIME_VERSION = "onnxruntime-web", "1.30.0"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What the page loads of onnxruntime-web, of its folder dist/."""
ADDRESS, PORT = "127.0.0.1", 8765
NETWORK, MADE_FROM = "night.onnx", "night.onnx.source.json"
MEDIA_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
SECURITY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; "
        "worker-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Headers of every answer. The page, and its worker, may load nothing from elsewhere and send nothing."""


def main(arguments: list[str] | None = None) -> int:
    """Write the page, and serve it until Ctrl-C."""
    args = _parse(arguments)
    runtime = find_runtime(args.runtime)
    server = None if args.out else page_server(args.port)
    model = load_model(args.checkpoint)
    folder = args.out or cache_folder() / f"web_page-{weights_checksum(model)[:12]}"
    write_site(folder, runtime, model)
    if server is None:
        print(f"{folder}: serve it with any web server, by https or on localhost")
        return 0
    with server:
        url = f"http://{ADDRESS}:{server.server_port}/"
        server.RequestHandlerClass = partial(PageHandler, directory=folder)
        print(f"{url}  (Ctrl-C ends)", flush=True)
        if args.browser:
            webbrowser.open(url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def write_site(folder: Path, runtime: Path, model: Model) -> None:
    """Write the page, onnxruntime-web and the exported network into a folder.

    runtime: the folder dist/ of onnxruntime-web. A network that was exported there from the same weights is kept.
    Raises UserError: a network that does not read heartbeats, packages for the export that are not installed.
    """
    trained = model.trained
    if "beats" not in trained.inputs:
        raise UserError(f"{trained.path}: reads {', '.join(trained.inputs)}; the page needs a network of heartbeats")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    (folder / RUNTIME).mkdir(exist_ok=True)
    for name in RUNTIME_FILES:
        if not _is_copy(runtime / name, folder / RUNTIME / name):
            shutil.copy2(runtime / name, folder / RUNTIME / name)
    made_from = {"weights": weights_checksum(model), "sleepkd": __version__}
    if _read_json(folder / MADE_FROM) == made_from and (folder / NETWORK).is_file():
        return
    for package in ("onnx", "onnxruntime", "onnxscript"):
        require_extra(package, "export", "sleepkd web")
    print("exporting the network for the browser, once …", flush=True)
    export_float(replace(model, trained=trained.with_inputs(["beats"])), folder / NETWORK)
    write_text_atomically(folder / MADE_FROM, json.dumps(made_from) + "\n")


def page_server(port: int) -> ThreadingHTTPServer:
    """A server on this computer alone. port: 0 for any that is free. Raises UserError for one that is taken."""
    try:
        return ThreadingHTTPServer((ADDRESS, port), SimpleHTTPRequestHandler)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is taken; is the page open already?" if error.errno == errno.EADDRINUSE else "is not allowed;"
        raise UserError(f"--port {port}: {why} --port 0 takes a free one") from None


class PageHandler(SimpleHTTPRequestHandler):
    """Serves the files of the page with `SECURITY`, and logs errors alone."""

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """The media type of a file, whatever the tables of this computer hold for modules."""
        return MEDIA_TYPES.get(Path(path).suffix) or super().guess_type(path)

    def end_headers(self) -> None:
        """Add the headers of the page."""
        for name, value in SECURITY.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Log nothing of a request that was answered."""


def find_runtime(stated: Path | None) -> Path:
    """The folder with the files of onnxruntime-web. stated: that folder, its package, or one with node_modules.

    Raises UserError, with the command that installs it, if it is not there.
    """
    places = [stated] if stated else [cache_folder(), Path(__file__).parents[1] / "examples" / "web"]
    for place in places:
        for folder in (place, place / "dist", place / "node_modules" / RUNTIME / "dist"):
            if all((folder / name).is_file() for name in RUNTIME_FILES):
                return folder
    install = f"npm install --prefix {cache_folder()} {RUNTIME}@{RUNTIME_VERSION}"
    if stated:
        raise UserError(f"--runtime {stated}: holds no {' and '.join(RUNTIME_FILES)} of {RUNTIME}; {install}")
    raise UserError(f"the page needs {RUNTIME}: {install}; or --runtime FOLDER, a copy of it")


def cache_folder() -> Path:
    """The folder of sleepkd in the user's cache: $XDG_CACHE_HOME/sleepkd or ~/.cache/sleepkd."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sleepkd"


def _is_copy(source: Path, target: Path) -> bool:
    if not target.is_file():
        return False
    one, other = source.stat(), target.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sleepkd web", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE", help=f"trained network that reads heartbeats; default: {SHIPPED}, which ships"
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"port of the page, 0 for a free one; default: {PORT}")
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="do not open the page")
    parser.add_argument("--runtime", type=Path, metavar="FOLDER", help=f"folder with {RUNTIME}, a package of npm")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the page into a folder, and serve nothing")
    args = parser.parse_args(arguments)
    if not 0 <= args.port <= 65535:
        raise UserError(f"--port {args.port}: must be from 0 to 65535")
    return args


if __name__ == "__main__":
    run_command(main)

"""`sleepkd web`: what it writes and serves, and what it refuses in one line."""

import json
import re
import socket
import threading
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from launch import REPOSITORY
from sleepkd import web
from sleepkd.errors import UserError


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    folder = tmp_path / "runtime" / "node_modules" / "onnxruntime-web" / "dist"
    folder.mkdir(parents=True)
    for name in web.RUNTIME_FILES:
        (folder / name).write_text(f"// {name}")
    return folder


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Networks that were exported; the export itself is tested in tests/prediction/test_export.py."""
    paths: list[Path] = []

    def export(model: object, path: Path) -> str:
        assert list(model.trained.inputs) == ["beats"]
        path.write_text("network")
        paths.append(path)
        return ""

    monkeypatch.setattr(web, "export_float", export)
    return paths


def test_the_page_is_written_with_its_network_and_its_runtime_once(
    runtime: Path, exported: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site"
    arguments = ["--out", str(folder), "--runtime", str(tmp_path / "runtime")]
    assert web.main(arguments) == 0 and "serve it with any web server" in capsys.readouterr().out
    assert web.main(arguments) == 0 and exported == [folder / "night.onnx"]
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    page = {path.relative_to(web.PAGE).as_posix() for path in web.PAGE.rglob("*") if path.is_file()}
    expected = page | {f"onnxruntime-web/{name}" for name in web.RUNTIME_FILES}
    assert written == expected | {"night.onnx", "night.onnx.source.json"}
    (folder / "night.onnx.source.json").write_text("{}")  # of other weights
    assert web.main(arguments) == 0 and len(exported) == 2


def test_every_answer_forbids_requests_to_elsewhere(tmp_path: Path) -> None:
    for name in ("page.js", "index.html", "a.mjs", "b.wasm"):
        (tmp_path / name).write_text("x")
    server = web.page_server(0)
    server.RequestHandlerClass = partial(web.PageHandler, directory=tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}/"
    with server:
        types = {}
        for name in ("", "page.js", "a.mjs", "b.wasm"):
            with urllib.request.urlopen(root + name) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy and "connect-src 'self'" in policy
                types[name] = answer.headers.get_content_type()
        assert types == {
            "": "text/html",
            "page.js": "text/javascript",
            "a.mjs": "text/javascript",
            "b.wasm": "application/wasm",
        }
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(root + "../secret")
        server.shutdown()


def test_it_serves_this_computer_alone_until_ctrl_c(
    runtime: Path,
    exported: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    def interrupted(server: object) -> None:
        assert server.server_address[0] == "127.0.0.1"
        raise KeyboardInterrupt

    monkeypatch.setattr(web.ThreadingHTTPServer, "serve_forever", interrupted)
    arguments = ["--runtime", str(runtime), "--port", "0"]
    assert web.main(arguments) == 0
    found = re.search(r"(http://127\.0\.0\.1:\d+/)  \(Ctrl-C ends\)", capsys.readouterr().out)
    assert found and opened == [found[1]]
    assert web.main([*arguments, "--no-browser"]) == 0 and len(opened) == 1
    assert exported == [next((tmp_path / "cache" / "sleepkd").glob("web_page-*")) / "night.onnx"]


def test_mistakes_are_one_line(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^--port {port}: is taken; is the page open already") as error:
            web.main(["--runtime", str(runtime), "--port", str(port), "--no-browser"])
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match=r"^--port 99999: must be from 0 to 65535"):
        web.main(["--port", "99999"])
    with pytest.raises(UserError, match=r"^--runtime .*: holds no ort.*npm install --prefix .* onnxruntime-web@"):
        web.main(["--runtime", str(tmp_path)])
    monkeypatch.setattr(web, "__file__", str(tmp_path / "sleepkd" / "web.py"))  # outside a checkout
    with pytest.raises(UserError, match=r"^the page needs onnxruntime-web: npm install --prefix \S+ onnxruntime-web@"):
        web.main(["--no-browser"])


def test_the_version_of_the_runtime_is_stated_once_for_both() -> None:
    package = json.loads((REPOSITORY / "examples" / "web" / "package.json").read_text())
    assert package["dependencies"] == {web.RUNTIME: web.RUNTIME_VERSION}


def test_the_policy_of_the_page_is_that_of_the_server() -> None:
    text = (web.PAGE / "index.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', text)
    assert policy and f"{policy[1]}; frame-ancestors 'none'" == web.SECURITY["Content-Security-Policy"]


def test_the_page_names_no_other_site() -> None:
    for path in [path for path in web.PAGE.rglob("*") if path.is_file()]:
        sites = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text())) - {"http://www.w3.org/2000/svg"}
        assert not sites, f"{path.name}: {sites}"

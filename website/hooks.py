"""Hooks of MkDocs: notebooks become pages of the site, and links to a notebook lead to its page.

mkdocs.yml names this file. The notebooks keep their outputs, so that a build executes nothing.
"""

import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
LINK = re.compile(r"\]\((?:\.\./)*notebooks/(\w+)\.ipynb\)")
"""A link to a notebook in Markdown."""
DOCS_LINK = re.compile(r"\]\(\.\./docs/")
"""A link of a notebook to a page of the docs."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page, the pictures and the notebook itself of every notebook."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        page, pictures = notebook_page(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=page))
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
        for name, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    return files


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """The page of a notebook in Markdown, and its pictures by name."""
    notebook = nbformat.read(path, as_version=4)
    exported: tuple[str, dict[str, Any]] = MarkdownExporter().from_notebook_node(notebook)
    text, resources = exported
    pictures = {f"{path.stem}_{name}": content for name, content in resources["outputs"].items()}
    text = re.sub(r"!\[\w+\]\((output_\w+\.\w+)\)", rf"![{picture_text(notebook)}]({path.stem}_\1)", text)
    heading, _, rest = DOCS_LINK.sub("](../", text).strip().partition("\n")
    note = f"This page is a notebook: [download it]({path.name}) and run it in a checkout of sleepkd."
    return f"{heading}\n\n{note}\n{rest}\n", pictures


def picture_text(notebook: nbformat.NotebookNode) -> str:
    """What stands for a picture of the notebook where it cannot be seen."""
    return f"Figure drawn by the code above ({notebook.metadata.get('title', 'notebook')})"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to notebooks lead to their pages."""
    return LINK.sub(r"](notebooks/\1.md)", markdown)

"""Optional packages: check that one is installed, and name the extra that installs it."""

from importlib.util import find_spec

from sleepkd.errors import UserError


def require_extra(module: str, extra: str, purpose: str) -> None:
    """Raise UserError, in one line, where an optional package is not installed. The package is not imported.

    module: the top-level module to import (`matplotlib`). extra: the extra of pyproject.toml that installs it
    (`evaluate`). purpose: what needs it, as the subject of the message (`figures`).
    """
    try:
        installed = find_spec(module) is not None
    except ImportError:  # an import hook refuses it
        installed = False
    if not installed:
        raise UserError(f"{purpose}: the package {module} is not installed; pip install 'sleepkd[{extra}]'")

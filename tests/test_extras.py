import sys

import pytest

from sleepkd.errors import UserError
from sleepkd.extras import require_extra


def test_an_installed_package_passes_and_is_not_imported(monkeypatch, tmp_path):
    (tmp_path / "an_optional_package.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    require_extra("an_optional_package", "evaluate", "figures")
    assert "an_optional_package" not in sys.modules


@pytest.mark.parametrize("blocked", [False, True])
def test_a_missing_package_is_named_with_its_extra_in_one_line(monkeypatch, blocked):
    if blocked:  # what tests of other modules do to make a package unimportable
        monkeypatch.setitem(sys.modules, "no_such_package", None)
    with pytest.raises(UserError, match=r"^figures: .* no_such_package .*pip install 'sleepkd\[evaluate\]'$"):
        require_extra("no_such_package", "evaluate", "figures")

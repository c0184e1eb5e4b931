import pytest

from sleepkd.errors import UserError, print_error, run_command


def leave(main) -> int:
    with pytest.raises(SystemExit) as leaving:
        run_command(main)
    return leaving.value.code


def test_a_user_error_is_one_line_on_stderr_and_exit_code_2(capsys):
    def main():
        raise UserError("night.edf: is\n  damaged:\tno header")

    assert leave(main) == 2
    assert capsys.readouterr() == ("", "error: night.edf: is damaged: no header\n")
    assert print_error(UserError("x")) == 2


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (2, 2), (143, 143)])
def test_the_exit_code_is_what_main_returns(returned, code):
    assert leave(lambda: returned) == code


def test_a_keyboard_interrupt_is_exit_code_130_without_a_traceback(capsys):
    def main():
        raise KeyboardInterrupt

    assert leave(main) == 130
    assert capsys.readouterr().err == ""


def test_other_errors_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_command(lambda: 1 // 0)

"""Progress lines."""

from lucid_rl.progress import progress


def test_what_is_done_is_told_after_the_delay_only(capsys):
    assert list(progress([1, 2, 3], "steps")) == [1, 2, 3]
    assert "steps: 100%" in capsys.readouterr().err
    assert list(progress([1, 2, 3], "steps", delay=100)) == [1, 2, 3]
    assert capsys.readouterr().err == ""

from assistant.progress import progress_bar


def test_progress_goes_to_stderr_only(capfd):
    with progress_bar("pose of swing") as progress:
        for i in range(5):
            progress(i + 1, 5)
    out, err = capfd.readouterr()
    assert out == ""
    assert "pose of swing" in err
    assert "5/5" in err


def test_progress_that_is_never_called_does_no_harm(capfd):
    with progress_bar("nothing"):
        pass
    assert capfd.readouterr().out == ""


def test_where_there_is_no_terminal_a_line_tells_how_long_the_rest_will_take(capfd, monkeypatch):
    """By the steps of this run: those that an earlier one left took it no time."""
    now = 1000.0
    monkeypatch.setattr("assistant.progress.monotonic", lambda: now)
    with progress_bar("coaching") as progress:
        progress(40, 100)  # 40 are there already
        now += 29.0
        progress(41, 100)  # too early for a line
        now += 31.0
        progress(46, 100)  # 6 in 60 s: 10 s each
        now += 20.0
        progress(47, 100)
        now += 20.0
        progress(50, 100)  # 10 in 100 s, the faster ones too
    told = [line for line in capfd.readouterr().err.splitlines() if " left" in line]
    assert told == [
        "coaching: 46 of 100, about 0:09:00 left",
        "coaching: 50 of 100, about 0:08:20 left",
    ]


def test_without_a_step_done_there_is_no_estimate(capfd, monkeypatch):
    now = 0.0
    monkeypatch.setattr("assistant.progress.monotonic", lambda: now)
    with progress_bar("coaching") as progress:
        progress(3, 9)
        now += 31.0
        progress(3, 9)
    err = capfd.readouterr().err
    assert "coaching: 3 of 9\n" in err and "left" not in err

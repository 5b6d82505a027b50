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

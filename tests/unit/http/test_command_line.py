"""The command line: refusals are sentences, and the server is set up without request logs."""

import logging
from typing import Any

import pytest
import typer
import uvicorn

from cds_service import __version__
from cds_service.cli import main, serve
from cds_service.errors import CommandRefused
from cds_service.settings import Settings
from tests.unit.http.support import application

SENTINEL = "sentinel-7f3a"


def run(program: typer.Typer, *arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        program(list(arguments))
    assert isinstance(left.value.code, int)
    return left.value.code


def program(error: Exception) -> main.Program:
    made = main.Program(pretty_exceptions_enable=False)

    @made.command()
    def fail() -> None:
        raise error

    return made


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main.app, "--version") == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("arguments", [[], ["none"], ["serve", "--none"]])
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(main.app, *arguments) == 2
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_refusal_is_its_sentence_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    refusal = CommandRefused("There is no such file: name a Bundle.")
    assert run(program(refusal)) == 2
    assert capsys.readouterr().err == f"{refusal}\n"


def test_an_unexpected_fault_is_a_sentence_without_the_text_of_the_exception(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(program(ValueError(SENTINEL))) == 2
    written = capsys.readouterr()
    assert "ValueError at tests.unit.http.test_command_line:" in written.err
    assert len(written.err.splitlines()) == 1
    assert SENTINEL not in written.err + written.out


def test_serving_with_refused_settings_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDS_MODE", "production")
    assert run(main.app, "serve") == 2
    assert capsys.readouterr().err.startswith("The settings do not allow a start. CDS_MODE")


def test_serve_runs_the_application_of_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CDS_PORT", "9001")
    levels: list[str] = []
    started: list[uvicorn.Config] = []
    monkeypatch.setattr(serve, "build_app", lambda settings: application(settings=settings))
    monkeypatch.setattr(serve, "configure_logging", levels.append)
    monkeypatch.setattr(uvicorn.Server, "run", lambda self: started.append(self.config))
    assert run(main.app, "serve") == 0
    (config,) = started
    assert (config.host, config.port, levels) == ("127.0.0.1", 9001, ["INFO"])


def test_the_server_writes_no_access_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "build_app", lambda settings: application(settings=settings))
    config = serve.server(Settings()).config
    assert config.access_log is False
    assert logging.getLogger("uvicorn.access").level == logging.WARNING
    assert not config.server_header

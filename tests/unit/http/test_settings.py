"""Settings: defaults, what is refused, and that .env.example tells all of it."""

import datetime as dt
from pathlib import Path

import pytest

from cds_service.errors import SettingsRefused
from cds_service.settings import Settings, load_settings, parse_as_of

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def example_values() -> dict[str, str]:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_example_lists_every_setting_and_no_other() -> None:
    assert set(example_values()) == {f"CDS_{name.upper()}" for name in Settings.model_fields}


def test_the_example_gives_the_defaults() -> None:
    assert load_settings(EXAMPLE) == Settings()


def test_every_setting_of_the_example_has_a_comment_above_its_block() -> None:
    blocks = EXAMPLE.read_text().strip().split("\n\n")
    assert all(block.startswith("#") for block in blocks)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CDS_MODE", "production", "does not authenticate"),
        ("CDS_MODE", "", "does not authenticate"),
        ("CDS_HOST", "0.0.0.0", "loopback"),
        ("CDS_HOST", "ehr.example", "loopback"),
        ("CDS_PORT", "none", "integer"),
        ("CDS_PORT", "0", "greater"),
        ("CDS_FHIR_SERVERS", "https://user@ehr.example/fhir", "user information"),
        ("CDS_BASE_URL", "ehr.example", "not an http"),
        ("CDS_CORS_ORIGINS", "*", "refused"),
        ("CDS_CORS_ORIGINS", "null", "refused"),
        ("CDS_CORS_ORIGINS", "https://ehr.example/", "without a path"),
        ("CDS_CORS_ORIGINS", "https://EHR.example", "lower case"),
        ("CDS_AS_OF", "2026-11", "write a date"),
        ("CDS_AS_OF", "2026-11-01T12:00:00", "offset"),
        ("CDS_JURISDICTION", "FR", "US"),
        ("CDS_BODY_BYTES", "99999999", "less than or equal"),
        ("CDS_CALL_SECONDS", "1.5", "nest"),
        ("CDS_REQUEST_SECONDS", "1.2", "nest"),
        ("CDS_SERVE_DRAFTS", "true", "no such setting"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused) as refused:
        load_settings(None)
    assert words in str(refused.value)
    assert name in str(refused.value) or words == "nest"


def test_a_refusal_does_not_repeat_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "https://me:hunter2@ehr.example/fhir")
    with pytest.raises(SettingsRefused) as refused:
        load_settings(None)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_mistyped_line_of_the_file_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("CDS_PROT=1\n")
    with pytest.raises(SettingsRefused, match="CDS_PROT"):
        load_settings(tmp_path / "env")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("CDS_PORT=1\nCDS_SANDBOX=true\n")
    monkeypatch.setenv("CDS_PORT", "2")
    assert (load_settings(tmp_path / "env").port, load_settings(tmp_path / "env").sandbox) == (2, True)


def test_lists_are_separated_by_commas_and_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_FHIR_SERVERS", "https://EHR.example:443/fhir/, http://b.example")
    assert load_settings(None).fhir_servers == ("https://ehr.example/fhir", "http://b.example")


def test_links_lead_to_the_base_url_or_to_where_the_service_listens() -> None:
    assert Settings().public_url == "http://127.0.0.1:8000"
    assert Settings(host="::1", port=9000).public_url == "http://[::1]:9000"
    assert Settings(base_url="https://cds.example/").public_url == "https://cds.example"


def test_the_sandbox_may_be_called_only_while_it_is_on() -> None:
    settings = Settings(fhir_servers=("https://ehr.example/fhir",))
    assert settings.allowed_fhir_servers == ("https://ehr.example/fhir",)
    assert Settings(sandbox=True).allowed_fhir_servers == ("http://127.0.0.1:8000/sandbox/fhir",)


def test_a_day_means_its_last_second_so_that_what_is_dated_that_day_has_happened() -> None:
    assert parse_as_of("2026-11-01") == dt.datetime(2026, 11, 1, 23, 59, 59, tzinfo=dt.UTC)
    assert parse_as_of("2026-11-01T14:00:00+02:00") == dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
    assert Settings(as_of="2026-11-01").frozen_clock == parse_as_of("2026-11-01")
    assert Settings().frozen_clock is None

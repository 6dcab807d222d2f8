"""Which FHIR servers may be called: comparison after parsing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cds_service.trust.clients import Client, development_client, fhir_server_allowed, normalise_base_url

LISTED = ("https://ehr.example/fhir", "http://127.0.0.1:8000/sandbox/fhir")


@pytest.mark.parametrize(
    "url",
    [
        "https://ehr.example/fhir",
        "https://ehr.example/fhir/",
        "HTTPS://EHR.example:443/fhir",
        "http://127.0.0.1:8000/sandbox/fhir",
    ],
)
def test_another_spelling_of_a_listed_server_is_allowed(url: str) -> None:
    assert fhir_server_allowed(url, LISTED)


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example/fhir",
        "https://ehr.example",
        "https://ehr.example/fhir/other",
        "https://ehr.example/FHIR",
        "https://ehr.example:8443/fhir",
        "https://ehr.example.evil.example/fhir",
        "https://ehr.example./fhir",
        "https://ehr.example@evil.example/fhir",
        "https://evil.example/https://ehr.example/fhir",
        "https://ehr.example\\@evil.example/fhir",
        "https://ehr.example/fhir?x=1",
        "https://ehr.example/fhir#x",
        "https://ehr.example/other/../fhir",
        "https://ehr.example/%2e%2e/fhir",
        "https://ehr%2eexample/fhir",
        "https://\u0435hr.example/fhir",
        " https://ehr.example/fhir",
        "https://ehr.example/fhir\n",
        "https://ehr.example:port/fhir",
        "https://[::1/fhir",
        "https:///fhir",
        "https://",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "//ehr.example/fhir",
        "",
    ],
)
def test_everything_else_is_not(url: str) -> None:
    assert not fhir_server_allowed(url, LISTED)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://ehr.example/a/../fhir", "dot segments"),
        ("https://ehr.example/./fhir", "dot segments"),
        ("https://ehr.example/%2E%2E/fhir", "dot segments"),
        ("https://ehr.example./fhir", "host name"),
        ("https://ehr%2eexample/fhir", "host name"),
        ("https://user:secret@ehr.example/fhir", "user information"),
        ("https://ehr.example/fhir?a", "query"),
        ("ftp://ehr.example/fhir", "http"),
    ],
)
def test_a_url_that_parsers_read_differently_is_refused_rather_than_interpreted(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        normalise_base_url(url)
    assert "ehr" not in str(refused.value)


@given(st.text())
def test_no_text_breaks_the_comparison(url: str) -> None:
    assert not fhir_server_allowed(url, ())


@given(st.from_regex(r"https?://[a-z0-9.\-]{1,20}(:[0-9]{1,4})?(/[a-zA-Z0-9._\-]{1,8}){0,3}/?", fullmatch=True))
def test_normalising_twice_changes_nothing(url: str) -> None:
    try:
        once = normalise_base_url(url)
    except ValueError:
        return
    assert normalise_base_url(once) == once


def test_the_development_client_holds_normalised_servers() -> None:
    client = development_client(fhir_servers=["https://EHR.example/fhir/"])
    assert client == Client("development", "development", "US", ("https://ehr.example/fhir",))

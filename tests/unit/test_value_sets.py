"""The value set files: their form, and the exclusions that their notes demand."""

import csv
import hashlib
import io
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2] / "rules" / "value_sets"
VERSION = "2026-11"
FILES = sorted(ROOT.glob("*/*.csv"))
LEADING = ["system", "code", "display", "verified", "source", "expanded_from"]
FURTHER = [
    "header",
    "match",
    "tier",
    "strength",
    "intent",
    "meaning",
    "group",
    "score",
    "severity",
    "ingredient",
    "counts_as_trial",
    "drug_class",
    "min_adequate_mg_per_day",
    "combination_with",
    "first_strength",
    "strength_mg",
    "dose_form",
    "flag",
    "label",
    "note",
    "loinc_component",
]
SHORT_SYSTEMS = {"snomed", "icd10cm", "loinc", "rxnorm", "atc", "ndc"}
METADATA_KEYS = {
    "id",
    "version",
    "title",
    "purpose",
    "status",
    "sources",
    "notes",
    "counts",
    "without_code",
    "curated",
    "sha256",
}

Row = dict[str, str]

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")


@cache
def table(path: Path) -> tuple[Row, ...]:
    return tuple(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))


def rows(set_id: str, system: str | None = None) -> list[Row]:
    return [row for row in table(ROOT / set_id / f"{VERSION}.csv") if system is None or row["system"] == system]


def codes(set_id: str, system: str | None = None) -> set[str]:
    return {row["code"] for row in rows(set_id, system)}


def row(set_id: str, code: str) -> Row:
    found = [row for row in rows(set_id) if row["code"] == code]
    assert len(found) == 1, f"{set_id} {code}: {len(found)} rows"
    return found[0]


def displays(set_id: str, pattern: str) -> list[str]:
    return [row["display"] for row in rows(set_id) if re.search(pattern, row["display"], re.IGNORECASE)]


def leaves(set_id: str) -> list[Row]:
    return [row for row in rows(set_id, "icd10cm") if not row["header"]]


def metadata(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
    return loaded


# ---------------------------------------------------------------- form


def test_there_are_sets() -> None:
    assert len(FILES) >= 66
    assert {path.stem for path in ROOT.glob("*/*.yaml")} == {path.stem for path in FILES}
    assert len(list(ROOT.glob("*/*.yaml"))) == len(FILES)


@every_file
def test_bytes_are_plain(path: Path) -> None:
    content = path.read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in content
    assert content.endswith(b"\n")
    content.decode("utf-8")


@every_file
def test_hash_matches_metadata(path: Path) -> None:
    assert metadata(path)["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@every_file
def test_metadata(path: Path) -> None:
    data = metadata(path)
    assert data.keys() >= METADATA_KEYS
    assert data["id"] == path.parent.name
    assert data["version"] == path.stem
    assert data["status"] == "not clinically reviewed"
    assert data["counts"]["rows"] == len(table(path))
    assert data["counts"]["verified"] == sum(row["verified"] == "yes" for row in table(path))
    assert data["counts"]["unverified"] == sum(row["verified"] == "no" for row in table(path))
    assert data["counts"]["without_code"] == len(data["without_code"])
    for change in data["curated"]:
        assert change.keys() == {"code", "action", "reason"}
        assert all(isinstance(value, str) and value for value in change.values())


@every_file
def test_sources_are_explained(path: Path) -> None:
    names = {source["name"] for source in metadata(path)["sources"]}
    for row in table(path):
        if row["source"]:
            assert any(row["source"].startswith(name) for name in names), row
        else:
            assert row["verified"] == "no", row


@every_file
def test_columns(path: Path) -> None:
    header = next(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert header[: len(LEADING)] == LEADING
    further = header[len(LEADING) :]
    assert further == [column for column in FURTHER if column in further]
    for column in further:
        if column != "header":
            assert any(row[column] for row in table(path)), column


@every_file
def test_sorted_without_duplicates(path: Path) -> None:
    keys = [(row["system"], row["code"]) for row in table(path)]
    assert keys
    assert all(first < second for first, second in pairwise(keys))


@every_file
def test_values(path: Path) -> None:
    for row in table(path):
        assert None not in row.values(), row
        assert row["system"] in SHORT_SYSTEMS or row["system"].startswith("http"), row
        assert row["code"], row
        assert row["code"] == row["code"].strip(), row
        assert row["verified"] in {"yes", "no"}, row
        assert row["display"] or row["verified"] == "no", row
        assert row.get("header", "") in {"", "yes"}, row
        assert row.get("match", "") in {"", "prefix"}, row
        assert row.get("counts_as_trial", "") in {"", "yes", "no"}, row


@every_file
def test_icd_codes(path: Path) -> None:
    icd = [row for row in table(path) if row["system"] == "icd10cm"]
    if not icd:
        return
    assert "header" in icd[0]
    expansion = metadata(path)["expansion"]["icd10cm"]
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", expansion["release"])
    prefixes = {row["code"][:length] for row in icd for length in range(3, len(row["code"]))}
    for row in icd:
        assert re.fullmatch(r"[A-Z]\d[0-9A-Z](\.[0-9A-Z]{1,4})?", row["code"]), row
        # A header is in the set only with a code below it, and only a header has one.
        assert (row["header"] == "yes") == (row["code"] in prefixes), row
        if row["expanded_from"]:
            assert row["code"].startswith(row["expanded_from"]), row


def verhoeff_is_valid(number: str) -> bool:
    """The check digit of a SNOMED CT identifier: multiplication in the dihedral group D5."""

    def times(i: int, j: int) -> int:
        turned = (i + j) % 5 if i < 5 else (i - j) % 5
        return turned + (5 if (i < 5) != (j < 5) else 0)

    first = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    permutations = [list(range(10)), first]
    for _ in range(6):
        permutations.append([permutations[-1][first[i]] for i in range(10)])
    check = 0
    for position, digit in enumerate(reversed(number)):
        check = times(check, permutations[position % 8][int(digit)])
    return check == 0


def test_verhoeff() -> None:
    assert verhoeff_is_valid("370143000")
    assert not verhoeff_is_valid("370143001")
    assert not verhoeff_is_valid("307143000")


@every_file
def test_snomed_codes_have_the_right_check_digit(path: Path) -> None:
    for row in table(path):
        assert row["system"] != "snomed" or verhoeff_is_valid(row["code"]), row


def test_no_daily_dose_statistics_are_shipped() -> None:
    for path in FILES:
        assert "ddd" not in next(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        assert "who_ddd" not in path.with_suffix(".yaml").read_text(encoding="utf-8")


def test_readme_counts_every_set() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        title = metadata(path)["title"]
        assert f"| `{path.parent.name}` | {title} | {len(table(path))} |" in text


# ---------------------------------------------------------------- depression


def test_no_bipolar_code_in_mdd_active() -> None:
    assert "67002003" not in codes("mdd-active")
    assert "67002003" in codes("bipolar-mania")
    assert not displays("mdd-active", "bipolar|manic|mania")


def test_unspecified_depression_and_pmdd_are_not_mdd() -> None:
    assert codes("mdd-active").isdisjoint({"F32.A", "F32.89", "F32.81", "F34.1", "F43.21", "F53.0", "F32", "F33"})
    assert {"F32.A", "F32.89", "F32.81"} <= codes("depression-nonspecific")


def test_remission_is_not_active() -> None:
    assert codes("mdd-active").isdisjoint({"F32.4", "F32.5", "F33.40", "F33.41", "F33.42"})
    assert not displays("mdd-active", "remission")
    assert {"F32.4", "F32.5", "F33.40", "F33.41", "F33.42"} <= codes("mdd-remission")


@pytest.mark.parametrize("other", ["mdd-remission", "bipolar-mania", "depression-nonspecific"])
def test_mdd_active_overlaps_no_other_mood_set(other: str) -> None:
    assert codes("mdd-active").isdisjoint(codes(other))


def test_mdd_psychotic_is_not_matched_on_without_psychotic_features() -> None:
    assert codes("mdd-psychotic").isdisjoint({"75084000", "36474008", "76441001", "F32.2", "F33.2"})
    assert not displays("mdd-psychotic", "without psychotic")
    assert codes("mdd-psychotic") <= codes("mdd-active")


# ---------------------------------------------------------------- antidepressants


@pytest.mark.parametrize("set_id", ["antidepressant-ingredients", "antidepressant-products", "atc-antidepressants"])
def test_esketamine_never_counts_as_a_trial(set_id: str) -> None:
    for found in rows(set_id):
        if re.search("ketamine", found["display"] + found.get("ingredient", ""), re.IGNORECASE):
            assert found["counts_as_trial"] == "no", found
    assert row("antidepressant-ingredients", "2119365")["counts_as_trial"] == "no"
    assert row("antidepressant-ingredients", "N06AX27")["counts_as_trial"] == "no"
    assert row("atc-antidepressants", "N06AX27")["counts_as_trial"] == "no"


@pytest.mark.parametrize(
    "code",
    ["A08AA62", "N04BD01", "N04BD02", "N04BD03", "N06AX01", "N06AX02", "N06AX09", "N06AX25", "N06AX29", "N06AX31"],
)
def test_atc_codes_that_are_no_trial(code: str) -> None:
    assert row("atc-antidepressants", code)["counts_as_trial"] == "no"


def test_antidepressants_are_not_matched_by_prefix() -> None:
    for set_id in ("antidepressant-ingredients", "atc-antidepressants"):
        assert all(not found.get("match") for found in rows(set_id))
        assert "N06A" not in codes(set_id)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (r"^doxepin [36] MG Oral Tablet", 2),
        (r"^PMDD fluoxetine", 2),
        (r"^Smoking Cessation", 1),
        (r"naltrexone", 1),
        (r"^paroxetine mesylate 7\.5 MG Oral Capsule", 1),
        (r"^milnacipran", 4),
        (r"^selegiline .* Oral", 3),
        (r"^zuranolone", 3),
    ],
)
def test_products_that_are_no_trial(pattern: str, count: int) -> None:
    found = [found for found in rows("antidepressant-products") if re.search(pattern, found["display"])]
    assert len(found) == count
    assert {(found["counts_as_trial"], bool(found["flag"])) for found in found} == {("no", True)}


def test_augmentation_agents_are_no_antidepressants() -> None:
    assert codes("augmentation-agents").isdisjoint(codes("antidepressant-ingredients", "rxnorm"))


def test_atc_doses_equal_those_of_the_same_ingredient() -> None:
    doses = {
        found["ingredient"]: found["min_adequate_mg_per_day"]
        for found in rows("antidepressant-ingredients", "rxnorm")
        if found["min_adequate_mg_per_day"]
    }
    for found in rows("antidepressant-ingredients", "atc"):
        if found["ingredient"] in doses:
            assert found["min_adequate_mg_per_day"] == doses[found["ingredient"]], found


@pytest.mark.parametrize(
    ("code", "dose"),
    [("36437", "50"), ("N06AB06", "50"), ("38252", "37.5"), ("N06AX19", "18.2"), ("N06AX22", "25"), ("704", "100")],
)
def test_minimum_adequate_dose(code: str, dose: str) -> None:
    assert row("antidepressant-ingredients", code)["min_adequate_mg_per_day"] == dose


@pytest.mark.parametrize(
    ("code", "strength", "form"),
    [
        ("403970", "25", "Oral Capsule"),  # fluoxetine 25 MG / olanzapine 12 MG
        ("856769", "12.5", "Oral Tablet"),  # amitriptyline 12.5 MG / chlordiazepoxide 5 MG
        ("2611260", "105", "Extended Release Oral Tablet"),  # bupropion 105 MG / dextromethorphan 45 MG
        ("861064", "", "Oral Solution"),  # sertraline 20 MG/ML
        ("865206", "", "Transdermal System"),  # selegiline 0.25 MG/HR
        ("1653469", "", "Pack"),  # vilazodone 10 MG and 20 MG
        ("993541", "150", "Extended Release Oral Tablet"),  # 24 HR bupropion 150 MG
        ("2672372", "", ""),  # gepirone, name not given
    ],
)
def test_strength_is_that_of_the_antidepressant(code: str, strength: str, form: str) -> None:
    found = row("antidepressant-products", code)
    assert (found["strength_mg"], found["dose_form"]) == (strength, form)


def test_first_strength_agrees_with_strength() -> None:
    for found in rows("antidepressant-products"):
        if found["strength_mg"] and found["first_strength"]:
            assert found["first_strength"] == f"{found['strength_mg']} MG", found


# ---------------------------------------------------------------- contraindications


def test_not_aneurysmal_disease_by_code() -> None:
    for code in codes("aneurysmal-vascular-avm", "icd10cm"):
        assert not code.startswith(("H35.04", "K31.81", "K55.2", "Q21")), code
    assert row("aneurysmal-vascular-avm", "I25.3")["strength"] == "review"
    for found in rows("aneurysmal-vascular-avm", "icd10cm"):
        if found["code"].startswith(("I77.81", "I77.0", "I77.7", "I78.0")):
            assert found["strength"] == "review", found


def test_not_intracerebral_is_review() -> None:
    for found in rows("intracerebral-haemorrhage", "icd10cm"):
        if found["code"].startswith(("I60", "I62", "I69.0", "I69.2", "P52", "S06.5", "S06.6")):
            assert found["strength"] == "review", found
        if found["code"].startswith(("I61", "I69.1", "S06.34", "S06.35", "S06.36")):
            assert found["strength"] == "contraindication", found


def test_no_known_allergy_is_not_an_allergy() -> None:
    assert codes("no-known-allergy").isdisjoint(codes("ketamine-hypersensitivity"))


# ---------------------------------------------------------------- blood pressure, heart, brain


def test_no_other_hypertension_in_hypertension() -> None:
    assert not displays("hypertension", r"ocular|venous|pulmonary|portal|intracranial|varic")
    for found in codes("hypertension", "icd10cm"):
        assert not found.startswith(("H40", "I27", "I87", "K76", "G93")), found


def test_hypertensive_crisis_is_critical() -> None:
    for code in ("I16", "I16.0", "I16.1", "I16.9", "706882009"):
        assert row("hypertension", code)["tier"] == "critical"
    assert row("hypertension", "I10")["tier"] == "core"
    assert row("hypertension", "R03.0")["tier"] == "reading-only"


@pytest.mark.parametrize("code", ["96607-7", "8478-0"])
def test_an_average_blood_pressure_is_not_a_reading(code: str) -> None:
    assert row("bp", code)["group"] == "mean"
    assert row("bp", "8480-6")["group"] == "systolic"
    assert row("bp", "8462-4")["group"] == "diastolic"


def test_no_family_history_in_heart_disease() -> None:
    assert not displays("heart-disease", "family history")
    assert not [code for code in codes("heart-disease", "icd10cm") if code.startswith("Z8")]


def test_no_cerebrovascular_code_in_heart_disease() -> None:
    assert not displays("heart-disease", r"cerebr|stroke|intracranial")
    assert codes("heart-disease").isdisjoint(codes("cerebrovascular"))
    assert "426814001" in codes("cerebrovascular")


@pytest.mark.parametrize(
    "code",
    ["I34.1", "I44.0", "I45.1", "I45.10", "I45.19", "I49.1", "I49.2", "I49.3", "I49.4", "I49.40", "I49.49", "I51.7"],
)
def test_minor_heart_findings(code: str) -> None:
    assert row("heart-disease", code)["tier"] == "minor"


@pytest.mark.parametrize("code", ["I34", "I44.2", "I45.6", "I49.01", "I49.5", "I51.4", "I21.3", "I50.9"])
def test_heart_findings_that_are_not_minor(code: str) -> None:
    assert row("heart-disease", code)["tier"] == "core"


def test_recent_event_groups() -> None:
    for found in rows("recent-cv-event"):
        cerebral = found["code"].startswith("I63") or found["code"] == "432504007"
        assert found["group"] == ("cerebrovascular" if cerebral else "cardiac"), found
    assert "I25.2" not in codes("recent-cv-event")


def test_concussion_is_told_apart_and_the_spine_is_out() -> None:
    for found in rows("raised-icp-brain-injury"):
        assert (found["group"] == "concussion") == found["code"].startswith("S06.0"), found
        assert not re.search(r"\bspin", found["display"], re.IGNORECASE), found


# ---------------------------------------------------------------- pregnancy


def test_no_puerperium_code_in_pregnancy_current() -> None:
    wrong = [
        found
        for found in leaves("pregnancy-current")
        if re.search("childbirth|puerper|postpartum", found["display"], re.IGNORECASE)
    ]
    assert not wrong
    for found in rows("pregnancy-current"):
        if found["system"] == "snomed":
            assert not re.search("childbirth|puerper|postpartum|delivered", found["display"], re.IGNORECASE), found


def test_no_delivery_or_abortion_in_pregnancy_current() -> None:
    ended = ("O00", "O01", "O02", "O03", "O04", "O08", "O70", "O72", "O80", "O82", "O85", "O86", "Z37", "Z38", "Z39")
    for code in codes("pregnancy-current", "icd10cm"):
        assert not code.startswith(ended), code
    assert "Z33.2" not in codes("pregnancy-current")
    assert "Z32.02" not in codes("pregnancy-current")


def test_header_codes_of_both_kinds_are_only_possible() -> None:
    for found in rows("pregnancy-current", "icd10cm"):
        if re.search("childbirth|puerper|postpartum", found["display"], re.IGNORECASE):
            assert (found["header"], found["tier"]) == ("yes", "possible"), found


def test_pregnancy_sets_do_not_overlap() -> None:
    assert codes("pregnancy-current").isdisjoint(codes("pregnancy-ended"))


def test_an_ongoing_pregnancy_does_not_end_one() -> None:
    wrong = [
        found
        for found in leaves("pregnancy-ended")
        if re.search("without delivery|before onset of labor|in pregnancy, ", found["display"])
    ]
    assert not wrong
    assert row("pregnancy-current", "O60.00")["tier"] == "core"
    assert row("pregnancy-current", "O88.211")["tier"] == "core"


def test_pregnancy_leaf_counts() -> None:
    obstetric = {
        set_id: sum(found["code"].startswith("O") for found in leaves(set_id))
        for set_id in ("pregnancy-current", "pregnancy-ended")
    }
    # 1,834 and 603 by the source's split; 46 leaves of a pregnancy that goes on are counted with it here.
    assert obstetric == {"pregnancy-current": 1834 + 46, "pregnancy-ended": 603 - 46}


def test_pregnancy_test_results() -> None:
    assert row("pregnancy-current", "Z32.00")["tier"] == "possible"
    assert row("pregnancy-current", "Z32.01")["tier"] == "positive-test"
    assert row("pregnancy-ended", "Z32.02")["group"] == "negative-test"
    assert row("pregnancy-ended", "Z87.59")["group"] == "history"
    assert row("pregnancy-ended", "O80")["group"] == "ended"
    assert row("pregnancy-ended", "O99.345")["group"] == "ended"


def test_tumour_marker_tests_are_not_pregnancy_tests() -> None:
    for found in rows("hcg-tests"):
        if re.search("free|cord blood|24 hour", found["display"], re.IGNORECASE):
            assert found["tier"] == "not-for-rule", found


def test_lactation_names_lactation() -> None:
    assert not [found for found in leaves("lactation") if "pregnancy" in found["display"]]
    assert codes("lactation").isdisjoint({"O92.3", "O92.5"})


# ---------------------------------------------------------------- procedures


PCS = "http://www.cms.gov/Medicare/Coding/ICD10"
PROCEDURE_SETS = ("pregnancy-capacity-procedures", "aneurysm-repair-procedures")


def grouped(set_id: str, system: str) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for found in rows(set_id, system):
        groups.setdefault(found["group"], set()).add(found["code"])
    return groups


def test_capacity_for_pregnancy_status_codes() -> None:
    assert grouped("pregnancy-capacity-ended", "icd10cm") == {
        "hysterectomy": {"Z90.710", "Z90.711"},
        "oophorectomy-bilateral": {"Z90.722"},
        "sterilisation": {"Z98.51"},
        "menopause": {"N95.0", "N95.2", "Z78.0"},
    }


def test_a_remaining_uterus_leaves_the_capacity_for_pregnancy() -> None:
    cervix_only = {"Z90.712", "37687000", "248911005", "387626007", "440383008", "46226009", "82418001", "176697007"}
    assert codes("pregnancy-capacity-ended").isdisjoint(cervix_only)
    assert codes("pregnancy-capacity-procedures").isdisjoint(cervix_only)
    assert not [code for code in codes("pregnancy-capacity-procedures", PCS) if code.startswith("0UTC")]
    for found in rows("pregnancy-capacity-procedures"):
        if re.search("cervi(x|cal)", found["display"], re.IGNORECASE):
            assert re.search("stump|supracervical", found["display"], re.IGNORECASE), found


def test_one_ovary_or_one_tube_leaves_the_capacity_for_pregnancy() -> None:
    assert codes("pregnancy-capacity-ended").isdisjoint({"Z90.72", "Z90.721"})
    assert codes("pregnancy-capacity-procedures").isdisjoint({"83152002", "116028008", "77543007", "302376006"})
    for found in rows("pregnancy-capacity-procedures"):
        if found["group"] != "hysterectomy":
            assert re.search("bilateral|after prior", found["display"], re.IGNORECASE), found


def test_time_around_the_menopause_leaves_the_capacity_for_pregnancy() -> None:
    around = {"N95", "N95.1", "N95.8", "N95.9", "E28.310", "E28.319", "303111005", "309606002", "31351009", "22636003"}
    assert codes("pregnancy-capacity-ended").isdisjoint(around)


def test_male_sterilisation_does_not_end_the_capacity_for_pregnancy() -> None:
    for set_id in ("pregnancy-capacity-ended", "pregnancy-capacity-procedures"):
        assert not displays(set_id, "vasectomy|male sterili")
        assert codes(set_id).isdisjoint({"Z98.52", "22523008", "399141000"})


def test_planned_or_requested_is_not_done() -> None:
    for set_id in ("pregnancy-capacity-ended", "pregnancy-capacity-procedures"):
        assert not displays(set_id, "planned|requested|education|counsel")


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("236886002", "hysterectomy"),
        ("116140006", "hysterectomy"),
        ("24293001", "hysterectomy"),
        ("0UT90ZZ", "hysterectomy"),
        ("0UT9FZL", "hysterectomy"),
        ("76876009", "oophorectomy-bilateral"),
        ("0UT24ZZ", "oophorectomy-bilateral"),
        ("287664005", "sterilisation"),
        ("0UL74CZ", "sterilisation"),
    ],
)
def test_capacity_procedures(code: str, group: str) -> None:
    found = row("pregnancy-capacity-procedures", code)
    assert (found["group"], found["verified"]) == (group, "yes")


def test_capacity_sets_do_not_overlap_with_pregnancy() -> None:
    ended = codes("pregnancy-capacity-ended")
    assert ended.isdisjoint(codes("pregnancy-current") | codes("pregnancy-ended"))
    assert ended.isdisjoint(codes("pregnancy-capacity-procedures"))


@pytest.mark.parametrize(
    ("code", "group"),
    [
        ("405525004", "aortic"),
        ("444588006", "aortic"),
        ("04V03DZ", "aortic"),
        ("02VX3FZ", "aortic"),
        ("03VG0CZ", "intracranial"),
        ("03VG3HZ", "intracranial"),
        ("03LG0CZ", "intracranial"),
        ("04VM3DZ", "peripheral"),
        ("03VK3HZ", "peripheral"),
    ],
)
def test_aneurysm_repair(code: str, group: str) -> None:
    found = row("aneurysm-repair-procedures", code)
    assert (found["group"], found["verified"]) == (group, "yes")


def test_not_aneurysm_repair() -> None:
    found = codes("aneurysm-repair-procedures")
    # A balloon that is taken out again, embolisation of a tumour or a bleeding vessel, status codes that say little.
    assert found.isdisjoint({"04V03DJ", "03LG3DZ", "03LG3BZ", "04LE3DT", "Z86.79", "Z95.828"})
    assert not displays("aneurysm-repair-procedures", "temporary|dilation|bypass")
    unverified = {found["code"] for found in rows("aneurysm-repair-procedures") if found["verified"] == "no"}
    assert unverified == {"175376008", "3090000", "6187000"}


@pytest.mark.parametrize("set_id", PROCEDURE_SETS)
def test_procedure_codes_have_the_form_of_their_system(set_id: str) -> None:
    for found in rows(set_id):
        assert found["system"] in {"snomed", PCS}, found
        if found["system"] == PCS:
            assert re.fullmatch("[0-9A-HJ-NP-Z]{7}", found["code"]), found


def test_no_cpt_code_is_shipped() -> None:
    for path in FILES:
        assert not [found for found in table(path) if "ama-assn" in found["system"]]


# ---------------------------------------------------------------- substances


def test_no_nicotine_caffeine_or_laxative_in_substance_use() -> None:
    pattern = r"nicotin|tobacco|cigarettes|caffein|laxative|vitamin|diuretic|steroid|family history"
    assert not displays("substance-use-disorder", pattern)
    for code in codes("substance-use-disorder", "icd10cm"):
        assert not code.startswith(("F17", "F55", "Z71", "Z81", "Z72")), code


def test_codes_that_also_code_caffeine_are_no_disorder() -> None:
    found = [found for found in rows("substance-use-disorder") if re.match(r"F15\.9[23]", found["code"])]
    assert found
    assert {(found["strength"], found["note"]) for found in found} == {("use", "also codes caffeine")}


def test_denied_or_unknown_use_is_not_in_substance_use() -> None:
    assert not displays("substance-use-disorder", r"denies|never |unknown|has access")


@pytest.mark.parametrize("set_id", ["substance-use-disorder", "ketamine-pcp-hallucinogen-use"])
def test_use_and_remission_are_told_apart(set_id: str) -> None:
    for found in rows(set_id, "icd10cm"):
        if re.fullmatch(r"F1\d\.(11|21|91)", found["code"]):
            assert found["strength"] == "remission", found
        elif re.match(r"F1\d\.9", found["code"]):
            assert found["strength"] == "use", found
        elif re.match(r"F1\d", found["code"]):
            assert found["strength"] == "disorder", found


def test_remission_codes_agree_with_sud_remission() -> None:
    in_remission = {found["code"] for found in rows("substance-use-disorder") if found["strength"] == "remission"}
    assert codes("sud-remission", "icd10cm") <= in_remission
    assert codes("sud-remission") & codes("substance-use-disorder") <= in_remission


@pytest.mark.parametrize("set_id", ["substance-use-disorder", "ketamine-pcp-hallucinogen-use"])
def test_poisoning_asserts_no_disorder(set_id: str) -> None:
    for found in rows(set_id):
        if re.search(r"poisoning|overdose|toxic effect", found["display"], re.IGNORECASE):
            assert found["strength"] == "event-review", found


def test_drug_products_are_filtered_by_ingredient() -> None:
    assert not displays("cns-stimulant-products", r"flurane|tropicamide")
    for found in rows("cns-stimulant-products"):
        assert found["group"] != "hypnotic/other", found
        if re.search("phentermine|diethylpropion", found["display"]):
            assert found["group"] == "stimulant", found
        if re.search("codeine.*guaifenesin", found["display"]):
            assert found["group"] == "antitussive opioid", found


# ---------------------------------------------------------------- suicidality


def test_later_encounters_and_sequelae_are_history() -> None:
    for found in leaves("suicidality"):
        if re.match(r"T|X", found["code"]):
            expected = "recent-event" if found["code"].endswith("A") else "history"
            assert found["strength"] == expected, found
    assert row("suicidality", "T14.91XD")["strength"] == "history"
    assert row("suicidality", "T14.91XA")["strength"] == "recent-event"


def test_self_poisoning_is_in_suicidality() -> None:
    assert row("suicidality", "T43.222A")["strength"] == "recent-event"
    assert row("suicidality", "T43.222A")["expanded_from"] == "T43"
    assert row("suicidality", "T43.222S")["strength"] == "history"
    for found in rows("suicidality", "icd10cm"):
        if re.match(r"T(3[6-9]|[45]\d|6[0-5])", found["code"]):
            assert "intentional self-harm" in found["display"], found


def test_asphyxiation_and_hanging_are_in_suicidality() -> None:
    found = [found for found in rows("suicidality", "icd10cm") if found["code"].startswith("T71")]
    assert len([leaf for leaf in found if not leaf["header"]]) == 24
    for code in found:
        assert "intentional self-harm" in code["display"], code
        assert code["expanded_from"] == "T71"
    hanging = {code: row("suicidality", code)["strength"] for code in ("T71.162A", "T71.162D", "T71.162S")}
    assert hanging == {"T71.162A": "recent-event", "T71.162D": "history", "T71.162S": "history"}
    # Accident, assault and undetermined intent.
    assert codes("suicidality").isdisjoint({"T71.161A", "T71.163A", "T71.164A", "T71", "T71.16"})
    assert any(change["code"] == "T71" for change in metadata(ROOT / "suicidality" / f"{VERSION}.csv")["curated"])


def test_intent_is_marked() -> None:
    marked = {found["code"] for found in rows("suicidality") if found["intent"] == "yes"}
    assert marked == {"304594002", "247650009", "401231009", "711561004"}


def test_history_and_self_harm_are_not_current_ideation() -> None:
    for code in ("Z91.51", "Z91.52", "161474000", "314550003", "23233009"):
        assert row("suicidality", code)["strength"] == "history"
    for code in ("R45.88", "102911000", "401229000", "401230005"):
        assert row("suicidality", code)["strength"] == "self-harm"


def test_lifetime_ideation_is_marked() -> None:
    assert row("cssrs", "93294-7")["group"] == "lifetime"
    assert row("cssrs", "93293-9")["group"] == ""


# ---------------------------------------------------------------- other conditions


def test_delirium_and_symptoms_are_not_psychotic_disorders() -> None:
    for code in codes("psychotic-disorder", "icd10cm"):
        assert not code.startswith(("F05", "R44", "F01", "F02", "F03")), code
    assert row("psychotic-disorder", "F06.2")["group"] == "organic"


def test_bacterial_cystitis_is_not_the_bladder_factor() -> None:
    assert "N39.0" not in codes("bladder-cystitis")
    for found in rows("bladder-cystitis", "icd10cm"):
        if found["code"].startswith("N30.0"):
            assert found["tier"] != "core", found


def test_esketamine_anaesthesia_is_marked() -> None:
    assert row("esketamine-ketamine", "N01AX14")["note"] == "anaesthetic use"
    assert row("esketamine-ketamine", "50458-028")["match"] == "prefix"


# ---------------------------------------------------------------- answers and routes


@pytest.mark.parametrize(
    ("set_id", "column", "expected"),
    [
        ("phq9-item-answers", "score", {"LA6568-5": "0", "LA6569-3": "1", "LA6570-1": "2", "LA6571-9": "3"}),
        (
            "cssrs-ideation-answers",
            "severity",
            {"LA30370-3": "1", "LA30371-1": "2", "LA30372-9": "3", "LA30373-7": "4", "LA30374-5": "5"},
        ),
        (
            "route-codes",
            "group",
            {
                "47625008": "intravenous",
                "78421000": "intramuscular",
                "46713006": "nasal",
                "26643006": "oral",
                "37839007": "sublingual",
            },
        ),
        (
            "yes-no-answers",
            "meaning",
            {"LA33-6": "yes", "LA32-8": "no", "373066001": "yes", "373067005": "no", "Y": "yes", "N": "no"},
        ),
        (
            "presence-values",
            "meaning",
            {
                "10828004": "positive",
                "260373001": "positive",
                "LA6576-8": "positive",
                "POS": "positive",
                "260385009": "negative",
                "260415000": "negative",
                "LA6577-6": "negative",
                "NEG": "negative",
                "82334004": "indeterminate",
                "IND": "indeterminate",
            },
        ),
    ],
)
def test_answers(set_id: str, column: str, expected: dict[str, str]) -> None:
    assert {found["code"]: found[column] for found in rows(set_id)} == expected
    verified = "yes" if set_id == "cssrs-ideation-answers" else "no"
    assert {found["verified"] for found in rows(set_id)} == {verified}

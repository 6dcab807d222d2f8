"""The rules' pages as HTML: rendered on first reading, kept, the same for every reader."""

from cds_service.rulebook.load import Rulebook
from cds_service.rulebook.pages import evidence_html, rule_index_html, rule_page_html


class RulePages:
    """The pages of a rulebook; `page` is None for a version that does not exist."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook
        self._pages: dict[tuple[str, str], str] = {}
        self.index = rule_index_html(rulebook)
        self.evidence = evidence_html(rulebook)

    def page(self, rule: str, version: str) -> str | None:
        """One version's page."""
        found = self._rulebook.versions.get(rule, {}).get(version)
        if found is None:
            return None
        if (rule, version) not in self._pages:
            self._pages[rule, version] = rule_page_html(found, self._rulebook)
        return self._pages[rule, version]

"""The pages under docs/ that the code decides."""

from pathlib import Path

import pytest

from instantlite import errors, reference
from instantlite.config import LimitsConfig, describe
from ratelimit import limits

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", reference.PAGES)
def test_a_page_in_docs_is_what_the_code_prints(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main([page]) == 0
    assert (DOCS / f"{page}.md").read_text() == capsys.readouterr().out


def test_every_error_code_is_on_the_page() -> None:
    printed = reference.errors_markdown()
    for code in errors.CODES.values():
        assert f"| `{code.name}` | {code.status} | {code.meaning} |" in printed


def test_an_unknown_page_is_told_which_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["limits"]) == 2
    assert "errors" in capsys.readouterr().err


def test_every_link_between_the_pages_leads_somewhere() -> None:
    project = DOCS.parent
    for page in (project / "README.md", project / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        for target in _links(page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def _links(text: str) -> list[str]:
    targets = [part.split(")", 1)[0] for part in text.split("](")[1:]]
    targets += [part.split('"', 1)[0] for key in ("src", "srcset") for part in text.split(f'{key}="')[1:]]
    return [target.split("#", 1)[0] for target in targets if not target.startswith(("http", "#"))]


def test_every_limit_with_its_default_and_variable_is_on_its_page() -> None:
    page = (DOCS / "limits.md").read_text()
    for limit in limits.LIMITS.values():
        rate = getattr(LimitsConfig(), limit.name)
        variable = next(option.env for option in describe() if (option.section, option.name) == ("limits", limit.name))
        assert f"| `{limit.name}` | {limit.says} | {limit.per} | {rate.words} |" in page
        assert f"| `{variable}` |" in page

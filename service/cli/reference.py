"""The table of all settings for the documentation: ``python -m service.cli.reference docs/reference/settings.md``."""

import sys
from pathlib import Path

from service.cli.declarations import SECTIONS
from service.cli.flags import env_names
from service.cli.setting import Section, Setting

BEGIN = "<!-- begin: generated from service/cli/declarations.py -->"
END = "<!-- end: generated -->"


def settings_tables() -> str:
    """One table for each section, in Markdown."""
    return "\n".join(_table(section) for section in SECTIONS)


def renewed(page: str) -> str:
    """``page`` with the tables between its two marks as they are now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{settings_tables()}\n{END}{after}"


def _table(section: Section) -> str:
    head = f"### {section.title}\n\n| Flag | Variables | Default | Meaning |\n| --- | --- | --- | --- |\n"
    return head + "".join(_row(setting) for setting in section.settings)


def _row(setting: Setting) -> str:
    variables = ", ".join(f"`{name}`" for name in env_names(setting))
    allowed = setting.kind.allowed[:1].upper() + setting.kind.allowed[1:]
    cells = (f"`{setting.flag}`", variables, f"`{setting.default_words()}`", f"{setting.help} {allowed}.")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(renewed(Path(name).read_text()))

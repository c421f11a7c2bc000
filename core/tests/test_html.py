from __future__ import annotations

import jinja2
import pytest

from molvis_core.html import render_page

TEMPLATE = """{% extends "page.html" %}
{% block style %}.own { color: var(--accent); }{% endblock %}
{% block body %}<h1>{{ title }}</h1><p class="own">{{ name|twice }}</p>{% endblock %}
"""


def test_a_page_is_whole_and_loads_nothing() -> None:
    page = render_page(TEMPLATE, title="A <b>", filters={"twice": lambda text: 2 * text}, name="x<y\x07")
    assert page.startswith("<!doctype html>")
    assert "<title>A &lt;b&gt;</title>" in page
    assert '<p class="own">x&lt;y\\x07x&lt;y\\x07</p>' in page
    assert page.index("--accent:") < page.index(".own {") < page.index("</style>")
    assert "http" not in page
    assert "src=" not in page


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="name"):
        render_page(TEMPLATE, title="A", filters={"twice": lambda text: 2 * text})

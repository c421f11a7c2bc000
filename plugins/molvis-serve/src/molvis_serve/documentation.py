"""`/docs`: what `/openapi.json` says, as a page that loads nothing from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

__all__ = ["add_docs"]

_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
h2{margin-top:2.5rem;font-size:1.05rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;
border-bottom:1px solid color-mix(in srgb,currentColor 15%,transparent)}
.method{font-weight:600;text-transform:uppercase;margin-right:.5rem}
"""


def add_docs(app: FastAPI) -> None:
    """Add the page."""
    text: list[str] = []

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        if not text:
            text.append(render(app.openapi()))
        policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
        return HTMLResponse(text[0], headers={"content-security-policy": policy})


def render(schema: dict[str, Any]) -> str:
    """A description in OpenAPI as HTML."""
    info = schema["info"]
    title = escape(info["title"])
    head = "<meta charset=utf-8><meta name=viewport content='width=device-width'>"
    said = f"{escape(info.get('summary', ''))} The same for programs: <a href=/openapi.json>/openapi.json</a>."
    parts = [f"<!doctype html><html lang=en>{head}<title>{title} API</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{title} {escape(info['version'])}</h1><p>{said}</p>")
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(path, method, operation))
    return "".join(parts)


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    said = operation.get("description") or operation.get("summary", "")
    parts = [f"<h2><span class=method>{escape(method)}</span><code>{escape(path)}</code></h2><p>{escape(said)}</p>"]
    rows = [
        (p["name"], p["in"], p.get("description", ""), p.get("schema", {})) for p in operation.get("parameters", [])
    ]
    content = operation.get("requestBody", {}).get("content", {})
    for kind, body in content.items():
        for name, schema in body.get("schema", {}).get("properties", {}).items():
            rows.append((name, kind, schema.get("description", ""), schema))
    if rows:
        cells = "".join(
            f"<tr><td><code>{escape(name)}</code><td>{escape(place)}<td>{escape(what)}<td><code>{_kind(schema)}</code>"
            for name, place, what, schema in rows
        )
        parts.append(f"<table><tr><th>name<th>in<th>what<th>kind{cells}</table>")
    statuses = ", ".join(
        f"<code>{escape(code)}</code> {escape(one.get('description', ''))}"
        for code, one in operation.get("responses", {}).items()
    )
    return "".join([*parts, f"<p>Answers: {statuses}</p>"])


def _kind(schema: dict[str, Any]) -> str:
    shown = {k: v for k, v in schema.items() if k in ("type", "enum", "default", "minimum", "maximum", "maxLength")}
    return escape(json.dumps(shown, ensure_ascii=False)[1:-1].replace('"', ""))

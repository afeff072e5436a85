"""The description of the API as one page: no script, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

HTML = "text/html"
SAFE_HEADERS = {
    # Whatever a model's columns are called, the page runs nothing and asks nobody.
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: #8881; padding: .8rem; overflow-x: auto; border-radius: 4px; }
.method { display: inline-block; min-width: 4rem; font-weight: 600; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
p { margin: .2rem 0 .2rem 1.2rem; }
:root { color-scheme: light dark; }
"""


def docs_page(document: Mapping[str, Any]) -> bytes:
    """The page of an OpenAPI document."""
    title = escape(document["info"]["title"])
    sections = "".join(_section(document, tag["name"]) for tag in document["tags"])
    models = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title} {escape(document['info']['version'])}</h1>"
        f'<p>{escape(document["info"]["description"])} <a href="openapi.json">openapi.json</a></p>'
        f"{sections}<h2>Shapes</h2>{models}</body></html>"
    ).encode()


def _section(document: Mapping[str, Any], tag: str) -> str:
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    )
    return f"<h2>{escape(tag)}</h2>{operations}" if operations else ""


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    examples = [
        f"<p>{escape(name)}</p><pre>{_json(example['value'])}</pre>"
        for content in body.values()
        for name, example in content.get("examples", {}).items()
    ]
    kinds = f"<p>takes {escape(', '.join(body))}</p>" if body else ""
    answers = ", ".join(operation["responses"]["200"].get("content", {}))
    gives = f"<p>gives {escape(answers)}</p>" if answers else ""
    return (
        f'<details><summary><span class="method">{escape(method.upper())}</span> <code>{escape(path)}</code></summary>'
        f"<p>{escape(operation['summary'])}</p>{kinds}{gives}{''.join(examples)}</details>"
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    return f"<details><summary><code>{escape(name)}</code></summary><pre>{_json(schema)}</pre></details>"


def _json(value: Any) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))

"""The OpenAPI document as a page to read.

Litestar's own pages run scripts from a third party on the origin that holds the inbox and its
token. This one runs none.
"""

from __future__ import annotations

import re
from html import escape
from importlib.metadata import version
from typing import Any

from litestar import Litestar, Request
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from postwire_api import schemas

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
code { font-family: ui-monospace, monospace } h2 { margin: 2rem 0 0; font-size: 1.1rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dd { margin: 0 }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } a { color: #9cf } }
"""


class _Page(OpenAPIRenderPlugin):
    """One section for each operation."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        sections = [
            _operation(path, method, operation)
            for path, methods in openapi_schema["paths"].items()
            for method, operation in methods.items()
        ]
        schemas = openapi_schema["components"]["schemas"]
        sections += ["<h2>What is sent and answered</h2>", *map(_schema, sorted(schemas.items()))]
        title = escape(openapi_schema["info"]["title"])
        document = self.get_openapi_json_route(request)
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width">'
            f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
            f"<p>{_prose(openapi_schema['info']['description'])}</p>"
            f'<p>For programs: <a href="{document}">{document}</a></p>'
            f"{''.join(sections)}</body></html>"
        ).encode()


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parameters = [
        (one["name"], _prose(f"{one['in']}. {one.get('description', '')}"))
        for one in operation.get("parameters", [])
    ]
    answers = [
        (status, f"{_prose(one['description'])} {_names(one)}")
        for status, one in sorted(operation["responses"].items())
    ]
    takes = [("body", _names(operation["requestBody"]))] if "requestBody" in operation else []
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code> {escape(operation['summary'])}</h2>"
        f"<p>{_prose(operation.get('description', ''))}</p>{_list(parameters + takes + answers)}"
    )


def _schema(named: tuple[str, dict[str, Any]]) -> str:
    name, schema = named
    fields = [
        (field, f"{_type(one)}. {_prose(one.get('description', ''))}")
        for field, one in schema.get("properties", {}).items()
    ]
    return f'<h3 id="{escape(name)}">{escape(name)}</h3>{_list(fields)}'


def _type(schema: dict[str, Any]) -> str:
    """What a value may be, in words; a schema of its own as a link."""
    match schema:
        case {"$ref": str() as reference}:
            name = escape(reference.rpartition("/")[2])
            return f'<a href="#{name}">{name}</a>'
        case {"oneOf": list() as choices}:
            return " or ".join(map(_type, choices))
        case {"enum": list() as values}:
            return " or ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"type": "array", "items": dict() as items}:
            return f"list of {_type(items)}"
        case _:
            return escape(schema.get("format") or str(schema.get("type", "any")))


def _names(content: dict[str, Any]) -> str:
    """The schemas that a body can have."""
    return " or ".join(_type(one["schema"]) for one in content.get("content", {}).values())


def _list(rows: list[tuple[str, str]]) -> str:
    terms = (f"<dt><code>{escape(term)}</code></dt><dd>{html}</dd>" for term, html in rows)
    return f"<dl>{''.join(terms)}</dl>"


def _prose(text: str) -> str:
    """Text with its `code` marked as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def close_schemas(app: Litestar) -> None:
    """Say of what takes no unknown fields that it does not; Litestar leaves that out."""
    for name, schema in app.openapi_schema.components.schemas.items():
        described = getattr(schemas, name, None)
        if described and described.__struct_config__.forbid_unknown_fields:
            schema.additional_properties = False


def make_config() -> OpenAPIConfig:
    """The document at /api/docs/openapi.json, the page at /api/docs."""
    return OpenAPIConfig(
        title="Postwire",
        version=version("postwire-api"),
        description="Mail accounts, their messages and their syncs. Errors are problem details "
        "(RFC 9457); every path takes the header `Authorization: Bearer <JWT>`.",
        path="/api/docs",
        render_plugins=[_Page(path="/")],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="Signed by the installation's secret (HS256) or its identity "
                    "provider (RS256, ES256). `exp` and `aud` are required; `sub` is the user, "
                    "unless the operator names another claim. See docs/auth.md.",
                )
            }
        ),
        security=[{"bearer": []}],
    )

//! The documentation of the API, rendered from its OpenAPI document.

use std::fmt::Write as _;

use serde_json::Value;

use super::SCRIPT_ELEMENT;
use super::document::{entries, items, string};
use super::html::{head, text};
use super::try_out::{render_form, token_field};

/// The page for an OpenAPI document in JSON.
pub fn api_documentation(document: &str) -> String {
    // The document is part of the program: the tests parse it.
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    render(&document)
}

/// Operations of one tag, as path, method and definition.
fn operations<'a>(
    document: &'a Value,
    tag: &'a str,
) -> impl Iterator<Item = (&'a String, &'a String, &'a Value)> {
    entries(&document["paths"])
        .flat_map(|(path, item)| entries(item).map(move |(method, value)| (path, method, value)))
        .filter(move |(_, _, operation)| items(&operation["tags"]).any(|name| name == tag))
}

// Writing into a String, as everything below does, cannot fail.

/// The whole page.
fn render(document: &Value) -> String {
    let info = &document["info"];
    let mut page = format!(
        "{head}{SCRIPT_ELEMENT}<header><h1>{title} <small>{version}</small></h1><p>{description}</p>\
         <p><a href=\"/openapi.json\">openapi.json</a></p>{token}</header><nav><ul>",
        token = token_field(),
        head = head(&format!(
            "{} API {}",
            string(info, "title"),
            string(info, "version")
        )),
        title = text(string(info, "title")),
        version = text(string(info, "version")),
        description = text(string(info, "description")),
    );
    for tag in items(&document["tags"]) {
        for (path, method, _) in operations(document, string(tag, "name")) {
            let _ = write!(
                page,
                "<li><a href=\"#{}\"><b class={method}>{method}</b> {}</a>",
                anchor(method, path),
                text(path)
            );
        }
    }
    page.push_str("</ul></nav><main>");
    for tag in items(&document["tags"]) {
        let name = string(tag, "name");
        let _ = write!(
            page,
            "<h2>{}</h2><p>{}</p>",
            text(name),
            text(string(tag, "description"))
        );
        for (path, method, operation) in operations(document, name) {
            render_operation(&mut page, path, method, operation, document);
        }
    }
    page.push_str("<h2>Schemas</h2>");
    for (name, schema) in entries(&document["components"]["schemas"]) {
        render_schema(&mut page, name, schema);
    }
    page.push_str("</main></html>");
    page
}

fn anchor(method: &str, path: &str) -> String {
    let path: String = path
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        })
        .collect();
    format!("{method}{path}")
}

fn render_operation(
    page: &mut String,
    path: &str,
    method: &str,
    operation: &Value,
    document: &Value,
) {
    let _ = write!(
        page,
        "<section id=\"{}\"><h3><b class={method}>{method}</b> <code>{}</code></h3>\
         <p><strong>{}.</strong> {}</p>",
        anchor(method, path),
        text(path),
        text(string(operation, "summary")),
        text(string(operation, "description")),
    );
    if items(&operation["parameters"]).next().is_some() {
        page.push_str("<table><thead><tr><th>parameter<th>in<th>type<th>meaning<tbody>");
        for parameter in items(&operation["parameters"]) {
            let _ = write!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{}<td>{}",
                text(string(parameter, "name")),
                text(string(parameter, "in")),
                type_of(&parameter["schema"]),
                text(string(parameter, "description")),
            );
        }
        page.push_str("</table>");
    }
    for (media, content) in entries(&operation["requestBody"]["content"]) {
        let _ = write!(
            page,
            "<p>Body: <code>{}</code>, {}",
            text(media),
            type_of(&content["schema"])
        );
    }
    page.push_str("<table><thead><tr><th>status<th>meaning<th>body<tbody>");
    for (status, response) in entries(&operation["responses"]) {
        let body: Vec<String> = entries(&response["content"])
            .map(|(_, content)| type_of(&content["schema"]))
            .collect();
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}",
            text(status),
            text(string(response, "description")),
            body.join(", ")
        );
    }
    page.push_str("</table>");
    render_form(page, path, method, operation, document);
    page.push_str("</section>");
}

fn render_schema(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(
        page,
        "<section id=\"schema-{name}\"><h3>{name}</h3><p>{}</p>",
        text(string(schema, "description")),
        name = text(name),
    );
    if entries(&schema["properties"]).next().is_some() {
        page.push_str("<table><thead><tr><th>field<th>type<th>meaning<tbody>");
        for (field, property) in entries(&schema["properties"]) {
            let required = items(&schema["required"]).any(|name| name == field);
            let _ = write!(
                page,
                "<tr><td><code>{}</code>{}<td>{}<td>{}",
                text(field),
                if required { "" } else { " (optional)" },
                type_of(property),
                text(string(property, "description")),
            );
        }
        page.push_str("</table>");
    } else {
        let _ = write!(page, "<p>{}</p>", type_of(schema));
    }
    page.push_str("</section>");
}

/// The type that a schema describes, in a few words.
fn type_of(schema: &Value) -> String {
    if let Some(name) = string(schema, "$ref").strip_prefix("#/components/schemas/") {
        let name = text(name);
        return format!("<a href=\"#schema-{name}\">{name}</a>");
    }
    for (key, between) in [("oneOf", " or "), ("allOf", " with ")] {
        let parts: Vec<String> = items(&schema[key]).map(type_of).collect();
        if !parts.is_empty() {
            return parts.join(between);
        }
    }
    let values: Vec<String> = items(&schema["enum"])
        .filter_map(Value::as_str)
        .map(|value| format!("<code>{}</code>", text(value)))
        .collect();
    if !values.is_empty() {
        return values.join(" or ");
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        kinds => items(kinds).filter_map(Value::as_str).collect(),
    };
    let kind = kinds
        .into_iter()
        .find(|kind| *kind != "null")
        .unwrap_or("any");
    if kind == "array" {
        return format!("list of {}", type_of(&schema["items"]));
    }
    let fields: Vec<&str> = entries(&schema["properties"])
        .map(|(name, _)| name.as_str())
        .collect();
    let mut words = format!("{kind}{}", if fields.is_empty() { "" } else { " of " });
    words.push_str(&text(&fields.join(", ")));
    for (key, sign) in [("minimum", "≥"), ("maximum", "≤")] {
        if let Some(bound) = schema[key].as_f64() {
            let _ = write!(words, " {sign} {bound}");
        }
    }
    for (key, word) in [("minLength", "at least"), ("maxLength", "at most")] {
        if let Some(length) = schema[key].as_u64() {
            let _ = write!(words, ", {word} {length} letters");
        }
    }
    if let Some(format) = schema["format"].as_str().filter(|_| kind == "string") {
        let _ = write!(words, " ({})", text(format));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../openapi.json");

    #[test]
    fn the_documentation_shows_every_operation_status_and_schema() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let page = api_documentation(DOCUMENT);
        assert!(page.len() < 100_000, "{} bytes", page.len());
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item) {
                let anchor = anchor(method, path);
                let section = page
                    .split(&format!("<section id=\"{anchor}\">"))
                    .nth(1)
                    .unwrap();
                let section = section.split("</section>").next().unwrap();
                for (status, _) in entries(&operation["responses"]) {
                    assert!(
                        section.contains(&format!("<td>{status}<td>")),
                        "{anchor} {status}"
                    );
                }
                assert!(page.contains(&format!("href=\"#{anchor}\"")));
            }
        }
        for (name, _) in entries(&document["components"]["schemas"]) {
            assert!(
                page.contains(&format!("<section id=\"schema-{name}\">")),
                "{name}"
            );
        }
        for link in page.split("href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{target}\"")), "{target}");
        }
    }
}

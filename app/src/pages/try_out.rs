//! Forms that send a request of the OpenAPI document. They need the pages' script, which shows them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::document::{entries, items, string};
use super::html::text;

/// Where the reader enters a token for all forms of the page.
pub fn token_field() -> &'static str {
    // Sending a form of this method outside of a dialog does nothing.
    "<details id=authorization hidden><summary>Token</summary><form method=dialog><label>Bearer token, where the service \
     needs one <input id=token type=password autocomplete=off></label></form></details>"
}

/// The form for one operation: a field for each parameter and for the body, filled with the examples of the document.
pub fn render_form(
    page: &mut String,
    path: &str,
    method: &str,
    operation: &Value,
    document: &Value,
) {
    // Writing into a String cannot fail.
    let _ = write!(
        page,
        "<details class=try hidden><summary>Try it</summary><form data-method={} data-path=\"{}\">",
        method.to_uppercase(),
        text(path)
    );
    for parameter in items(&operation["parameters"]) {
        let name = text(string(parameter, "name"));
        let required = parameter["required"].as_bool().unwrap_or_default();
        let _ = write!(
            page,
            "<label>{name} <input name=\"{name}\" data-in={} value=\"{}\" autocomplete=off spellcheck=false{}></label>",
            text(string(parameter, "in")),
            text(string(&parameter["schema"], "example")),
            if required { " required" } else { "" },
        );
    }
    for (media, content) in entries(&operation["requestBody"]["content"]) {
        let _ = write!(
            page,
            "<label>Body <textarea name=\"{}\" data-in=body rows=3 spellcheck=false>{}</textarea></label>",
            text(media),
            text(&example(&content["schema"], document).to_string()),
        );
    }
    page.push_str("<button>Send</button></form><output></output></details>");
}

/// An object with the examples of a schema's properties.
fn example(schema: &Value, document: &Value) -> Value {
    let schema = match string(schema, "$ref").strip_prefix('#') {
        Some(pointer) => document.pointer(pointer).unwrap_or(&Value::Null),
        None => schema,
    };
    let properties = entries(&schema["properties"]);
    let examples = properties.filter_map(|(name, property)| {
        let example = property.get("example")?;
        Some((name.clone(), example.clone()))
    });
    Value::Object(examples.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_a_field_for_each_parameter_and_the_body() {
        let document = json!({"components": {"schemas": {"Body": {
            "properties": {"dateOfBirth": {"example": "1990-04-23"}, "other": {}},
        }}}});
        let operation = json!({
            "parameters": [
                {"name": "username", "in": "path", "required": true, "schema": {"example": "al\"ice"}},
                {"name": "If-Match", "in": "header", "required": false, "schema": {}},
            ],
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}}},
        });
        let mut page = String::new();
        render_form(&mut page, "/hello/{username}", "put", &operation, &document);
        for part in [
            "<form data-method=PUT data-path=\"/hello/{username}\">",
            "<input name=\"username\" data-in=path value=\"al&quot;ice\" autocomplete=off spellcheck=false required>",
            "<input name=\"If-Match\" data-in=header value=\"\" autocomplete=off spellcheck=false>",
            "data-in=body rows=3 spellcheck=false>{&quot;dateOfBirth&quot;:&quot;1990-04-23&quot;}</textarea>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}

//! The same thing by code: each form and each page says how to have it from a program.

use maud::{Markup, html};
use serde_json::Value;

use super::icon::{Icon, icon};
use crate::visit::Visit;

/// A call of the API, for people to make themselves.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: &'static str,
    path: String,
    body: Option<Value>,
    workspace: Option<String>,
    permission: &'static str,
}

impl Call {
    /// A call that takes `permission`.
    pub(crate) fn new(method: &'static str, path: impl Into<String>, permission: &'static str) -> Self {
        Self { method, path: path.into(), body: None, workspace: None, permission }
    }

    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn within(mut self, workspace: &str) -> Self {
        self.workspace = Some(workspace.to_owned());
        self
    }
}

/// What is shown to be copied, with the button for it.
pub(crate) fn copyable(text: &str) -> Markup {
    html! {
        div class="copyable" {
            pre tabindex="0" { code { (text) } }
            button type="button" class="small" data-copy=(text) hidden { (icon(Icon::Copy)) "Copy" }
        }
    }
}

/// Lines, as one text.
pub(crate) fn lines<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> String {
    lines.into_iter().map(|line| line.as_ref().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A call as curl, Python and TypeScript have it.
pub(crate) fn as_code(visit: &Visit, call: &Call) -> Markup {
    let base = visit.site().url.as_str();
    html! {
        details class="as-code" {
            summary { (icon(Icon::Code)) "As code" }
            p { "With an API key that holds " code { (call.permission) } " in " code { "ARTISAN_API_KEY" } "." }
            h3 { "curl" } (copyable(&curl(base, call)))
            h3 { "Python" } (copyable(&python(base, call)))
            h3 { "TypeScript" } (copyable(&typescript(base, call)))
        }
    }
}

fn headers(call: &Call) -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    if let Some(workspace) = &call.workspace {
        headers.push(("X-Workspace-Id", workspace.clone()));
    }
    if call.body.is_some() {
        headers.push(("Content-Type", "application/json".to_owned()));
    }
    headers
}

/// JSON over several lines, as all three languages take it for a text.
fn pretty(body: &Value) -> String {
    serde_json::to_string_pretty(body).unwrap_or_default()
}

fn curl(base: &str, call: &Call) -> String {
    let method = if call.method == "GET" { String::new() } else { format!("--request {} ", call.method) };
    let mut parts = vec![format!("curl {method}{}", quoted(&format!("{base}{}", call.path)))];
    parts.push("  --header \"Authorization: Bearer $ARTISAN_API_KEY\"".to_owned());
    parts.extend(
        headers(call)
            .iter()
            .map(|(name, value)| format!("  --header {}", quoted(&format!("{name}: {value}")))),
    );
    parts.extend(call.body.as_ref().map(|body| format!("  --data {}", quoted(&pretty(body)))));
    parts.join(" \\\n")
}

/// A text in single quotes for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn python(base: &str, call: &Call) -> String {
    // A JSON text is a Python one, too.
    let text = |text: &str| Value::from(text).to_string();
    let mut made = vec![
        "import json, os, urllib.request".to_owned(),
        String::new(),
        "request = urllib.request.Request(".to_owned(),
        format!("    {},", text(&format!("{base}{}", call.path))),
        format!("    method={},", text(call.method)),
        "    headers={".to_owned(),
        "        \"Authorization\": f\"Bearer {os.environ['ARTISAN_API_KEY']}\",".to_owned(),
    ];
    made.extend(
        headers(call).iter().map(|(name, value)| format!("        {}: {},", text(name), text(value))),
    );
    made.push("    },".to_owned());
    if let Some(body) = &call.body {
        made.push(format!("    data={}.encode(),", text(&body.to_string())));
    }
    made.push(")".to_owned());
    made.push("with urllib.request.urlopen(request) as response:".to_owned());
    made.push("    print(response.status, response.read().decode())".to_owned());
    made.join("\n")
}

fn typescript(base: &str, call: &Call) -> String {
    let text = |text: &str| Value::from(text).to_string();
    let mut made =
        vec![format!("const response = await fetch({}, {{", text(&format!("{base}{}", call.path)))];
    made.push(format!("  method: {},", text(call.method)));
    made.push("  headers: {".to_owned());
    made.push("    Authorization: `Bearer ${process.env.ARTISAN_API_KEY}`,".to_owned());
    made.extend(headers(call).iter().map(|(name, value)| format!("    {}: {},", text(name), text(value))));
    made.push("  },".to_owned());
    if let Some(body) = &call.body {
        made.push(format!("  body: JSON.stringify({}),", pretty(body).replace('\n', "\n  ")));
    }
    made.push("});".to_owned());
    made.push("if (!response.ok) throw new Error(await response.text());".to_owned());
    made.push("console.log(response.status, await response.text());".to_owned());
    made.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quote_in_a_name_ends_no_text() {
        let call =
            Call::new("POST", "/api/admin/api-keys", "api_keys:write").body(json!({"name": "Ada's \"key\""}));
        assert!(curl("https://a.example", &call).contains(r#"Ada'\''s \"key\""#));
        assert!(typescript("https://a.example", &call).contains(r#""name": "Ada's \"key\"""#));
        assert!(python("https://a.example", &call).contains(r#"\\\"key\\\""#));
    }
}

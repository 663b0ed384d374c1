//! What the platform's own pages have in common.

/// Their look.
pub(crate) const STYLE: &str = r#"
:root{color-scheme:light dark;--line:#d9dee5;--soft:#5b6675;--card:#fff;--page:#f5f7f9;--ok:#12733a;--bad:#b3261e;--link:#0b57b0}
@media(prefers-color-scheme:dark){:root{--line:#2c343f;--soft:#9aa7b8;--card:#171c23;--page:#0f1318;--ok:#5fd08f;--bad:#ff8a80;--link:#8ab8ff}}
body{margin:0;background:var(--page);font:15px/1.5 system-ui,sans-serif}
main{max-width:52rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.35rem;margin:0}p{color:var(--soft);margin:.25rem 0 1.5rem}
article{background:var(--card);border:1px solid var(--line);border-radius:10px;margin:0 0 1rem;padding:.9rem 1.1rem}
header{display:flex;flex-wrap:wrap;gap:.25rem .9rem;align-items:baseline}
h2{font-size:1rem;margin:0}time,.name{color:var(--soft);font-size:.85rem}
.ok{color:var(--ok)}.bad{color:var(--bad)}.mark{margin-left:auto;font-size:.85rem;font-weight:600}
pre{margin:.7rem 0 0;overflow-x:auto;font:13px/1.45 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
details{margin-top:.6rem;color:var(--soft);font-size:.85rem}
a{color:var(--link)}
"#;

/// Text as it stands in HTML, in an attribute too.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

//! The OpenAPI document as it is served: `docs/openapi.json` without the space between its parts; and the methods of each of
//! its paths.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const DOCUMENT: &str = "../../docs/openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let document: serde_json::Value = serde_json::from_str(&fs::read_to_string(DOCUMENT)?)?;
    let out = env::var_os("OUT_DIR").ok_or("cargo names a folder")?;
    fs::write(Path::new(&out).join("openapi.json"), document.to_string())?;
    let paths =
        document.get("paths").and_then(serde_json::Value::as_object).ok_or("the document has paths")?;
    let mut table = String::from("[");
    for (path, operations) in paths {
        let operations = operations.as_object().ok_or("a path has operations")?;
        // What this function serves itself.
        if operations.values().all(|operation| operation.get("tags") == Some(&serde_json::json!(["meta"]))) {
            continue;
        }
        let methods: Vec<_> = operations.keys().map(|method| method.to_uppercase()).collect();
        writeln!(table, "({path:?}, {:?}),", methods.join(", "))?;
    }
    table.push(']');
    fs::write(Path::new(&out).join("methods.rs"), table)?;
    Ok(())
}

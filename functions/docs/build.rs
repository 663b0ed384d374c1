//! The OpenAPI document as it is served: `docs/openapi.json` without the space between its parts.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const DOCUMENT: &str = "../../docs/openapi.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let document: serde_json::Value = serde_json::from_str(&fs::read_to_string(DOCUMENT)?)?;
    let out = env::var_os("OUT_DIR").ok_or("cargo names a folder")?;
    fs::write(Path::new(&out).join("openapi.json"), document.to_string())?;
    Ok(())
}

//! The three steps of every function: wire → app → store. `app` knows neither HTTP nor AWS nor the environment.

use std::path::{Path, PathBuf};

fn sources(of: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(of);
    let mut found = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn app_knows_neither_http_nor_aws_nor_the_environment() {
    let mut seen = 0;
    for (path, text) in sources("functions") {
        if !path.components().any(|part| part.as_os_str() == "app.rs" || part.as_os_str() == "app") {
            continue;
        }
        seen += 1;
        for forbidden in
            ["axum", "aws_", "lambda_", "edge::", "std::env", "Utc::now", "SystemTime", "Clock::system"]
        {
            assert!(!product(&text).contains(forbidden), "{} uses {forbidden}", path.display());
        }
    }
    assert!(seen >= 5, "only {seen} app modules were found");
}

#[test]
fn wire_holds_no_dynamodb_expression_and_main_no_logic() {
    for (path, text) in sources("functions") {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name != "main.rs" {
            assert!(!text.contains("aws_sdk_dynamodb"), "{} speaks DynamoDB", path.display());
        } else {
            assert!(text.lines().count() <= 60, "{} is more than a composition root", path.display());
        }
    }
    for (path, text) in sources("shared") {
        let in_store = path.components().any(|part| part.as_os_str() == "store");
        assert!(in_store || !text.contains("condition_expression"), "{} has an expression", path.display());
    }
}

#[test]
fn only_keys_makes_keys() {
    for (path, text) in sources("shared/store/src") {
        if path.ends_with("keys.rs") {
            continue;
        }
        for prefix in [
            "\"ORG#", "\"KEY#", "\"SES#", "\"EMAIL#", "\"EVT#", "\"DLV#", "\"MAIL#", "\"AUD#", "\"EP#",
            "\"WS#",
        ] {
            assert!(!text.contains(prefix), "{} makes a key: {prefix}", path.display());
        }
    }
}

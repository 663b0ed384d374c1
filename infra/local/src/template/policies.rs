//! What the template allows each function: the statements of its role, and of the policies attached to that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reader::Reader;
use super::{Condition, Statement, TemplateError};

/// The statements of each role, by its ARN.
pub(super) fn roles(
    readers: &[(&str, Reader<'_>)],
    resolve: impl Fn(Value) -> Result<Value, String>,
) -> Result<BTreeMap<String, Vec<Statement>>, TemplateError> {
    let of_kind = |wanted| readers.iter().filter(move |(kind, _)| *kind == wanted).map(|(_, reader)| reader);
    let name = |reader: &Reader<'_>, asked: Value| {
        let name = resolve(asked).map_err(|problem| reader.error(problem))?;
        Ok(name.as_str().unwrap_or_default().to_owned())
    };
    let mut managed = BTreeMap::new();
    for policy in of_kind("AWS::IAM::ManagedPolicy") {
        let reference = name(policy, json!({"Ref": policy.resource()}))?;
        let document = policy.at("Properties.PolicyDocument");
        managed.insert(reference, statements(policy.resource(), &document)?);
    }
    let mut roles = BTreeMap::new();
    for role in of_kind("AWS::IAM::Role") {
        let mut allowed = Vec::new();
        for policy in texts(&role.at("Properties.ManagedPolicyArns"))? {
            let attached = managed.get(&policy);
            let unknown =
                || role.at("Properties.ManagedPolicyArns").error(format!("names {policy}, unknown here"));
            allowed.extend(attached.ok_or_else(unknown)?.iter().cloned());
        }
        for policy in role.at("Properties.Policies").items()? {
            let name = policy.at("PolicyName").required_text()?;
            allowed.extend(statements(&name, &policy.at("PolicyDocument"))?);
        }
        roles.insert(name(role, json!({"Fn::GetAtt": [role.resource(), "Arn"]}))?, allowed);
    }
    Ok(roles)
}

fn statements(policy: &str, document: &Reader<'_>) -> Result<Vec<Statement>, TemplateError> {
    let mut statements = Vec::new();
    for statement in document.at("Statement").items()? {
        let effect = statement.at("Effect");
        statements.push(Statement {
            policy: policy.to_owned(),
            sid: statement.at("Sid").required_text()?,
            allows: match effect.required_text()?.as_str() {
                "Allow" => true,
                "Deny" => false,
                other => return Err(effect.error(format!("is {other}, neither Allow nor Deny"))),
            },
            actions: texts(&statement.at("Action"))?,
            resources: texts(&statement.at("Resource"))?,
            conditions: conditions(&statement.at("Condition"))?,
        });
    }
    Ok(statements)
}

fn conditions(condition: &Reader<'_>) -> Result<Vec<Condition>, TemplateError> {
    let mut conditions = Vec::new();
    for (operator, keys) in condition.members()? {
        for (key, values) in keys.members()? {
            let (key, values) = (key.to_owned(), texts(&values)?);
            conditions.push(match operator {
                "ForAllValues:StringLike" | "ForAllValues:StringEquals" => Condition::All { key, values },
                "StringEquals" => Condition::Equals { key, values },
                "Null" if values == ["false"] => Condition::Present { key },
                other => return Err(condition.error(format!("has {other}, which is not judged here"))),
            });
        }
    }
    Ok(conditions)
}

/// A text, or a list of them.
fn texts(reader: &Reader<'_>) -> Result<Vec<String>, TemplateError> {
    let values = match reader.resolved()? {
        None => Vec::new(),
        Some(Value::Array(items)) => items,
        Some(one) => vec![one],
    };
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(reader.error("is neither a text nor a list of them")),
    };
    values.into_iter().map(text).collect()
}

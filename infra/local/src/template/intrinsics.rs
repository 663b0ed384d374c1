//! CloudFormation's intrinsic functions, as far as they can be answered without a deployed stack.

use serde_json::{Map, Value};

use super::document::{Document, kind};

/// The region everything local claims to be in.
pub const REGION: &str = "eu-central-1";
/// The account everything local claims to belong to.
pub const ACCOUNT: &str = "000000000000";
const STACK: &str = "artisan-local";
/// Conditions may refer to conditions; a circle is an error and not a full stack.
const DEPTH: usize = 32;

/// The physical name of a resource.
pub(super) fn physical_name(logical_id: &str) -> String {
    format!("{STACK}-{logical_id}")
}

/// The physical name of a bucket: lower case, as S3 wants it and CloudFormation makes it.
pub(super) fn bucket_name(logical_id: &str) -> String {
    physical_name(logical_id).to_lowercase()
}

/// The ARN of a queue.
pub(crate) fn queue_arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// The URL of a queue. SQS clients send it back as an opaque text.
pub(super) fn queue_url(name: &str) -> String {
    format!("http://sqs.{REGION}.localhost/{ACCOUNT}/{name}")
}

/// The ARN under which a table's stream is referred to inside a template.
pub(super) fn stream_arn(table: &str) -> String {
    format!("{}/stream/local", table_arn(table))
}

/// The ARN of a table.
pub(crate) fn table_arn(name: &str) -> String {
    format!("arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{name}")
}

/// The ARN of a function, or of what a qualifier names of it.
pub(crate) fn function_arn(name: &str, qualifier: Option<&str>) -> String {
    let whole = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}");
    qualifier.map_or_else(|| whole.clone(), |qualifier| format!("{whole}:{qualifier}"))
}

/// Answers intrinsic functions against one document. Errors are phrases that continue "X.Y …".
#[derive(Clone, Copy)]
pub(super) struct Intrinsics<'a> {
    pub(super) document: &'a Document,
}

impl Intrinsics<'_> {
    /// `value` with every intrinsic function replaced by its answer; `AWS::NoValue` becomes null.
    pub(super) fn resolve(self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Array(items) => {
                let items = items.iter().map(|item| self.resolve(item)).collect::<Result<Vec<_>, _>>()?;
                Ok(Value::Array(items.into_iter().filter(|item| !item.is_null()).collect()))
            }
            Value::Object(members) => match single(members) {
                Some((name, argument)) if name == "Ref" || name.starts_with("Fn::") => {
                    self.call(name, argument)
                }
                _ => {
                    let mut resolved = Map::new();
                    for (name, member) in members {
                        let member = self.resolve(member)?;
                        if !member.is_null() {
                            resolved.insert(name.clone(), member);
                        }
                    }
                    Ok(Value::Object(resolved))
                }
            },
            other => Ok(other.clone()),
        }
    }

    /// Whether a resource is made at all: its `Condition` holds or it has none.
    pub(super) fn exists(self, resource: &Value) -> Result<bool, String> {
        match resource.get("Condition").and_then(Value::as_str) {
            Some(name) => self.condition(name, 0),
            None => Ok(true),
        }
    }

    fn call(self, function: &str, argument: &Value) -> Result<Value, String> {
        match function {
            "Ref" => self.reference(argument.as_str().ok_or("has a Ref without a name")?),
            "Fn::GetAtt" => self.attribute(argument),
            "Fn::Sub" => self.substitute(argument),
            "Fn::Join" => self.join(argument),
            "Fn::If" => {
                let [name, then, otherwise] = list(argument, function)?;
                let name = name.as_str().ok_or("has an Fn::If without the name of a condition")?;
                self.resolve(if self.condition(name, 0)? { then } else { otherwise })
            }
            "Fn::Select" => {
                let [index, items] = list(argument, function)?;
                let index =
                    self.text(index)?.parse::<usize>().map_err(|_| "has an Fn::Select without an index")?;
                let items = self.resolve(items)?;
                items
                    .get(index)
                    .cloned()
                    .ok_or_else(|| "has an Fn::Select beyond the end of its list".to_owned())
            }
            "Fn::Split" => {
                let [separator, whole] = list(argument, function)?;
                let (separator, whole) = (self.text(separator)?, self.text(whole)?);
                Ok(whole.split(separator.as_str()).map(Value::from).collect())
            }
            "Fn::FindInMap" => {
                let [map, first, second] = list(argument, function)?;
                let (map, first, second) = (self.text(map)?, self.text(first)?, self.text(second)?);
                let found = self.document.entry("Mappings", &map).and_then(|it| it.get(&first)?.get(&second));
                found
                    .cloned()
                    .ok_or_else(|| format!("looks up {map}.{first}.{second}, which is not in Mappings"))
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" => Ok(Value::Bool(
                self.test(&Value::Object(Map::from_iter([(function.to_owned(), argument.clone())])), 0)?,
            )),
            other => Err(format!("uses {other}, which the local platform cannot answer")),
        }
    }

    fn reference(self, name: &str) -> Result<Value, String> {
        let pseudo = match name {
            "AWS::NoValue" => return Ok(Value::Null),
            "AWS::Region" => REGION,
            "AWS::AccountId" => ACCOUNT,
            "AWS::Partition" => "aws",
            "AWS::StackName" | "AWS::StackId" => STACK,
            "AWS::URLSuffix" => "amazonaws.com",
            _ => "",
        };
        if !pseudo.is_empty() {
            return Ok(pseudo.into());
        }
        if let Some(parameter) = self.document.entry("Parameters", name) {
            let default = parameter.get("Default").filter(|value| !value.is_null()).cloned();
            return default.ok_or_else(|| format!("refers to the parameter {name}, which has no Default"));
        }
        if let Some(function) = name.strip_suffix(".Alias") {
            return self.alias(function);
        }
        let resource = self
            .document
            .entry("Resources", name)
            .ok_or_else(|| format!("refers to {name}, which is neither a parameter nor a resource"))?;
        let physical = physical_name(name);
        Ok(match kind(resource) {
            "AWS::SQS::Queue" => queue_url(&physical).into(),
            "AWS::S3::Bucket" => bucket_name(name).into(),
            _ => physical.into(),
        })
    }

    /// What SAM makes for `AutoPublishAlias`, of the function itself or of all of them.
    fn alias(self, function: &str) -> Result<Value, String> {
        let resource = self.document.entry("Resources", function);
        let resource = resource.filter(|resource| kind(resource) == "AWS::Serverless::Function");
        let resource =
            resource.ok_or_else(|| format!("refers to an alias of {function}, which is not a function"))?;
        let own = resource.get("Properties").and_then(|own| own.get("AutoPublishAlias"));
        let shared = || self.document.function_globals()?.get("AutoPublishAlias");
        let alias =
            own.or_else(shared).ok_or_else(|| format!("refers to an alias of {function}, which has none"))?;
        Ok(function_arn(&physical_name(function), Some(&self.text(alias)?)).into())
    }

    fn attribute(self, argument: &Value) -> Result<Value, String> {
        let path = match argument {
            Value::String(path) => path.clone(),
            Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("."),
            _ => String::new(),
        };
        let (name, attribute) =
            path.split_once('.').ok_or("has an Fn::GetAtt without a resource and an attribute")?;
        let resource = self
            .document
            .entry("Resources", name)
            .ok_or_else(|| format!("refers to {name}, which is not a resource"))?;
        let physical = physical_name(name);
        Ok(match (kind(resource), attribute) {
            ("AWS::DynamoDB::Table", "Arn") => table_arn(&physical),
            ("AWS::DynamoDB::Table", "StreamArn") => stream_arn(&physical),
            ("AWS::SQS::Queue", "Arn") => queue_arn(&physical),
            ("AWS::SQS::Queue", "QueueName") => physical,
            ("AWS::SQS::Queue", "QueueUrl") => queue_url(&physical),
            // Secrets Manager takes the name wherever it takes the ARN.
            ("AWS::SecretsManager::Secret", "Id") => physical,
            ("AWS::Serverless::Function", "Arn") => function_arn(&physical, None),
            ("AWS::S3::Bucket", "Arn") => format!("arn:aws:s3:::{}", bucket_name(name)),
            (_, "Arn") => format!("arn:aws:local:{REGION}:{ACCOUNT}:{physical}"),
            (kind, _) => return Err(format!("asks for {attribute} of {name}, unknown locally for {kind}")),
        }
        .into())
    }

    fn substitute(self, argument: &Value) -> Result<Value, String> {
        let (text, own) = match argument {
            Value::String(text) => (text.as_str(), None),
            Value::Array(parts) => (parts.first().and_then(Value::as_str).unwrap_or_default(), parts.get(1)),
            _ => return Err("has an Fn::Sub without a text".to_owned()),
        };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, after) = after.split_once('}').ok_or("has an Fn::Sub with an unclosed ${")?;
            if let Some(literal) = name.strip_prefix('!') {
                out.push_str("${");
                out.push_str(literal);
                out.push('}');
            } else if let Some(value) = own.and_then(|own| own.get(name)) {
                out.push_str(&self.text(value)?);
            } else if name.contains('.') {
                out.push_str(&plain(&self.attribute(&Value::from(name))?)?);
            } else {
                out.push_str(&plain(&self.reference(name)?)?);
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out.into())
    }

    fn join(self, argument: &Value) -> Result<Value, String> {
        let [separator, items] = list(argument, "Fn::Join")?;
        let items = self.resolve(items)?;
        let items = items.as_array().ok_or("has an Fn::Join without a list")?;
        let items = items.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
        Ok(items.join(separator.as_str().unwrap_or_default()).into())
    }

    fn text(self, value: &Value) -> Result<String, String> {
        plain(&self.resolve(value)?)
    }

    fn condition(self, name: &str, depth: usize) -> Result<bool, String> {
        let condition = self
            .document
            .entry("Conditions", name)
            .ok_or_else(|| format!("depends on the condition {name}, which does not exist"))?;
        self.test(condition, depth + 1)
    }

    fn test(self, condition: &Value, depth: usize) -> Result<bool, String> {
        if depth > DEPTH {
            return Err("depends on conditions that refer to each other in a circle".to_owned());
        }
        let members = condition.as_object().ok_or("depends on a condition that cannot be read")?;
        let (function, argument) = single(members).ok_or("depends on a condition that cannot be read")?;
        let parts = || argument.as_array().map(Vec::as_slice).unwrap_or_default().iter();
        match function {
            "Condition" => self.condition(argument.as_str().unwrap_or_default(), depth),
            "Fn::Equals" => {
                let [left, right] = list(argument, function)?;
                Ok(self.text(left)? == self.text(right)?)
            }
            "Fn::Not" => {
                let [inner] = list(argument, function)?;
                Ok(!self.test(inner, depth + 1)?)
            }
            "Fn::And" => parts().try_fold(true, |all, part| Ok(all & self.test(part, depth + 1)?)),
            "Fn::Or" => parts().try_fold(false, |any, part| Ok(any | self.test(part, depth + 1)?)),
            other => {
                Err(format!("depends on a condition with {other}, which the local platform cannot answer"))
            }
        }
    }
}

fn single(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let mut members = members.iter();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Some((name, value)),
        _ => None,
    }
}

fn list<'v, const N: usize>(argument: &'v Value, function: &str) -> Result<&'v [Value; N], String> {
    argument
        .as_array()
        .and_then(|items| items.as_slice().try_into().ok())
        .ok_or_else(|| format!("has an {function} that does not have {N} parts"))
}

/// The text of a scalar, as CloudFormation turns numbers and booleans into text.
pub(super) fn plain(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(it) => Ok(it.to_string()),
        Value::Null => Ok(String::new()),
        _ => Err("is a list or a mapping where a text is needed".to_owned()),
    }
}

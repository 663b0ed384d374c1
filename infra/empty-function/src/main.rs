//! The empty function: the least that a function on Lambda which uses DynamoDB can be, with the client that all functions have.
//!
//! It makes that client, opens its connection by one read, and answers whatever it is sent with nothing. How long it takes to
//! start is what the SDK, TLS and the runtime cost; whatever a function takes beyond that is our own. `bench cold-start`
//! measures both. The template does not name it, and no deployment has it.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let table = std::env::var("CORE_TABLE")?;
    let config = runtime::shared_settings(aws_config::defaults(runtime::behavior())).load().await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let nothing = || AttributeValue::S("nothing".to_owned());
    dynamodb.get_item().table_name(table).key("pk", nothing()).key("sk", nothing()).send().await?;
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| Ok::<_, Error>(Value::Null))).await
}

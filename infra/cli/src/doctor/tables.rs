//! Tables: there, with the keys, indexes, stream and time to live that the code relies on, and protected.

use artisan_local::template::{Index, Key, Table};
use aws_sdk_dynamodb::types::{
    KeySchemaElement, KeyType, PointInTimeRecoveryStatus, TableDescription, TableStatus, TimeToLiveStatus,
};

use super::{Examination, Trouble, trouble};

/// What to do where a table is not what the template says.
const DEPLOY: &str =
    "deploy the stack again, or look for a change that was made by hand (CloudFormation: detect drift)";

impl Examination<'_> {
    pub(super) async fn tables(&mut self) {
        for table in self.template.tables.clone() {
            let Some(name) = self.variable_of(&table.name).map(str::to_owned).and_then(|it| self.value(&it))
            else {
                continue;
            };
            self.table(&table, &name).await;
        }
    }

    async fn table(&mut self, table: &Table, name: &str) {
        let subject = format!("{} ({name})", table.logical_id);
        let client = self.services.aws.dynamodb.clone();
        let described = match client.describe_table().table_name(name).send().await {
            Ok(answer) => answer.table.unwrap_or_else(|| TableDescription::builder().build()),
            Err(error) => match trouble(error) {
                Trouble::Missing => {
                    self.report.error(
                        "table_missing",
                        subject,
                        "there is no such table in this region and account",
                        "check the variable, the region and the account; a table that is lost is restored (docs/operations.md)",
                    );
                    return;
                }
                other => return self.note(other, &subject, "dynamodb:DescribeTable"),
            },
        };
        if let Some(arn) = described.latest_stream_arn() {
            self.sources.insert(table.name.clone(), arn.to_owned());
        }
        self.shape(table, &subject, &described);
        self.stream(table, &subject, &described);
        match described.deletion_protection_enabled {
            Some(true) => self.report.pass(),
            _ => self.report.warning(
                "deletion_unprotected",
                &subject,
                "it can be deleted by one call",
                "switch deletion protection on; it is off after a restore",
            ),
        }
        self.time_to_live(table, &subject, name).await;
        match client.describe_continuous_backups().table_name(name).send().await {
            Ok(answer) => {
                let recovery = answer
                    .continuous_backups_description
                    .and_then(|it| it.point_in_time_recovery_description)
                    .and_then(|it| it.point_in_time_recovery_status);
                match recovery {
                    Some(PointInTimeRecoveryStatus::Enabled) => self.report.pass(),
                    _ => self.report.error(
                        "recovery_off",
                        &subject,
                        "point-in-time recovery is off: what is lost stays lost",
                        "switch it on; it is off after a restore",
                    ),
                }
            }
            Err(error) => {
                let subject = format!("point-in-time recovery of {subject}");
                self.note(trouble(error), &subject, "dynamodb:DescribeContinuousBackups");
            }
        }
    }

    fn shape(&mut self, table: &Table, subject: &str, described: &TableDescription) {
        if described.table_status != Some(TableStatus::Active) {
            let status = described.table_status.as_ref().map_or("unknown", TableStatus::as_str);
            self.report.error(
                "table_not_active",
                subject,
                format!("its status is {status}"),
                "wait until it is ACTIVE",
            );
        }
        if !is_key(&table.key, described.key_schema()) {
            self.report.error(
                "table_key",
                subject,
                "it has another primary key than the code writes: it is not this table",
                "check which table the variable names",
            );
            return;
        }
        self.report.pass();
        for (name, index) in &table.indexes {
            let found =
                described.global_secondary_indexes().iter().find(|found| found.index_name() == Some(name));
            let subject = format!("index {name} of {subject}");
            match found {
                None => self.report.error(
                    "index_missing",
                    subject,
                    "there is no such index: what reads it fails",
                    DEPLOY,
                ),
                Some(found) if !is_index(index, found.key_schema(), found.projection()) => self.report.error(
                    "index_different",
                    subject,
                    "its key or projection is another one than the code relies on",
                    DEPLOY,
                ),
                Some(_) => self.report.pass(),
            }
        }
    }

    fn stream(&mut self, table: &Table, subject: &str, described: &TableDescription) {
        let Some(wanted) = &table.stream else { return };
        let found = described.stream_specification().filter(|it| it.stream_enabled());
        let view = found.and_then(|it| it.stream_view_type()).map(|it| it.as_str().to_owned());
        match view {
            None => self.report.error(
                "stream_off",
                subject,
                "it has no stream: what is to follow from changes in it does not",
                "switch the stream on, and the event source mapping to it; it is off after a restore",
            ),
            Some(view) if view != *wanted => self.report.error(
                "stream_view",
                subject,
                format!("its stream shows {view}, and {wanted} is read from it"),
                "switch the stream off and on again with the other view, and point the event source mapping at the new one",
            ),
            Some(_) => self.report.pass(),
        }
    }

    async fn time_to_live(&mut self, table: &Table, subject: &str, name: &str) {
        let Some(wanted) = &table.time_to_live else { return };
        let answer = self.services.aws.dynamodb.describe_time_to_live().table_name(name).send().await;
        match answer.map_err(trouble) {
            Ok(answer) => {
                let found = answer.time_to_live_description.filter(|it| {
                    matches!(
                        it.time_to_live_status,
                        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
                    )
                });
                match found.and_then(|it| it.attribute_name) {
                    Some(attribute) if attribute == *wanted => self.report.pass(),
                    _ => self.report.error(
                        "ttl_off",
                        subject,
                        format!(
                            "time to live by `{wanted}` is off: what should go away stays, and is paid for"
                        ),
                        format!("switch it on for the attribute `{wanted}`; it is off after a restore"),
                    ),
                }
            }
            Err(trouble) => {
                self.note(trouble, &format!("time to live of {subject}"), "dynamodb:DescribeTimeToLive");
            }
        }
    }
}

fn is_key(wanted: &Key, found: &[KeySchemaElement]) -> bool {
    let of = |kind: &KeyType| {
        found.iter().find(|it| it.key_type() == kind).map(|it| it.attribute_name().to_owned())
    };
    of(&KeyType::Hash).as_ref() == Some(&wanted.partition) && of(&KeyType::Range) == wanted.sort
}

fn is_index(
    wanted: &Index,
    key: &[KeySchemaElement],
    projection: Option<&aws_sdk_dynamodb::types::Projection>,
) -> bool {
    let Some(projection) = projection else { return false };
    let mut included = projection.non_key_attributes().to_vec();
    included.sort_unstable();
    is_key(&wanted.key, key)
        && projection.projection_type().is_some_and(|it| it.as_str() == wanted.projection)
        && included == wanted.included
}

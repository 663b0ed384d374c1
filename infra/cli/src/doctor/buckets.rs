//! Buckets: there, closed to the public, and that of the archive locked.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockEnabled, ObjectLockRetentionMode};

use super::{Examination, Trouble, trouble};

impl Examination<'_> {
    pub(super) async fn buckets(&mut self) {
        let config = &self.services.aws.config;
        let elsewhere = config.endpoint_url().is_some();
        let client = Client::from_conf(Builder::from(config).force_path_style(elsewhere).build());
        for bucket in self.template.buckets.clone() {
            let Some(name) = self.variable_of(&bucket.name).map(str::to_owned).and_then(|it| self.value(&it))
            else {
                continue;
            };
            let subject = format!("{} ({name})", bucket.logical_id);
            let versioning = client.get_bucket_versioning().bucket(&name).send().await;
            let versioned = match versioning.map_err(trouble) {
                Ok(answer) => Some(answer.status == Some(BucketVersioningStatus::Enabled)),
                Err(Trouble::Missing) => {
                    self.report.error(
                        "bucket_missing",
                        subject,
                        "there is no such bucket",
                        "check the variable, the region and the account; else deploy the stack again",
                    );
                    continue;
                }
                Err(other) => {
                    self.note(other, &format!("versioning of {subject}"), "s3:GetBucketVersioning");
                    None
                }
            };
            if bucket.object_lock {
                if versioned == Some(false) {
                    self.report.error(
                        "versioning_off",
                        &subject,
                        "it keeps no versions, which Object Lock locks",
                        "switch versioning on",
                    );
                }
                self.lock(&client, &name, &subject).await;
            }
            self.public_access(&client, &name, &subject).await;
        }
    }

    async fn lock(&mut self, client: &Client, name: &str, subject: &str) {
        let answer = client.get_object_lock_configuration().bucket(name).send().await;
        let lock = match answer {
            Ok(answer) => answer.object_lock_configuration,
            Err(error) => match trouble(error) {
                // S3 says so where there is none.
                Trouble::Other(why) if why.contains("ObjectLockConfigurationNotFoundError") => None,
                other => {
                    return self.note(
                        other,
                        &format!("Object Lock of {subject}"),
                        "s3:GetBucketObjectLockConfiguration",
                    );
                }
            },
        };
        let enabled = lock.as_ref().and_then(|it| it.object_lock_enabled.clone());
        let term = lock.and_then(|it| it.rule).and_then(|it| it.default_retention).and_then(|it| it.mode);
        match (enabled, term) {
            (Some(ObjectLockEnabled::Enabled), Some(ObjectLockRetentionMode::Compliance)) => {
                self.report.pass();
            }
            (Some(ObjectLockEnabled::Enabled), _) => self.report.error(
                "object_lock_lax",
                subject,
                "objects are not locked in compliance mode as they come: somebody may be able to delete them",
                "set a default retention in compliance mode",
            ),
            _ => self.report.error(
                "object_lock_off",
                subject,
                "what proves the audit log can be deleted",
                "enable Object Lock on the bucket, with a default retention in compliance mode",
            ),
        }
    }

    async fn public_access(&mut self, client: &Client, name: &str, subject: &str) {
        let answer = client.get_public_access_block().bucket(name).send().await;
        let block = match answer {
            Ok(answer) => answer.public_access_block_configuration,
            Err(error) => match trouble(error) {
                Trouble::Other(why) if why.contains("NoSuchPublicAccessBlockConfiguration") => None,
                other => {
                    return self.note(
                        other,
                        &format!("public access to {subject}"),
                        "s3:GetBucketPublicAccessBlock",
                    );
                }
            },
        };
        let closed = block.is_some_and(|it| {
            [it.block_public_acls, it.block_public_policy, it.ignore_public_acls, it.restrict_public_buckets]
                .into_iter()
                .all(|it| it == Some(true))
        });
        if closed {
            self.report.pass();
        } else {
            self.report.error(
                "public_access_open",
                subject,
                "one policy or access list is enough to show it to everybody",
                "block public access, in all four ways",
            );
        }
    }
}

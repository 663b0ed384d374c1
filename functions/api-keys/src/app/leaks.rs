//! The rules of keys that were found where anybody can read them.

use access::api_key;
use clock::Timestamp;
use mailing::Letter;
use store::{
    ApiKey, AuditRecord, Change, FieldChange, KeyStatus, Leak, LeakedKeys, Organization, OrganizationStatus,
};
use url::{Url, form_urlencoded};

/// How many secrets one report may name. GitHub sends few; a hundred are done well within the time a function has.
pub(crate) const MOST_MATCHES: usize = 100;
/// The longest address that is kept, in characters.
const LONGEST_URL: usize = 1024;

/// What becomes of a key that has leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// It is revoked.
    Revoke,
    /// It is flagged, and works on.
    Flag,
}

/// What is to be done about a leaked key, by its organization's setting. `None` when there is nothing to do (any more): it
/// doesn't work, or is flagged already where that is all that is asked for.
pub(crate) fn remedy(key: &ApiKey, setting: LeakedKeys, now: Timestamp) -> Option<Remedy> {
    if key.status == KeyStatus::Revoked || key.expires_at.is_some_and(|at| at <= now) {
        return None;
    }
    match setting {
        LeakedKeys::Revoke => Some(Remedy::Revoke),
        LeakedKeys::Flag => key.leaked_at.is_none().then_some(Remedy::Flag),
    }
}

/// The address that a reporter gives, as far as it may be kept: of the web, in ASCII, cut to [`LONGEST_URL`], and without keys
/// in it, as it goes into records and mails. A report without a usable one is still a report.
pub(crate) fn place(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    // A key may be written with some of its characters percent-encoded.
    let decoded: String = form_urlencoded::parse(url.as_str().as_bytes())
        .map(|(name, value)| format!("{name}={value}/"))
        .collect();
    if api_key::without_keys(decoded.clone()) != decoded
        && api_key::without_keys(url.to_string()) == url.as_str()
    {
        url.set_path("");
        url.set_query(None);
        url.set_fragment(None);
    }
    // What `url` writes is ASCII, without spaces and control characters.
    Some(api_key::without_keys(String::from(url)).chars().take(LONGEST_URL).collect())
}

/// The change that carries `remedy` out, on `record`. A key that is revoked takes its predecessor along.
pub(crate) fn change(
    (key, predecessor): (&ApiKey, Option<&ApiKey>),
    organization: &Organization,
    leak: &Leak,
    remedy: Remedy,
    mut record: AuditRecord,
) -> Change {
    record.workspace_id = key.workspace_id;
    record.sensitive = true;
    record.compliance_relevant = true;
    if remedy == Remedy::Revoke {
        record.changes.push(FieldChange {
            field: "status".to_owned(),
            before: super::name_of(key.status).into(),
            after: super::name_of(KeyStatus::Revoked).into(),
        });
    }
    let told = |at: Option<Timestamp>| at.map(|at| at.to_string()).into();
    record.changes.push(FieldChange {
        field: "leaked_at".to_owned(),
        before: told(key.leaked_at),
        after: told(Some(leak.at)),
    });
    if let Some(url) = &leak.url {
        record.changes.push(FieldChange {
            field: "leaked_url".to_owned(),
            before: key.leaked_url.clone().into(),
            after: url.as_str().into(),
        });
    }
    let change = Change::audited(record);
    match remedy {
        Remedy::Revoke => change.revoke_leaked_api_key(organization.id, key, predecessor, leak),
        Remedy::Flag => change.flag_leaked_api_key(organization.id, key, leak),
    }
}

/// What an admin is told.
pub(crate) fn letter(
    to: String,
    key: &ApiKey,
    organization: &Organization,
    leak: &Leak,
    remedy: Remedy,
) -> Letter {
    Letter::ApiKeyLeaked {
        to,
        organization_name: organization.name.clone(),
        key: key.into(),
        found_at: leak.url.clone(),
        revoked: remedy == Remedy::Revoke,
        at: leak.at,
    }
}

/// Whether the admins are told: nobody of a deleted organization is.
pub(crate) fn is_told(organization: &Organization) -> bool {
    organization.status != OrganizationStatus::Deleted
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Id;
    use store::Mode;

    fn at() -> Timestamp {
        clock::utc(2026, 11, 22, 12, 0)
    }

    fn key() -> ApiKey {
        ApiKey {
            id: Id::derived(at(), [1; 16]),
            name: "CRM".to_owned(),
            mode: Mode::Test,
            prefix: "sk_test_".to_owned(),
            last_four: "wxyz".to_owned(),
            scopes: Vec::new(),
            workspace_id: None,
            status: KeyStatus::Active,
            expires_at: None,
            rate_limit_per_hour: 1000,
            allowed_cidrs: Vec::new(),
            locator: "00".to_owned(),
            rotated_from: None,
            rotated_to: None,
            created_by: "usr".to_owned(),
            expiry_warning: None,
            leaked_at: None,
            leaked_url: None,
            created_at: at(),
            updated_at: at(),
        }
    }

    #[test]
    fn a_key_is_dealt_with_once() {
        let both = |key: &ApiKey| [LeakedKeys::Revoke, LeakedKeys::Flag].map(|it| remedy(key, it, at()));
        assert_eq!(both(&key()), [Some(Remedy::Revoke), Some(Remedy::Flag)]);
        let flagged = ApiKey { leaked_at: Some(at()), ..key() };
        assert_eq!(both(&flagged), [Some(Remedy::Revoke), None], "the setting may have become stricter");
        assert_eq!(both(&ApiKey { status: KeyStatus::Revoked, ..key() }), [None, None]);
        assert_eq!(both(&ApiKey { expires_at: Some(at()), ..key() }), [None, None]);
    }

    #[test]
    fn only_an_address_of_the_web_is_kept_and_not_all_of_a_long_one() {
        assert_eq!(place("https://github.com/a/b").as_deref(), Some("https://github.com/a/b"));
        assert_eq!(
            place("http://x.example/ü\n\u{202e}").as_deref(),
            Some("http://x.example/%C3%BC%E2%80%AE")
        );
        let key = api_key::PlainKey::generate(Mode::Live).unwrap();
        let told = place(&format!("https://x.example/?key={}", key.reveal())).unwrap();
        assert_eq!(told, format!("https://x.example/?key=sk_live_...{}", key.last_four()));
        let long = format!("https://x.example/{}", "a".repeat(5000));
        assert_eq!(place(&long).unwrap().len(), LONGEST_URL);
        for bad in
            ["", "github.com", "javascript:alert(1)", "ftp://x.example/", "data:text/html,x", "https://"]
        {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}

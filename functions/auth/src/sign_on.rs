//! Sign-ons in progress: what is remembered between the way to an identity provider and the way back.
//!
//! The threat is a browser that comes back from a sign-in it did not begin: somebody sends their victim the link that
//! finishes their own, and the victim works on in their account (login CSRF; RFC 6749 §10.12). So what comes back must come
//! from the browser that set out, which a cookie shows; the state that names the sign-on is good once and for ten minutes;
//! and nonce and PKCE verifier are kept on our side, sealed.
//!
//! Of a sign-on for the admin console, it is the console that keeps the token, in a cookie of its own. A browser that comes back
//! from one without our cookie is sent on to the console, which brings the token along. Nothing is judged and nothing spent
//! before that.

use std::time::Duration;

use access::api_key::sha256_hex;
use axum::http::{HeaderMap, header};
use clock::Timestamp;
use egress::{Policy, Sender};
use ids::OrganizationId;
use oidc::{ClientSeal, RelyingParty};
use runtime::{Services, StartError};
use sealing::{Key, MasterSecret, Purpose, SealError};
use serde::{Deserialize, Serialize};
use store::{BoxError, Errand, SingleUse};

/// How long a sign-on may take.
pub(crate) const TAKES_AT_MOST: Duration = Duration::from_secs(10 * 60);
/// What a browser's own token looks like: [`oidc::random_token`].
const BINDING_LENGTH: usize = 43;

/// The relying party, and what it needs to be one.
#[derive(Debug)]
pub(crate) struct SignOn {
    pub(crate) party: RelyingParty,
    pub(crate) policy: Policy,
    pub(crate) secrets: ClientSeal,
    /// Where providers send browsers back to.
    pub(crate) redirect_uri: String,
    seal: Key,
    /// Whether we are reached by HTTPS, as everywhere but on a laptop.
    secure: bool,
}

/// What must be known again when the browser is back.
#[derive(Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) issuer: String,
    pub(crate) nonce: String,
    pub(crate) verifier: String,
    /// SHA-256 of the browser's own token.
    pub(crate) browser: String,
    /// Whether the console has that token, and not the browser.
    #[serde(default)]
    pub(crate) for_console: bool,
}

impl SignOn {
    pub(crate) fn new(services: &Services, master: &MasterSecret) -> Result<Self, StartError> {
        let failed = |what| move |source: BoxError| StartError::Client { what, source };
        let policy = Policy { allow_loopback: services.environment.parsed("WEBHOOK_ALLOW_LOOPBACK", false)? };
        let sender = Sender::with_dns(policy, services.environment.optional("DNS_RESOLVER"))
            .map_err(failed("client of identity providers"))?;
        let base = services.environment.required("PUBLIC_URL")?;
        let sealed = failed("key of sign-ons");
        Ok(Self {
            party: RelyingParty::new(sender, services.clock.clone()),
            policy,
            secrets: ClientSeal::new(master).map_err(|e| failed("key of client secrets")(Box::new(e)))?,
            redirect_uri: format!("{}/api/auth/sso/callback", base.trim_end_matches('/')),
            seal: master.sealing_key(Purpose::SingleSignOn).map_err(|e| sealed(Box::new(e)))?,
            secure: base.starts_with("https://"),
        })
    }

    /// What is kept of a sign-on that begins, under a digest of its state.
    ///
    /// # Errors
    /// [`SealError`] when it can't be sealed; not expected to happen.
    pub(crate) fn begun(
        &self,
        state: &str,
        organization: OrganizationId,
        remembered: &Remembered,
        now: Timestamp,
    ) -> Result<SingleUse, SealError> {
        let digest = sha256_hex(state.as_bytes());
        let json = serde_json::to_vec(remembered).map_err(|_| SealError::Failed)?;
        let sealed = self.seal.seal(&context(organization, &digest), &json)?;
        Ok(SingleUse {
            digest,
            errand: Errand::SignOn { organization_id: organization, sealed },
            email: String::new(),
            valid_until: now + TAKES_AT_MOST,
            spent: false,
            created_at: now,
            updated_at: now,
        })
    }

    /// What was remembered of a sign-on.
    pub(crate) fn remembered(
        &self,
        digest: &str,
        organization: OrganizationId,
        sealed: &str,
    ) -> Option<Remembered> {
        let json = self.seal.open(&context(organization, digest), sealed).ok()?;
        serde_json::from_slice(&json).ok()
    }

    /// The `__Host-` prefix keeps a neighbouring site from setting it, and asks for HTTPS.
    fn cookie_name(&self) -> &'static str {
        if self.secure { "__Host-artisan-sign-on" } else { "artisan-sign-on" }
    }

    /// The cookie that shows which browser set out. `Lax` lets it come along when the provider sends the browser back.
    pub(crate) fn cookie(&self, browser: &str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        let age = TAKES_AT_MOST.as_secs();
        format!("{}={browser}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}", self.cookie_name())
    }

    /// The browser's own token, if it brings one.
    pub(crate) fn browser(&self, headers: &HeaderMap) -> Option<String> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, token) = pairs.find(|(name, _)| *name == self.cookie_name())?;
        let fits = token.len() == BINDING_LENGTH
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        fits.then(|| token.to_owned())
    }
}

fn context(organization: OrganizationId, digest: &str) -> Vec<u8> {
    format!("sign-on/{organization}/{digest}").into_bytes()
}

//! From a proof to a session: the one way in, whatever was proved.

use axum::http::StatusCode;
use edge::{Edge, Refused, Reply, RequestInfo};
use futures::stream::{self, StreamExt as _};
use ids::{OrganizationId, UserId};
use mailing::Letter;
use store::{Change, Identity, Member, Organization, OrganizationStatus, Session, Tenant, Workspace};

use crate::app;
use crate::app::password::proved;
use crate::app::session::Proof;
use crate::app::sign_in::{FAMILIAR, familiarity};
use crate::wire::answer::{Me, SignedIn, Tokens};
use crate::wire::{mail, record};

/// How many organizations are looked at side by side.
const AT_ONCE: usize = 8;

/// An organization that somebody is an active member of.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) organization: Organization,
    pub(crate) member: Member,
    pub(crate) workspaces: Vec<Workspace>,
}

impl Place {
    /// The organization, if `user` is an active member of it.
    pub(crate) async fn of(
        edge: &Edge,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<Option<Self>, Refused> {
        let tenant = edge.unscoped_store().tenant_of_sign_in(organization);
        let (overview, member) = tokio::try_join!(tenant.overview(), tenant.member(user))?;
        let (Some(organization), Some(member)) = (overview.organization, member) else { return Ok(None) };
        let place = Self { tenant, organization, member, workspaces: overview.workspaces };
        Ok(place.member.is_active().then_some(place))
    }

    /// The first of `candidates` that lives and where `user` is an active member.
    pub(crate) async fn first_of(
        edge: &Edge,
        candidates: Vec<OrganizationId>,
        user: UserId,
    ) -> Result<Option<Self>, Refused> {
        let places = stream::iter(candidates).map(|organization| Self::of(edge, organization, user));
        let mut places = std::pin::pin!(places.buffered(AT_ONCE));
        while let Some(place) = places.next().await {
            if let Some(place) = place?
                && place.organization.status == OrganizationStatus::Active
            {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    pub(crate) fn me(&self) -> Me {
        Me::of(&self.member, &self.organization, &self.workspaces)
    }
}

/// A session that is about to begin, and the tokens for it.
pub(crate) struct Entry {
    pub(crate) session: Session,
    pub(crate) tokens: Tokens,
}

impl Entry {
    pub(crate) fn new(
        edge: &Edge,
        request: &RequestInfo,
        organization: OrganizationId,
        member: &Member,
        proof: Proof,
    ) -> Result<Self, Refused> {
        let refresh = edge.tokens().refresh_token(edge.ids().next())?;
        let session = app::session::session(member, proof, organization, &refresh, request.now);
        let tokens = Tokens::of(edge, &session.credential, &refresh, request)?;
        Ok(Self { session, tokens })
    }
}

/// Remembers with `change` that the person came from where this request comes from.
pub(crate) fn remembering_place(
    change: Change,
    edge: &Edge,
    request: &RequestInfo,
    identity: &Identity,
) -> Change {
    let digest = edge.fingerprint(&familiarity(&identity.email, request.ip));
    change.signed_in_from(&identity.email, &digest, request.now, request.now + FAMILIAR)
}

/// How somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a proof, to where they belong already.
    Entering,
    /// From a session in another organization, to where they belong already.
    Switching,
    /// They join with this.
    Joining,
}

/// Begins a session for what was proved: 200 with its tokens.
pub(crate) async fn enter(
    edge: &Edge,
    request: &RequestInfo,
    identity: &Identity,
    place: &Place,
    proof: Proof,
) -> Reply {
    let (change, reply) = entering(edge, request, identity, place, proof, Way::Entering).await?;
    place.tenant.commit(change, None).await?;
    Ok(reply)
}

/// The change that begins a session for what was proved just now, and the answer once it is committed. It is remembered
/// where the person came from. Joining itself, and what the proof uses up, are left to be added.
pub(crate) async fn entering(
    edge: &Edge,
    request: &RequestInfo,
    identity: &Identity,
    place: &Place,
    proof: Proof,
    way: Way,
) -> Result<(Change, axum::response::Response), Refused> {
    let (mut change, reply) = beginning(edge, request, place, proof, way).await?;
    // Who has proved the address elsewhere, as by a reset password, and comes in here by their own choice.
    if identity.email_verified
        && let Some(proved) = proved(&place.member, request.now)
    {
        change = change.membership(place.organization.id, Some(&place.member), Some(&proved))?;
    }
    Ok((remembering_place(change, edge, request, identity), reply))
}

/// The change that begins a session, however its person comes in, and the answer once it is committed. When it breaks the
/// glass it is on record as such, and the admins are told.
pub(crate) async fn beginning(
    edge: &Edge,
    request: &RequestInfo,
    place: &Place,
    proof: Proof,
    way: Way,
) -> Result<(Change, axum::response::Response), Refused> {
    let (organization, member) = (&place.organization, &place.member);
    let Entry { session, tokens } = Entry::new(edge, request, organization.id, member, proof)?;
    let breaks_glass = app::session::breaks_glass(organization, member, &session.credential);
    let action = match way {
        Way::Joining => "member.join",
        Way::Entering | Way::Switching if breaks_glass => "session.break_glass",
        Way::Entering => "session.create",
        Way::Switching => "session.switch",
    };
    let actor = app::person(member.user_id, &member.email);
    let about = ("session", session.credential.session_id.to_string());
    let mut record = record(edge, request, action, organization.id, actor, about);
    record.sensitive = breaks_glass || way == Way::Joining;
    let mut change = app::session::begin(Change::audited(record), &session)?;
    if breaks_glass {
        for admin in place.tenant.notified_admins().await? {
            let letter = Letter::BreakGlassUsed {
                to: admin.email,
                organization_name: organization.name.clone(),
                by: member.name.clone(),
                at: request.now,
            };
            change = change.mailing(mail(edge, organization.id, letter, request.now)?);
        }
    }
    let me = place.me();
    let reply = edge::answer(StatusCode::OK, &SignedIn { tokens, me: &me })?;
    Ok((change, reply))
}

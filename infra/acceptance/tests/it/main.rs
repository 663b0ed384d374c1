//! One binary for all acceptance tests: they share a long link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it should be"
)]

mod admission;
mod attack;
mod audit;
mod audit_log;
mod campaigns;
mod console;
mod cost;
mod coverage;
mod deliveries;
mod delivering;
mod delivery_faults;
mod domains;
mod email_events;
mod endpoints;
mod estate;
mod event_log;
mod event_types;
mod events;
mod expiry;
mod exports;
mod fairness;
mod fan_out;
mod hostile;
mod idempotency;
mod invitation_acceptance;
mod invitations;
mod isolation;
mod keys;
mod layering;
mod leads;
mod leaks;
mod limits;
mod mails;
mod main_job;
mod meetings;
mod metrics;
mod mfa;
mod notices;
mod openapi;
mod organizations;
mod outages;
mod passwords;
mod people;
mod policies;
mod privacy;
mod problems;
mod replays;
mod roles;
mod rotation;
mod scenarios;
mod sent;
mod sessions;
mod sso;
mod sweep;
mod switching;
mod template;
mod template_rules;
mod throttle;
mod usage;
mod users;
mod walls;
mod workspaces;

//! Small exports, tampered with in every way there is.

mod fixture;
mod properties;
mod single;
mod table;
mod tampering;

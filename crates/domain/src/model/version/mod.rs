//! Versions: one file per scheme, each with `compare`, an order-preserving byte key, and `parse`.

pub mod deb;

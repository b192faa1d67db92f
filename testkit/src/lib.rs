//! What tests share: a clock that stands still, package roots made for the test, throw-away
//! databases. Depended on by tests only.

pub mod clock;
pub mod inventories;
pub mod postgres;
pub mod roots;

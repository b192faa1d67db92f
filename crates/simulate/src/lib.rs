//! A simulated fleet: thousands of agents as tasks, each over a real TLS connection of its own with
//! a certificate of its own, reporting package sets that drift apart as those of real machines do.
//!
//! The server cannot tell them from agents. They keep in memory what an agent keeps on its disk.

mod agent;
mod connection;
mod cost;
mod draw;
mod run;

pub use self::cost::ProcessCost;
pub use self::draw::Drawing;
pub use self::run::{Herd, Installs, Phase, Plan, Progress, SimulateError, Simulation};

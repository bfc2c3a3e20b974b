//! The nineteen probe scenarios: inputs on which an older hub hung, lied or lost data. One test each,
//! named after its scenario, through the real edges of a hub with simulated servers.

mod patching;
mod refusals;
mod running;
mod setting_up;

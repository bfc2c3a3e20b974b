//! `genimage-bench pool`: pools in virtual time, driven by the hub's own scheduling code.
//!
//! Nothing here waits: servers and arrivals are events, the clock is a number. The figures are exact and the
//! same on every machine, but for the time that decisions take.

mod measure;
mod pace;
mod policy;
mod report;
mod scene;
mod sim;

#[cfg(test)]
mod optimum;
#[cfg(test)]
mod tests;

use clap::Args;

/// Simulates pools and prints what each policy makes of them.
#[derive(Debug, Args)]
pub(crate) struct PoolArgs {
    /// Leave out the largest pools
    #[arg(long)]
    quick: bool,
}

/// Plays all scenes under all policies.
pub(crate) fn run(args: &PoolArgs) {
    report::head();
    for scene in scene::all(args.quick) {
        for policy in policy::Name::ALL {
            let played = sim::play(&scene, policy);
            report::row(&scene, policy, &measure::measure(&scene, &played));
        }
    }
    report::foot();
    for (servers, jobs, free) in
        [(10, 1_000, 1), (100, 10_000, 1), (1_000, 10_000, 1), (1_000, 10_000, 30), (1_000, 10_000, 300)]
    {
        report::pace(&pace::measure(servers, jobs, free));
    }
}

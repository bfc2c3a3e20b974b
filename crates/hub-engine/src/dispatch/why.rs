//! Why a job waits, server by server, in data and in words.

use std::collections::HashMap;

use hub_core::{ids::ServerId, placement::Placement, server::ServerState};
use hub_schedule::{Kind, Learned, Place, Reason, Seconds, reasons};

use crate::{ServerWhy, WaitReason};

/// Servers that are named in one sentence.
const NAMED_MAX: usize = 6;

/// What the pool knows of a server, beside what the scheduler is told.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) name: String,
    pub(crate) state: ServerState,
    pub(crate) reason: Option<String>,
    /// Its breaker is open.
    pub(crate) rests: bool,
    /// The GPU that it shares with LLM servers.
    pub(crate) gpu: Option<String>,
    /// Who has that GPU now, in words, when prompts must wait for it.
    pub(crate) awaits: Option<String>,
}

/// Why jobs of this kind are not at work, server by server.
pub(super) fn servers(
    kind: &Kind,
    places: &[Place],
    conditions: &HashMap<ServerId, Condition>,
    learned: &Learned,
    now: Seconds,
) -> Vec<ServerWhy> {
    let mut whys: Vec<ServerWhy> = reasons(kind, places, learned, now)
        .into_iter()
        .filter_map(|(server, reason)| Some(describe(server, reason, conditions.get(&server)?)))
        .collect();
    whys.sort_by(|a, b| a.name.cmp(&b.name));
    whys
}

fn describe(server: ServerId, reason: Reason, condition: &Condition) -> ServerWhy {
    let Condition { name, state, reason: why, rests, awaits, .. } = condition;
    let (reason, detail, ends_in_s) = match reason {
        Reason::NotPinned => (WaitReason::NotPinned, "the job is pinned elsewhere".to_owned(), None),
        Reason::Excluded => (WaitReason::Excluded, "an earlier attempt there ruled it out".to_owned(), None),
        Reason::Lacks => (WaitReason::Lacks, "lacks model files or nodes of the workflow".to_owned(), None),
        Reason::Barred => (WaitReason::Lacks, "is marked as unable to run the workflow".to_owned(), None),
        Reason::NotReady if *rests && state.takes_work() => {
            (WaitReason::Resting, "rests after several failures".to_owned(), None)
        }
        Reason::NotReady if state.takes_work() && awaits.is_some() => {
            let holder = awaits.as_deref().unwrap_or_default();
            (WaitReason::GpuInUse, format!("waits for its GPU, which is held by {holder}"), None)
        }
        Reason::NotReady => {
            let detail = match why {
                Some(why) => format!("is {} ({why})", state.as_str()),
                None => format!("is {}", state.as_str()),
            };
            (WaitReason::NotReady, detail, None)
        }
        Reason::Busy(ends) => (WaitReason::Busy, "has its hands full".to_owned(), Some(ends)),
        Reason::HasRoom(ends) => {
            (WaitReason::Free, "has room: others are first, or the job ends sooner elsewhere".to_owned(), Some(ends))
        }
    };
    ServerWhy { server, name: name.clone(), state: *state, reason, detail, ends_in_s }
}

/// The same in one sentence, for a job that no server takes.
pub(super) fn sentence(servers: &[ServerWhy], placement: &Placement) -> String {
    let concerned: Vec<&ServerWhy> = servers.iter().filter(|why| why.reason != WaitReason::NotPinned).collect();
    if concerned.is_empty() {
        return match placement {
            Placement::Anywhere => "no server is enabled".to_owned(),
            Placement::Server(_) => "the server it is pinned to is not enabled".to_owned(),
            Placement::Group(name) => format!("no server of the group {name} is enabled"),
        };
    }
    let mut parts: Vec<String> =
        concerned.iter().take(NAMED_MAX).map(|why| format!("{} {}", why.name, clause(why))).collect();
    if concerned.len() > NAMED_MAX {
        parts.push(format!("and {} more", concerned.len() - NAMED_MAX));
    }
    parts.join(", ")
}

fn clause(why: &ServerWhy) -> &str {
    match why.reason {
        WaitReason::Excluded => "failed it before",
        _ => &why.detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(name: &str, reason: WaitReason, detail: &str) -> ServerWhy {
        ServerWhy {
            server: ServerId::new(),
            name: name.to_owned(),
            state: ServerState::Down,
            reason,
            detail: detail.to_owned(),
            ends_in_s: None,
        }
    }

    #[test]
    fn the_sentence_names_what_concerns_the_job() {
        let servers = [
            why("gpu-1", WaitReason::NotReady, "is down (refused)"),
            why("gpu-2", WaitReason::NotPinned, "x"),
            why("gpu-3", WaitReason::Lacks, "lacks model files or nodes of the workflow"),
        ];
        let told = sentence(&servers, &Placement::Anywhere);
        assert_eq!(told, "gpu-1 is down (refused), gpu-3 lacks model files or nodes of the workflow");
        assert_eq!(sentence(&[], &Placement::Anywhere), "no server is enabled");
        let told = sentence(&servers[1..2], &Placement::Group("big".to_owned()));
        assert_eq!(told, "no server of the group big is enabled");
    }
}

//! Scripted faults: which one the next request meets, and what it does to an answer.

use super::{Shared, queue_full, stopped};
use crate::ollama::{
    OllamaFault,
    play::{Ending, Play, token_count},
    request::Refusal,
};

impl Shared {
    pub(super) fn next_fault(&self) -> Option<OllamaFault> {
        let mut state = self.state();
        while let Some(scripted) = state.faults.front_mut() {
            if scripted.times > 0 {
                scripted.times -= 1;
                return Some(scripted.fault.clone());
            }
            state.faults.pop_front();
        }
        None
    }

    pub(super) fn next_path_failure(&self, path: &str) -> Option<Refusal> {
        let mut state = self.state();
        let failing = state.failing_paths.iter_mut().find(|failing| failing.path == path && failing.times > 0)?;
        failing.times -= 1;
        Some(Refusal::new(failing.status, failing.error.clone()))
    }

    pub(super) async fn fail_at_once(&self, fault: Option<&OllamaFault>) -> Result<(), Refusal> {
        match fault {
            Some(OllamaFault::Status { status, error }) => Err(Refusal::new(*status, error.clone())),
            Some(OllamaFault::Busy) => Err(queue_full()),
            Some(OllamaFault::Silent) => {
                self.stop.cancelled().await;
                Err(stopped())
            }
            _ => Ok(()),
        }
    }
}

/// Applies the faults that change what is said and how it ends.
pub(super) fn bend(play: &mut Play, fault: Option<OllamaFault>) {
    let Some(fault) = fault else { return };
    match fault {
        // These ended the request before it had an answer.
        OllamaFault::Status { .. } | OllamaFault::Busy | OllamaFault::Silent => {}
        OllamaFault::MidStreamError { error } => play.ending = Ending::Error(error),
        OllamaFault::Stall => play.ending = Ending::Stall,
        OllamaFault::BreakOff => play.ending = Ending::Break,
        OllamaFault::Malformed => play.ending = Ending::Malformed,
        OllamaFault::Prose => play.content = format!("Sure! Here is the enhanced prompt:\n\n\"{}\"", play.content),
        OllamaFault::Fenced => play.content = format!("Here is the result:\n\n```json\n{}\n```", play.content),
        OllamaFault::Thinking { text } => play.thinking = text,
        OllamaFault::ThinkTags { text } => play.content = format!("<think>{text}</think>\n\n{}", play.content),
        OllamaFault::CutShort => {
            let words = token_count(&play.content).div_ceil(2);
            play.content = play.content.split_inclusive(' ').take(words).collect();
            play.done_reason = "length";
        }
        OllamaFault::Reply { text } => play.content = text,
    }
}

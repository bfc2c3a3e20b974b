//! What the scheduling policy is told about jobs. The policy itself is the crate `hub-schedule`.

use hub_core::{
    ids::{ServerId, WorkflowId},
    job::Job,
};
use hub_schedule::{Kind, ModelSet, Ticket, WorkClass};
use sha2::{Digest, Sha256};

pub(crate) use hub_schedule::Place;

/// A job that waits for a server, with what its earlier attempts taught.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) job: Job,
    /// Attempts that failed for a server's fault since the hub started.
    pub(crate) failures: u32,
    /// The server that lost it last; taken again only when every other would take much longer.
    pub(crate) avoid: Option<ServerId>,
}

impl From<Job> for Waiting {
    fn from(job: Job) -> Self {
        Self { job, failures: 0, avoid: None }
    }
}

impl Waiting {
    /// What decides where it may go; `models` says what its workflow needs loaded.
    pub(crate) fn kind(&self, models: impl FnOnce(WorkflowId) -> ModelSet) -> Kind {
        let class = work_class(&self.job);
        let mut excluded = self.job.excluded.clone();
        excluded.sort_unstable();
        excluded.dedup();
        let kind = Kind::new(class, models(class.workflow));
        Kind { excluded, avoid: self.avoid, placement: self.job.placement.clone(), ..kind }
    }

    /// Its place in the queue.
    pub(crate) fn ticket(&self, models: impl FnOnce(WorkflowId) -> ModelSet) -> Ticket {
        Ticket {
            job: self.job.id,
            caller: self.job.caller.clone(),
            priority: self.job.priority,
            kind: self.kind(models),
        }
    }
}

/// How much work a job is.
pub(crate) fn work_class(job: &Job) -> WorkClass {
    let Some(recipe) = &job.recipe else {
        // Only jobs with a recipe are queued; without one there is nothing to tell jobs apart by.
        return WorkClass::new(WorkflowId::from_uuid(uuid::Uuid::nil()), None, None, 1);
    };
    let pixels = recipe.size.map(|size| u64::from(size.width_px) * u64::from(size.height_px));
    WorkClass::new(recipe.workflow_id, pixels, recipe.steps, 1)
}

/// The set of these model files, whatever their order.
pub(crate) fn model_set<'n>(names: impl IntoIterator<Item = &'n str>) -> ModelSet {
    let mut names: Vec<&str> = names.into_iter().collect();
    if names.is_empty() {
        return ModelSet::NONE;
    }
    names.sort_unstable();
    names.dedup();
    let digest = Sha256::digest(names.join("\n"));
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    ModelSet::from_digest(half)
}

/// Stands for the models of a workflow version that is not in the catalogue any more: whatever they are, it
/// shares them with itself only.
pub(crate) fn unknown_models(workflow: WorkflowId) -> ModelSet {
    ModelSet::from_digest(*workflow.as_uuid().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_what_it_holds_and_not_its_order() {
        assert_eq!(model_set(["a", "b", "a"]), model_set(["b", "a"]));
        assert_ne!(model_set(["a", "b"]), model_set(["a"]));
        assert_eq!(model_set([]), ModelSet::NONE);
    }
}

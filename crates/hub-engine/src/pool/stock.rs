//! What one server can run: its inventory, what it refused, what was said by hand, and what follows for each
//! workflow. Pure but for its own lock: times are arguments, nothing is fetched here.
//!
//! Invariant: the set that the scheduler reads is made when something changed, never when it is read.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use comfyui::{Fingerprint, Inventory, MissingResource};
use hub_core::ids::WorkflowId;
use tokio::time::Instant;

use crate::{InventoryState, InventoryView, Lack, WorkflowOnServer, catalogue::Runnable};

/// Refused workflows remembered for one server.
const REFUSED_MAX: usize = 1000;

/// Whether a server can run a workflow, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It can, or nobody knows that it cannot.
    May,
    /// Its inventory, freshly read, lacks this.
    Lacks(Lack),
    /// An administrator said that it cannot.
    SaidNot,
}

/// See the module.
#[derive(Default)]
pub(super) struct Stock(Mutex<Known>);

#[derive(Default)]
struct Known {
    inventory: Option<Arc<Inventory>>,
    read_at: Option<Instant>,
    problem: Option<String>,
    /// What it lacked when it refused a workflow. Forgotten when its inventory changes or it restarts.
    refused: HashMap<WorkflowId, BTreeSet<MissingResource>>,
    /// By hand, by the workflow's name.
    said: BTreeMap<String, bool>,
    /// The catalogue's workflows.
    runnables: Arc<Vec<Arc<Runnable>>>,
    /// What the inventory lacks for each of them; those that lack nothing are left out.
    lacking: HashMap<WorkflowId, BTreeSet<MissingResource>>,
    /// Workflows that do not go there.
    lacks: Arc<HashSet<WorkflowId>>,
    /// Those of them that an administrator keeps away.
    barred: Arc<HashSet<WorkflowId>>,
}

impl Known {
    fn said(&self, runnable: &Runnable) -> Option<bool> {
        self.said.get(&runnable.workflow.name).copied()
    }

    /// Makes everything that follows anew; true when the scheduler's set changed.
    fn recount(&mut self) -> bool {
        self.lacking.clear();
        if let Some(inventory) = &self.inventory {
            for runnable in self.runnables.iter() {
                let lacking = runnable.needs.lacking(inventory);
                if !lacking.is_empty() {
                    self.lacking.insert(runnable.workflow.id, lacking);
                }
            }
        }
        let mut lacks: HashSet<WorkflowId> = self.lacking.keys().chain(self.refused.keys()).copied().collect();
        let mut barred = HashSet::new();
        for runnable in self.runnables.iter() {
            match self.said(runnable) {
                Some(true) => lacks.remove(&runnable.workflow.id),
                Some(false) => lacks.insert(runnable.workflow.id) | barred.insert(runnable.workflow.id),
                None => continue,
            };
        }
        let changed = *self.lacks != lacks || *self.barred != barred;
        self.lacks = Arc::new(lacks);
        self.barred = Arc::new(barred);
        changed
    }
}

impl Stock {
    /// Which answer the inventory was read from.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        self.lock().inventory.as_ref().map(|inventory| inventory.fingerprint())
    }

    /// The inventory was read; `None` when it is the one known. True when the scheduler's set changed.
    pub(super) fn read(&self, fresh: Option<Inventory>, now: Instant) -> bool {
        let mut known = self.lock();
        known.read_at = Some(now);
        known.problem = None;
        let Some(fresh) = fresh else { return false };
        // What it refused may have been installed since the inventory before. The first one says nothing of that.
        if known.inventory.replace(Arc::new(fresh)).is_some() {
            known.refused.clear();
        }
        known.recount()
    }

    /// The inventory could not be read. What was known stays, and grows stale.
    pub(super) fn unread(&self, why: String) {
        self.lock().problem = Some(why);
    }

    /// When it was read.
    pub(super) fn read_at(&self) -> Option<Instant> {
        self.lock().read_at
    }

    /// The catalogue changed. True when the scheduler's set changed.
    pub(super) fn catalogue(&self, runnables: Arc<Vec<Arc<Runnable>>>) -> bool {
        let mut known = self.lock();
        known.runnables = runnables;
        known.recount()
    }

    /// What was said by hand. True when the scheduler's set changed.
    pub(super) fn say(&self, said: BTreeMap<String, bool>) -> bool {
        let mut known = self.lock();
        if known.said == said {
            return false;
        }
        known.said = said;
        known.recount()
    }

    /// The server refused a workflow for want of this.
    pub(super) fn refused(&self, workflow: WorkflowId, missing: &[MissingResource]) {
        let mut known = self.lock();
        if known.refused.len() >= REFUSED_MAX {
            known.refused.clear();
        }
        known.refused.insert(workflow, missing.iter().cloned().collect());
        known.recount();
    }

    /// The server ran a workflow that it had refused: somebody installed what was lacking.
    pub(super) fn ran(&self, workflow: WorkflowId) {
        let mut known = self.lock();
        if known.refused.remove(&workflow).is_some() {
            known.recount();
        }
    }

    /// The server is another process: what it refused, it may take now. Its inventory is read anew anyway.
    pub(super) fn restarted(&self) {
        let mut known = self.lock();
        if !known.refused.is_empty() {
            known.refused.clear();
            known.recount();
        }
    }

    /// Workflows that do not go there.
    pub(super) fn lacks(&self) -> Arc<HashSet<WorkflowId>> {
        self.lock().lacks.clone()
    }

    /// Workflows that an administrator keeps away from there.
    pub(super) fn barred(&self) -> Arc<HashSet<WorkflowId>> {
        self.lock().barred.clone()
    }

    /// Whether it can run the workflow. An inventory that was not read within `max_age` keeps nobody away.
    pub(super) fn verdict(&self, runnable: &Runnable, now: Instant, max_age: Duration) -> Verdict {
        let known = self.lock();
        match known.said(runnable) {
            Some(true) => return Verdict::May,
            Some(false) => return Verdict::SaidNot,
            None => {}
        }
        let fresh = known.read_at.is_some_and(|at| now.saturating_duration_since(at) <= max_age);
        let Some(inventory) = known.inventory.as_ref().filter(|_| fresh) else { return Verdict::May };
        let lacking = runnable.needs.lacking(inventory);
        if lacking.is_empty() { Verdict::May } else { Verdict::Lacks(Lack::from(&lacking)) }
    }

    /// Its model files by the input that takes them; empty as long as they are unknown.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<String>> {
        let inventory = self.lock().inventory.clone();
        let by_input = inventory.as_ref().map(|inventory| inventory.model_files_by_input()).unwrap_or_default();
        let owned =
            |(input, files): (&str, BTreeSet<&str>)| (input.to_owned(), files.into_iter().map(str::to_owned).collect());
        by_input.into_iter().map(owned).collect()
    }

    /// The largest seed that the nodes take to which a workflow gives its seed.
    pub(super) fn largest_seed(&self, runnable: &Runnable) -> u64 {
        let known = self.lock();
        let Some(inventory) = &known.inventory else { return u64::MAX };
        let largest = runnable.seeds.iter().filter_map(|(class, input)| inventory.largest(class, input));
        largest.min().unwrap_or(u64::MAX)
    }

    /// How much is known.
    pub(super) fn view(&self, now: Instant, max_age: Duration) -> InventoryView {
        let known = self.lock();
        let age = known.read_at.map(|at| now.saturating_duration_since(at));
        let Some(inventory) = &known.inventory else {
            return InventoryView { problem: known.problem.clone(), ..InventoryView::default() };
        };
        let fresh = age.is_some_and(|age| age <= max_age);
        InventoryView {
            state: if fresh { InventoryState::Known } else { InventoryState::Stale },
            problem: known.problem.clone(),
            age_s: age.map(|age| age.as_secs_f64()),
            node_classes: inventory.class_count(),
            malformed_classes: inventory.malformed_count(),
            model_files: inventory.model_file_count(),
        }
    }

    /// The workflows about which there is anything to say, by name.
    pub(super) fn workflows(&self) -> Vec<WorkflowOnServer> {
        let known = self.lock();
        let row = |runnable: &Arc<Runnable>| {
            let id = runnable.workflow.id;
            let (by_inventory, by_refusal) = (known.lacking.get(&id), known.refused.get(&id));
            let said = known.said(runnable);
            if by_inventory.is_none() && by_refusal.is_none() && said.is_none() {
                return None;
            }
            Some(WorkflowOnServer {
                workflow: runnable.workflow.name.clone(),
                workflow_id: id,
                lack: by_inventory.or(by_refusal).map(Lack::from).unwrap_or_default(),
                refused: by_inventory.is_none() && by_refusal.is_some(),
                said,
                compatible: !known.lacks.contains(&id),
            })
        };
        let mut rows: Vec<WorkflowOnServer> = known.runnables.iter().filter_map(row).collect();
        rows.sort_by(|a, b| a.workflow.cmp(&b.workflow));
        rows
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nothing panics while it holds the stock")
    }
}

#[cfg(test)]
mod tests {
    use comfyui::Graph;
    use hub_core::catalogue::Workflow;
    use serde_json::json;

    use super::*;

    const AGE: Duration = Duration::from_mins(5);

    fn runnable(name: &str, checkpoint: &str) -> Arc<Runnable> {
        let graph = json!({
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": checkpoint}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
        });
        assert!(Graph::parse(&graph).is_ok());
        Arc::new(Runnable::new(Workflow {
            id: WorkflowId::new(),
            name: name.to_owned(),
            version: 1,
            graph,
            slots: json!(null),
            description: String::new(),
        }))
    }

    fn inventory(files: &[&str]) -> Inventory {
        let body = json!({
            "CheckpointLoaderSimple": {"input": {"required": {"ckpt_name": [files]}}},
            "SaveImage": {"input": {}},
        });
        Inventory::parse(body.to_string().as_bytes()).expect("it parses")
    }

    #[test]
    fn what_follows_is_made_anew_when_something_changed() {
        let (now, stock) = (Instant::now(), Stock::default());
        let (a, b) = (runnable("a", "a.safetensors"), runnable("b", "b.safetensors"));
        assert!(!stock.catalogue(Arc::new(vec![a.clone(), b.clone()])));
        assert_eq!(stock.verdict(&b, now, AGE), Verdict::May, "nothing is known");
        assert!(stock.read(Some(inventory(&["a.safetensors"])), now));
        assert_eq!(*stock.lacks(), HashSet::from([b.workflow.id]));
        let lack = Lack { nodes: Vec::new(), files: vec!["b.safetensors".to_owned()] };
        assert_eq!(stock.verdict(&b, now, AGE), Verdict::Lacks(lack.clone()));
        assert_eq!(stock.workflows().len(), 1);
        assert_eq!(stock.workflows()[0].lack, lack);
        // Installed.
        assert!(stock.read(Some(inventory(&["a.safetensors", "b.safetensors"])), now));
        assert!(stock.lacks().is_empty() && stock.workflows().is_empty());
    }

    #[test]
    fn a_stale_inventory_keeps_nobody_away() {
        let (now, stock, b) = (Instant::now(), Stock::default(), runnable("b", "b.safetensors"));
        stock.catalogue(Arc::new(vec![b.clone()]));
        stock.read(Some(inventory(&[])), now);
        assert!(matches!(stock.verdict(&b, now + AGE, AGE), Verdict::Lacks(_)));
        assert_eq!(stock.verdict(&b, now + AGE + Duration::from_secs(1), AGE), Verdict::May);
        assert_eq!(stock.view(now + AGE * 2, AGE).state, InventoryState::Stale);
        stock.unread("404".to_owned());
        assert_eq!(stock.view(now, AGE).problem.as_deref(), Some("404"));
        // Read again and found unchanged: fresh again.
        assert!(!stock.read(None, now + AGE * 2));
        assert!(matches!(stock.verdict(&b, now + AGE * 2, AGE), Verdict::Lacks(_)));
    }

    #[test]
    fn a_refusal_counts_until_the_inventory_changes_or_the_server_restarts() {
        let (now, stock, a) = (Instant::now(), Stock::default(), runnable("a", "a.safetensors"));
        let missing = [MissingResource::NodeClass { class_type: "X".to_owned() }];
        stock.catalogue(Arc::new(vec![a.clone()]));
        stock.read(Some(inventory(&["a.safetensors"])), now);
        stock.refused(a.workflow.id, &missing);
        assert!(stock.lacks().contains(&a.workflow.id));
        assert!(stock.workflows()[0].refused);
        assert_eq!(stock.verdict(&a, now, AGE), Verdict::May, "the inventory has it: it is asked again");
        stock.read(None, now);
        assert!(stock.lacks().contains(&a.workflow.id), "nothing changed there");
        stock.restarted();
        assert!(stock.lacks().is_empty());
        stock.refused(a.workflow.id, &missing);
        stock.ran(a.workflow.id);
        assert!(stock.lacks().is_empty());
        stock.refused(a.workflow.id, &missing);
        stock.read(Some(inventory(&["a.safetensors", "more.safetensors"])), now);
        assert!(stock.lacks().is_empty());
    }

    #[test]
    fn a_refusal_before_the_first_inventory_is_not_forgotten_for_it() {
        let (now, stock, a) = (Instant::now(), Stock::default(), runnable("a", "a.safetensors"));
        stock.catalogue(Arc::new(vec![a.clone()]));
        stock.refused(a.workflow.id, &[MissingResource::NodeClass { class_type: "X".to_owned() }]);
        stock.read(Some(inventory(&["a.safetensors"])), now);
        assert!(stock.lacks().contains(&a.workflow.id));
    }

    #[test]
    fn what_is_said_by_hand_outweighs_all_else() {
        let (now, stock) = (Instant::now(), Stock::default());
        let (a, b) = (runnable("a", "a.safetensors"), runnable("b", "b.safetensors"));
        stock.catalogue(Arc::new(vec![a.clone(), b.clone()]));
        stock.read(Some(inventory(&["a.safetensors"])), now);
        assert!(stock.say(BTreeMap::from([("a".to_owned(), false), ("b".to_owned(), true)])));
        assert_eq!(*stock.lacks(), HashSet::from([a.workflow.id]));
        assert_eq!(stock.barred(), stock.lacks());
        assert_eq!((stock.verdict(&a, now, AGE), stock.verdict(&b, now, AGE)), (Verdict::SaidNot, Verdict::May));
        let rows = stock.workflows();
        assert_eq!(
            rows.iter().map(|row| (row.said, row.compatible)).collect::<Vec<_>>(),
            [(Some(false), false), (Some(true), true)]
        );
        assert!(stock.say(BTreeMap::new()));
        assert!(stock.barred().is_empty());
        assert_eq!(*stock.lacks(), HashSet::from([b.workflow.id]));
    }
}

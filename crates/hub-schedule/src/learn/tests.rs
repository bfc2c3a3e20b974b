use hub_core::ids::WorkflowId;

use super::*;

struct Bench {
    learned: Learned,
    class: WorkClass,
    models: ModelSet,
}

fn bench() -> Bench {
    let class = WorkClass::new(WorkflowId::new(), None, None, 1);
    Bench { learned: Learned::default(), class, models: ModelSet::from_digest([1; 16]) }
}

impl Bench {
    fn see(&mut self, server: ServerId, cold: bool, seconds: f64) {
        let Self { class, models, .. } = *self;
        self.learned.observe(Observation { class, models, server, cold, seconds });
    }

    fn run(&self, server: ServerId) -> f64 {
        self.learned.run(self.class, server).0
    }

    fn load(&self, server: ServerId) -> f64 {
        self.learned.load(self.models, server)
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn a_cold_run_teaches_the_load_once_a_warm_one_tells_the_run() {
    let (mut bench, server) = (bench(), ServerId::new());
    assert!(bench.learned.run(bench.class, server).1, "nothing is known");
    bench.see(server, true, 1.2);
    assert!(close(bench.run(server) + bench.load(server), 1.2), "the sum is known before the shares are");
    bench.see(server, false, 0.2);
    assert!(close(bench.run(server), 0.2) && close(bench.load(server), 1.0));
    bench.see(server, true, 1.2);
    assert!(close(bench.load(server), 1.0));
    assert!(!bench.learned.run(bench.class, server).1);
}

#[test]
fn a_new_class_on_a_slow_server_is_expected_to_be_slow() {
    let (mut bench, quick, slow) = (bench(), ServerId::new(), ServerId::new());
    for _ in 0..3 {
        bench.see(quick, false, 1.0);
        bench.see(slow, false, 4.0);
    }
    assert!(close(bench.run(slow), 4.0), "{}", bench.run(slow));
    bench.class = WorkClass::new(WorkflowId::new(), None, None, 1);
    bench.see(quick, false, 2.0);
    let guess = bench.run(slow);
    assert!((7.0..9.0).contains(&guess), "{guess}");
}

#[test]
fn another_size_of_a_workflow_is_expected_in_proportion() {
    let (mut bench, server) = (bench(), ServerId::new());
    bench.see(server, false, 3.0);
    let class = WorkClass::new(bench.class.workflow, None, Some(80), 1);
    let (run, guessed) = bench.learned.run(class, server);
    assert!(close(run, 12.0) && !guessed, "{run}");
}

#[test]
fn one_odd_run_does_not_spoil_what_is_known() {
    let (mut bench, server) = (bench(), ServerId::new());
    for _ in 0..5 {
        bench.see(server, false, 1.0);
    }
    bench.see(server, false, 1000.0);
    assert!(bench.run(server) < 2.0);
    bench.see(server, false, f64::NAN);
    bench.see(server, false, -1.0);
    assert!(bench.run(server) < 2.0);
    // A change that stays is followed.
    for _ in 0..20 {
        bench.see(server, false, 8.0);
    }
    assert!((bench.run(server) - 8.0).abs() < 0.5);
}

#[test]
fn what_is_kept_comes_back() {
    let (mut bench, quick, slow) = (bench(), ServerId::new(), ServerId::new());
    for server in [quick, slow] {
        bench.see(server, true, 3.0);
        bench.see(server, false, if server == quick { 1.0 } else { 2.0 });
    }
    let facts = bench.learned.take_changes();
    assert!(bench.learned.take_changes().is_empty());
    let mut again = Learned::default();
    again.restore(facts.into_iter().rev());
    for server in [quick, slow] {
        assert_eq!(again.run(bench.class, server), bench.learned.run(bench.class, server));
        assert!(close(again.load(bench.models, server), bench.load(server)));
    }
    again.restore([Fact { key: FactKey::Slowness(quick), value: f64::INFINITY, samples: 1 }]);
    assert_eq!(again.run(bench.class, quick), bench.learned.run(bench.class, quick));
}

#[test]
fn a_graph_without_models_has_nothing_to_load() {
    let (mut bench, server) = (bench(), ServerId::new());
    bench.models = ModelSet::NONE;
    bench.see(server, true, 2.0);
    assert!(close(bench.load(server), 0.0) && close(bench.run(server), 2.0));
}

/// Seen on a real pool: a first run of 0.3 s and later ones of 0.02 s made the only server that had run anything look
/// fifteen times as fast as an idle one, so that two jobs of another workflow went to it, one behind the other.
#[test]
fn a_server_is_not_quick_for_having_become_quicker_than_itself() {
    let (mut bench, server, fresh) = (bench(), ServerId::new(), ServerId::new());
    bench.see(server, false, 0.3);
    for _ in 0..5 {
        bench.see(server, false, 0.02);
    }
    bench.class = WorkClass::new(WorkflowId::new(), None, None, 1);
    assert!(close(bench.run(server), bench.run(fresh)), "{} and {}", bench.run(server), bench.run(fresh));
}

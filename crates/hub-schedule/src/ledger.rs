//! What is in flight where: from an assignment to what it taught.
//!
//! Owns the prompts of ours on each server, the models that will be resident after them, and the turns. A
//! server's epoch counts its lives: what an earlier process had loaded is gone.

use std::collections::HashMap;

use hub_core::{caller::Caller, ids::ServerId};

use crate::{Assignment, Learned, ModelSet, Observation, Prompt, Seconds, WorkClass};

/// One prompt's place on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId(u64);

/// What a prompt is to the one who pays for it, and what it teaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Flight {
    /// Who pays.
    pub caller: Caller,
    /// What runs; `None` when that is not known: it takes place and time but teaches nothing.
    pub class: Option<WorkClass>,
    /// What it needs.
    pub models: ModelSet,
    /// Expected load and run, as of when it was assigned.
    pub expected: Seconds,
    /// Charged to the caller when it was assigned.
    pub charged: Seconds,
    /// Whether the models were expected to be loaded.
    pub cold: bool,
    /// Whether the times rest on nothing but defaults.
    pub guessed: bool,
}

impl Flight {
    /// The flight of an assigned job.
    pub fn of(assignment: &Assignment, caller: Caller, class: WorkClass, models: ModelSet) -> Self {
        let expected = assignment.load + assignment.run;
        let Assignment { cold, guessed, .. } = *assignment;
        Self { caller, class: Some(class), models, expected, charged: assignment.charge(), cold, guessed }
    }
}

/// What became of a flight.
#[derive(Debug, Clone, PartialEq)]
pub struct Landing {
    /// Who pays.
    pub caller: Caller,
    /// What was charged.
    pub charged: Seconds,
    /// What it really cost.
    pub cost: Seconds,
    /// What it taught.
    pub seen: Option<Observation>,
}

#[derive(Debug)]
struct Entry {
    id: FlightId,
    /// The server's life that it went to.
    epoch: u64,
    flight: Flight,
    began: Option<Seconds>,
    /// The beginning was told when it happened, and not found later.
    heard: bool,
}

#[derive(Debug, Default)]
struct Berth {
    flights: Vec<Entry>,
    /// What will be loaded after all flights.
    resident: Option<(u64, ModelSet)>,
    /// What the newest flight that began has loaded.
    loaded: Option<(u64, ModelSet)>,
    last_turn: u64,
}

/// All flights.
#[derive(Debug, Default)]
pub struct Ledger {
    berths: HashMap<ServerId, Berth>,
    servers: HashMap<FlightId, ServerId>,
    next: u64,
}

impl Ledger {
    /// Enters a flight; `epoch` is the server's life that it goes to.
    pub fn enter(&mut self, server: ServerId, epoch: u64, flight: Flight, turn: Option<u64>) -> FlightId {
        self.next += 1;
        let id = FlightId(self.next);
        let berth = self.berths.entry(server).or_default();
        if !flight.models.is_none() {
            berth.resident = Some((epoch, flight.models));
        }
        berth.last_turn = turn.unwrap_or(berth.last_turn);
        berth.flights.push(Entry { id, epoch, flight, began: None, heard: false });
        self.servers.insert(id, server);
        id
    }

    /// The server began it; `heard`: just now, and not some time before. Prompts that were sent at once begin in
    /// any order: which of them loads the models shows now.
    pub fn began(&mut self, id: FlightId, now: Seconds, heard: bool) {
        let Some(berth) = self.servers.get(&id).and_then(|server| self.berths.get_mut(server)) else { return };
        let unbegun = berth.flights.iter_mut().find(|entry| entry.id == id && entry.began.is_none());
        let Some(Entry { epoch, flight, began, heard: by_event, .. }) = unbegun else { return };
        (*began, *by_event) = (Some(now), heard);
        if !flight.models.is_none() {
            let loads = Some((*epoch, flight.models));
            flight.cold = berth.loaded != loads;
            berth.loaded = loads;
        }
    }

    /// Where a flight is.
    pub fn server(&self, id: FlightId) -> Option<ServerId> {
        self.servers.get(&id).copied()
    }

    /// Whether a flight loads its models: what was expected until the server began it, and how it was then. `None`
    /// where nobody knows, or there is nothing to load.
    pub fn loads(&self, id: FlightId) -> Option<bool> {
        let berth = self.berths.get(self.servers.get(&id)?)?;
        let Entry { flight, .. } = berth.flights.iter().find(|entry| entry.id == id)?;
        (flight.class.is_some() && !flight.models.is_none()).then_some(flight.cold)
    }

    /// It is over; `done`: the server ran it to its end. `None` when it had been over.
    pub fn over(&mut self, id: FlightId, now: Seconds, done: bool) -> Option<Landing> {
        let server = self.servers.remove(&id)?;
        let berth = self.berths.get_mut(&server)?;
        let at = berth.flights.iter().position(|entry| entry.id == id)?;
        let Entry { epoch, flight, began, heard, .. } = berth.flights.remove(at);
        if !flight.models.is_none() {
            if !done {
                // It may or may not have loaded its models.
                (berth.resident, berth.loaded) = (None, None);
            } else if began.is_none() {
                berth.loaded = Some((epoch, flight.models));
            }
        }
        let ran = began.map(|began| (now - began).max(0.0));
        let cost = match (ran, done) {
            (Some(ran), _) => ran,
            (None, true) => flight.charged,
            (None, false) => 0.0,
        };
        let seen = match (flight.class, ran) {
            (Some(class), Some(seconds)) if done && heard => {
                Some(Observation { class, models: flight.models, server, cold: flight.cold, seconds })
            }
            _ => None,
        };
        Some(Landing { caller: flight.caller, charged: flight.charged, cost, seen })
    }

    /// Prompts of ours on a server, the oldest first, as they are expected by what is known now.
    pub fn prompts(&self, server: ServerId, learned: &Learned) -> Vec<Prompt> {
        let entries = self.berths.get(&server).map(|berth| berth.flights.as_slice()).unwrap_or_default();
        let prompt = |Entry { flight, began, .. }: &Entry| {
            let Some(class) = flight.class else {
                return Prompt { expected: flight.expected, began: *began, guessed: flight.guessed };
            };
            let (run, guessed) = learned.run(class, server);
            let load = if flight.cold { learned.load(flight.models, server) } else { 0.0 };
            Prompt { expected: load + run, began: *began, guessed }
        };
        entries.iter().map(prompt).collect()
    }

    /// Prompts of ours that a server has not begun, each with its place among [`Ledger::prompts`].
    pub fn waiting(&self, server: ServerId) -> impl Iterator<Item = (FlightId, usize)> {
        let entries = self.berths.get(&server).map(|berth| berth.flights.as_slice()).unwrap_or_default();
        entries.iter().enumerate().filter(|(_, entry)| entry.began.is_none()).map(|(at, entry)| (entry.id, at))
    }

    /// How many prompts of ours are on a server.
    pub fn in_flight(&self, server: ServerId) -> u32 {
        self.berths.get(&server).map_or(0, |berth| u32::try_from(berth.flights.len()).unwrap_or(u32::MAX))
    }

    /// Models that will be loaded on a server in this life after its prompts.
    pub fn resident(&self, server: ServerId, epoch: u64) -> Option<ModelSet> {
        let (of, models) = self.berths.get(&server)?.resident?;
        (of == epoch).then_some(models)
    }

    /// A server dropped all models it had.
    pub fn emptied(&mut self, server: ServerId) {
        if let Some(berth) = self.berths.get_mut(&server) {
            (berth.resident, berth.loaded) = (None, None);
        }
    }

    /// Turn in which a server last got a job.
    pub fn last_turn(&self, server: ServerId) -> u64 {
        self.berths.get(&server).map_or(0, |berth| berth.last_turn)
    }
}

#[cfg(test)]
mod tests {
    use hub_core::ids::WorkflowId;

    use super::*;

    fn flight(models: ModelSet) -> Flight {
        Flight {
            caller: Caller::local(),
            class: Some(WorkClass::new(WorkflowId::new(), None, None, 1)),
            models,
            expected: 3.0,
            charged: 3.0,
            cold: true,
            guessed: false,
        }
    }

    #[test]
    fn a_flight_teaches_what_it_took_and_is_over_once() {
        let (mut ledger, server, models) = (Ledger::default(), ServerId::new(), ModelSet::from_digest([7; 16]));
        let id = ledger.enter(server, 1, flight(models), Some(4));
        assert_eq!((ledger.in_flight(server), ledger.last_turn(server)), (1, 4));
        assert_eq!(ledger.resident(server, 1), Some(models));
        assert_eq!(ledger.resident(server, 2), None, "a restarted server has nothing loaded");
        ledger.began(id, 10.0, true);
        ledger.began(id, 11.0, true);
        let landing = ledger.over(id, 12.0, true).unwrap();
        let seen = landing.seen.unwrap();
        assert!((landing.cost - 2.0).abs() < 1e-9 && (seen.seconds - 2.0).abs() < 1e-9 && seen.cold);
        assert_eq!(ledger.over(id, 13.0, true), None);
        assert_eq!(ledger.resident(server, 1), Some(models));
    }

    #[test]
    fn which_of_two_prompts_loads_the_models_shows_when_they_begin() {
        let (mut ledger, server, models) = (Ledger::default(), ServerId::new(), ModelSet::from_digest([7; 16]));
        let first = ledger.enter(server, 1, flight(models), None);
        let second = ledger.enter(server, 1, Flight { cold: false, ..flight(models) }, None);
        // They overtook each other on the way.
        ledger.began(second, 0.0, true);
        let landing = ledger.over(second, 5.0, true).unwrap();
        assert!(landing.seen.unwrap().cold);
        ledger.began(first, 5.0, true);
        assert!(!ledger.over(first, 6.0, true).unwrap().seen.unwrap().cold);
        let restarted = ledger.enter(server, 2, Flight { cold: false, ..flight(models) }, None);
        ledger.began(restarted, 7.0, true);
        assert!(ledger.over(restarted, 12.0, true).unwrap().seen.unwrap().cold);
    }

    #[test]
    fn a_prompt_is_expected_by_what_is_known_now() {
        let (mut ledger, mut learned, server) = (Ledger::default(), Learned::default(), ServerId::new());
        let flight = Flight { guessed: true, cold: false, ..flight(ModelSet::NONE) };
        let class = flight.class.unwrap();
        ledger.enter(server, 1, flight, None);
        assert!(ledger.prompts(server, &learned)[0].guessed);
        learned.observe(Observation { class, models: ModelSet::NONE, server, cold: false, seconds: 0.2 });
        let prompt = ledger.prompts(server, &learned)[0];
        assert!((prompt.expected - 0.2).abs() < 1e-9 && !prompt.guessed);
    }

    #[test]
    fn what_never_ran_costs_nothing_and_leaves_it_open_what_is_loaded() {
        let (mut ledger, server) = (Ledger::default(), ServerId::new());
        let id = ledger.enter(server, 1, flight(ModelSet::from_digest([7; 16])), None);
        let landing = ledger.over(id, 12.0, false).unwrap();
        assert!(landing.cost.abs() < 1e-9 && landing.seen.is_none());
        assert_eq!((ledger.resident(server, 1), ledger.in_flight(server)), (None, 0));
    }
}

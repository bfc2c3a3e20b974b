//! What is told to those who wait: when it is their turn, and why not now.

use hub_core::ids::{JobId, ServerId};

use crate::{
    Kind, Learned, Place, Seconds,
    eta::{View, allows},
    fair::FairOrder,
    queue::Queue,
};

/// When a job will probably begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Which.
    pub job: JobId,
    /// Time from now; `None` when no place takes it as things are.
    pub starts_in: Option<Seconds>,
}

/// Why a job is not at work on a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// It is pinned elsewhere.
    NotPinned,
    /// An earlier attempt ruled the server out.
    Excluded,
    /// The server takes no work now.
    NotReady,
    /// The server lacks model files or nodes of its workflow.
    Lacks,
    /// Somebody said that the server does not get its workflow.
    Barred,
    /// The server is full, or has none to spare yet; a job sent there now would end after this time.
    Busy(Seconds),
    /// The server has room: others are first, or the job ends sooner elsewhere. Time as above.
    HasRoom(Seconds),
}

/// All jobs in fair order, as if nothing else came.
pub fn forecast(queue: &Queue, places: &[Place], learned: &Learned, now: Seconds) -> Vec<Forecast> {
    let mut view = View::new(queue, places, learned, now);
    let mut order = FairOrder::new(queue);
    let mut all = Vec::with_capacity(queue.len());
    while let Some(turn) = order.next(|kind| learned.usual_run(kind.class)) {
        let starts_in = view.best(queue, turn.kind, false).map(|at| {
            let before = view.state.work[at];
            let (load, _) = view.put(queue, turn.kind, at, None);
            before + load
        });
        all.push(Forecast { job: turn.job, starts_in });
    }
    all
}

/// Why jobs of this kind are not at work, place by place.
pub fn reasons(kind: &Kind, places: &[Place], learned: &Learned, now: Seconds) -> Vec<(ServerId, Reason)> {
    let reason = |place: &Place| {
        if !kind.placement.allows(place.server, place.group.as_deref()) {
            return Reason::NotPinned;
        }
        if place.barred.contains(&kind.class.workflow) {
            return Reason::Barred;
        }
        if !allows(kind, place) {
            return Reason::Excluded;
        }
        if place.lacks.contains(&kind.class.workflow) {
            return Reason::Lacks;
        }
        if !place.takes_work {
            return Reason::NotReady;
        }
        let work = place.remaining(now, learned.foreign_run(learned.slot(place.server)));
        let warm = kind.models.is_none() || place.resident == Some(kind.models);
        let load = if warm { 0.0 } else { learned.load(kind.models, place.server) };
        let end = work + load + learned.run(kind.class, place.server).0;
        if place.room(now, work).0 > 0 { Reason::HasRoom(end) } else { Reason::Busy(end) }
    };
    places.iter().map(|place| (place.server, reason(place))).collect()
}

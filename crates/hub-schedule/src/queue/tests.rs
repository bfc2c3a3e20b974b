use hub_core::ids::WorkflowId;

use super::*;
use crate::WorkClass;

fn ticket(caller: &str) -> Ticket {
    let kind = Kind::new(WorkClass::new(WorkflowId::new(), None, None, 1), ModelSet::from_digest([1; 16]));
    Ticket { job: JobId::new(), caller: Caller::named(caller), priority: 0, kind }
}

fn order(queue: &Queue) -> Vec<JobId> {
    queue.in_order(&Learned::default()).collect()
}

#[test]
fn a_job_that_comes_back_has_its_old_place() {
    let tickets = [ticket("a"), ticket("a"), ticket("a")];
    let ids = tickets.clone().map(|ticket| ticket.job);
    let mut queue = Queue::default();
    for ticket in tickets.clone() {
        queue.push(ticket, 0.0);
    }
    queue.serve(ids[0], 1.0);
    assert_eq!(order(&queue), ids[1..]);
    queue.push(tickets[0].clone(), 1.0);
    assert_eq!(order(&queue), ids);
    assert!(queue.remove(ids[1]));
    assert!(!queue.remove(ids[1]));
    assert_eq!(order(&queue), [ids[0], ids[2]]);
}

#[test]
fn nothing_is_kept_of_jobs_and_callers_that_are_gone() {
    let mut queue = Queue::default();
    for at in 0..2000 {
        let ticket = ticket(&format!("caller {at}"));
        let (job, caller) = (ticket.job, ticket.caller.clone());
        queue.push(ticket, 0.0);
        queue.serve(job, 1.0);
        queue.settle(&caller, 1.0, 1.0);
    }
    assert!(queue.is_empty() && queue.demand.is_empty() && queue.kind_of.is_empty() && queue.active.is_empty());
    assert!(queue.kinds.len() <= 1 && queue.lane_of.len() <= IDLE_CALLERS + 1, "{}", queue.lane_of.len());
}

#[test]
fn a_job_that_is_moved_changes_its_place_and_not_its_age() {
    let tickets = [ticket("a"), ticket("a"), ticket("b")];
    let ids = tickets.clone().map(|ticket| ticket.job);
    let mut queue = Queue::default();
    for (ticket, at) in tickets.into_iter().zip([1.0, 2.0, 3.0]) {
        queue.push(ticket, at);
    }
    let of_a = |queue: &Queue| order(queue).into_iter().filter(|job| *job != ids[2]).collect::<Vec<_>>();
    assert!(queue.set_priority(ids[1], 5));
    assert_eq!(of_a(&queue), [ids[1], ids[0]]);
    assert!((queue.ages(ids[1], 10.0).0 - 8.0).abs() < 1e-9);
    assert!(queue.set_priority(ids[1], -5));
    assert_eq!(of_a(&queue), [ids[0], ids[1]]);
    assert!(queue.remove(ids[1]) && queue.remove(ids[0]), "nothing is left behind under an old rank");
    assert_eq!((queue.len(), order(&queue)), (1, vec![ids[2]]));
    assert!(!queue.set_priority(ids[0], 1));
}

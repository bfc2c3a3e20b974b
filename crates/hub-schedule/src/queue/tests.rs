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

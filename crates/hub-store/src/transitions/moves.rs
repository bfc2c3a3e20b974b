//! How jobs that wait change their place in the queue.
//!
//! What is moved is a row, or a whole with its parts; each is read and written in one transaction, so that what takes a move
//! back is exactly what the move changed.

use hub_core::{ids::JobId, job::JobStateKind};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect,
    prelude::Uuid,
    sea_query::{Expr, Query},
};

use crate::{entity::job, error::Result, pool::Store};

/// A row that may be moved.
struct Place {
    id: JobId,
    waits: bool,
    priority: i32,
}

impl Store {
    /// Gives a job that waits, for its plan or for a server, another priority, and those of its parts that wait; a whole
    /// of which a part waits has it, too. Answers which rows have it now, each with the priority it had before; none when
    /// nothing of it waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_set_priority(&self, id: JobId, priority: i32) -> Result<Vec<(JobId, i32)>> {
        let tx = self.begin().await?;
        let places = places(&tx, id).await?;
        for place in &places {
            write(&tx, place.id, priority).await?;
        }
        tx.commit().await?;
        Ok(places.into_iter().map(|place| (place.id, place.priority)).collect())
    }

    /// Gives rows of a job back what they had `before`, as [`Self::job_set_priority`] answered it, unless they are
    /// without the priority `since` by now: what was moved meanwhile stays where it is. Parts that came after their
    /// whole was moved go back to what it had. Answers those that were taken back; none when nothing that waits is
    /// among them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job_unset_priority(
        &self,
        id: JobId,
        since: i32,
        before: &[(JobId, i32)],
    ) -> Result<Vec<(JobId, i32)>> {
        let tx = self.begin().await?;
        let mut places = places(&tx, id).await?;
        places.retain(|place| place.priority == since);
        if !places.iter().any(|place| place.waits) {
            return Ok(Vec::new());
        }
        let mut back: Vec<(JobId, i32)> =
            before.iter().filter(|(id, _)| places.iter().any(|place| place.id == *id)).copied().collect();
        // All parts come at once: where any was moved with the whole, the others had begun, and kept what they had.
        if let [(moved, priority)] = before
            && *moved == id
        {
            back.extend(places.iter().filter(|place| place.id != id).map(|place| (place.id, *priority)));
        }
        for (id, priority) in &back {
            write(&tx, *id, *priority).await?;
        }
        tx.commit().await?;
        Ok(back)
    }
}

/// The job and its parts, as far as they wait, and a whole with them; none when nothing waits.
async fn places(tx: &DatabaseTransaction, id: JobId) -> Result<Vec<Place>> {
    // By itself: parts that came with a plan before the row was free are seen by the next statement, not by this one.
    let locked: Option<Uuid> = job::Entity::find()
        .select_only()
        .column(job::Column::Id)
        .filter(job::Column::Id.eq(id.as_uuid()))
        .lock_exclusive()
        .into_tuple()
        .one(tx)
        .await?;
    if locked.is_none() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, String, i32)> = job::Entity::find()
        .select_only()
        .columns([job::Column::Id, job::Column::State, job::Column::Priority])
        .filter(Condition::any().add(job::Column::Id.eq(id.as_uuid())).add(job::Column::PartOf.eq(id.as_uuid())))
        .order_by_asc(job::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(tx)
        .await?;
    let waiting = [JobStateKind::Planning, JobStateKind::Queued].map(JobStateKind::as_str);
    let place = |(row, state, priority): (Uuid, String, i32)| Place {
        id: JobId::from_uuid(row),
        waits: waiting.contains(&state.as_str()),
        priority,
    };
    let mut places: Vec<Place> = rows.into_iter().map(place).collect();
    let some_wait = places.iter().any(|place| place.waits);
    places.retain(|place| place.waits || (some_wait && place.id == id));
    Ok(places)
}

async fn write(tx: &DatabaseTransaction, id: JobId, priority: i32) -> Result<()> {
    let update = Query::update()
        .table(job::Entity)
        .value(job::Column::Priority, priority)
        .and_where(Expr::col(job::Column::Id).eq(id.as_uuid()))
        .take();
    tx.execute(&update).await?;
    Ok(())
}

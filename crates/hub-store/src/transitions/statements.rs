//! The statements that transitions are made of.

use hub_core::{ids::JobId, job::JobStateKind, recipe::Recipe};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, Func, Query, UpdateStatement},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    decode::{Row, json},
    entity::{attempt, job},
    error::Result,
};

/// Most warnings, and most excluded servers, that one job keeps; later ones are dropped, since a job
/// that collects more has a fault that the first ones tell already.
const LIST_MAX: usize = 100;

/// The UPDATE that takes a job from one of these states to another.
pub(crate) fn change(id: JobId, from: &[JobStateKind], to: JobStateKind) -> UpdateStatement {
    Query::update()
        .table(job::Entity)
        .value(job::Column::State, to.as_str())
        .and_where(Expr::col(job::Column::Id).eq(id.as_uuid()))
        .and_where(Expr::col(job::Column::State).is_in(from.iter().map(|state| state.as_str())))
        .take()
}

/// The UPDATE that gives a job its recipe.
pub(crate) fn planned(id: JobId, recipe: &Recipe, now: i64) -> Result<UpdateStatement> {
    let mut update = change(id, &[JobStateKind::Planning], JobStateKind::Queued);
    update
        .value(job::Column::Recipe, json("recipe", recipe)?)
        .value(job::Column::RenderType, recipe.render_type.as_str())
        .value(job::Column::WorkflowId, recipe.workflow_id.as_uuid())
        .value(job::Column::QueuedAt, now)
        .returning(Query::returning().columns([job::Column::CreatedAt, job::Column::Priority]));
    Ok(update)
}

/// Only while this attempt owns the job.
pub(super) fn fence(update: &mut UpdateStatement, attempt: u32) {
    update.and_where(Expr::col(job::Column::Attempt).eq(i64::from(attempt)));
}

/// The start that is stored already, or this one.
pub(crate) fn started_or(began: i64) -> Expr {
    Func::coalesce([Expr::col(job::Column::StartedAt), Expr::value(began)]).into()
}

pub(crate) async fn won(db: &impl ConnectionTrait, update: &UpdateStatement) -> Result<bool> {
    Ok(db.execute(update).await?.rows_affected() > 0)
}

/// Ends a transaction that changed nothing.
pub(crate) async fn lost<T>(tx: DatabaseTransaction, answer: T) -> Result<T> {
    tx.rollback().await?;
    Ok(answer)
}

/// Says in an attempt's row how it ended.
pub(super) fn closed(job: JobId, number: i64, outcome: &str, error: Option<String>, now: i64) -> UpdateStatement {
    Query::update()
        .table(attempt::Entity)
        .value(attempt::Column::EndedAt, now)
        .value(attempt::Column::Outcome, outcome)
        .value(attempt::Column::Error, error)
        .and_where(Expr::col(attempt::Column::JobId).eq(job.as_uuid()))
        .and_where(Expr::col(attempt::Column::Number).eq(number))
        .take()
}

/// Adds to a list in a job's column what it does not hold yet, under the row's lock.
pub(crate) async fn extend<T>(
    tx: &DatabaseTransaction,
    id: JobId,
    column: job::Column,
    name: &'static str,
    items: &[T],
) -> Result<()>
where
    T: Serialize + DeserializeOwned + PartialEq + Clone,
{
    let stored: Option<String> = job::Entity::find()
        .select_only()
        .column(column)
        .filter(job::Column::Id.eq(id.as_uuid()))
        .lock_exclusive()
        .into_tuple()
        .one(tx)
        .await?;
    let Some(stored) = stored else { return Ok(()) };
    let mut list: Vec<T> = Row::new("jobs", id).json(name, &stored)?;
    let before = list.len();
    for item in items {
        if list.len() < LIST_MAX && !list.contains(item) {
            list.push(item.clone());
        }
    }
    if list.len() > before {
        let update = Query::update()
            .table(job::Entity)
            .value(column, json(name, &list)?)
            .and_where(Expr::col(job::Column::Id).eq(id.as_uuid()))
            .take();
        tx.execute(&update).await?;
    }
    Ok(())
}

//! Workflows. A version never changes; a change is the next version of the name.

use hub_core::{catalogue::Workflow, ids::WorkflowId, job::JobStateKind};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};
use serde_json::Value;

use crate::{
    decode::json,
    entity::{job, render_type, workflow},
    error::Result,
    pool::Store,
};

/// Tries to take the next version number before giving up; each failure means that somebody else
/// took one.
const NUMBER_TRIES: u32 = 8;

/// What the deletion of a workflow came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowDeletion {
    /// It is gone.
    Done,
    /// There is none of that name.
    Unknown,
    /// Nothing was deleted: these render types run it.
    UsedByRenderTypes(Vec<String>),
    /// Nothing was deleted: so many unfinished jobs run it.
    UsedByJobs(u64),
}

impl Store {
    /// Adds the next version of the name: 1 for a new name.
    ///
    /// # Errors
    /// [`crate::StoreErrorKind::Conflict`] when others add versions of the name all the time.
    pub async fn workflow_insert(
        &self,
        name: &str,
        graph: &Value,
        slots: &Value,
        description: &str,
    ) -> Result<Workflow> {
        let mut new = Workflow {
            id: WorkflowId::new(),
            name: name.to_owned(),
            version: 1,
            graph: graph.clone(),
            slots: slots.clone(),
            description: description.to_owned(),
        };
        let mut tries = 1;
        loop {
            match self.insert_next(&mut new).await {
                Err(error) if error.is_conflict() && tries < NUMBER_TRIES => tries += 1,
                Err(error) => return Err(error),
                Ok(()) => return Ok(new),
            }
        }
    }

    async fn insert_next(&self, new: &mut Workflow) -> Result<()> {
        let tx = self.begin().await?;
        new.version = latest_version(&tx, &new.name).await? + 1;
        insert(&tx, new, self.now_ms()).await?;
        Ok(tx.commit().await?)
    }

    /// The version of that id.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn workflow_get(&self, id: WorkflowId) -> Result<Option<Workflow>> {
        workflow::Entity::find_by_id(id.as_uuid()).one(self.reader()).await?.map(Workflow::try_from).transpose()
    }

    /// The newest version of that name.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn workflow_latest(&self, name: &str) -> Result<Option<Workflow>> {
        workflow::Entity::find()
            .filter(workflow::Column::Name.eq(name))
            .order_by_desc(workflow::Column::Version)
            .one(self.reader())
            .await?
            .map(Workflow::try_from)
            .transpose()
    }

    /// One version of that name.
    ///
    /// # Errors
    /// When the database fails or the row does not decode.
    pub async fn workflow_version(&self, name: &str, version: u32) -> Result<Option<Workflow>> {
        workflow::Entity::find()
            .filter(workflow::Column::Name.eq(name))
            .filter(workflow::Column::Version.eq(i64::from(version)))
            .one(self.reader())
            .await?
            .map(Workflow::try_from)
            .transpose()
    }

    /// All versions of that name, newest first; none when there is no such name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn workflow_versions(&self, name: &str) -> Result<Vec<Workflow>> {
        workflow::Entity::find()
            .filter(workflow::Column::Name.eq(name))
            .order_by_desc(workflow::Column::Version)
            .all(self.reader())
            .await?
            .into_iter()
            .map(Workflow::try_from)
            .collect()
    }

    /// Deletes all versions of that name, unless something needs one. Jobs that have ended keep the
    /// name in their recipes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn workflow_delete(&self, name: &str) -> Result<WorkflowDeletion> {
        let tx = self.begin().await?;
        let users: Vec<String> = render_type::Entity::find()
            .select_only()
            .column(render_type::Column::Name)
            .filter(render_type::Column::Workflow.eq(name))
            .order_by_asc(render_type::Column::Name)
            .into_tuple()
            .all(&tx)
            .await?;
        if !users.is_empty() {
            return Ok(WorkflowDeletion::UsedByRenderTypes(users));
        }
        let versions = workflow::Entity::find()
            .select_only()
            .column(workflow::Column::Id)
            .filter(workflow::Column::Name.eq(name))
            .into_query();
        let open = JobStateKind::ALL.into_iter().filter(|state| !state.is_terminal()).map(JobStateKind::as_str);
        let waiting = job::Entity::find()
            .filter(job::Column::State.is_in(open))
            .filter(job::Column::WorkflowId.in_subquery(versions))
            .count(&tx)
            .await?;
        if waiting > 0 {
            return Ok(WorkflowDeletion::UsedByJobs(waiting));
        }
        let deleted = workflow::Entity::delete_many().filter(workflow::Column::Name.eq(name)).exec(&tx).await?;
        tx.commit().await?;
        Ok(if deleted.rows_affected > 0 { WorkflowDeletion::Done } else { WorkflowDeletion::Unknown })
    }

    /// The newest version of each name, by name.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn workflow_list(&self) -> Result<Vec<Workflow>> {
        let newest = workflow::Entity::find()
            .select_only()
            .column(workflow::Column::Name)
            .column_as(workflow::Column::Version.max(), "version")
            .group_by(workflow::Column::Name)
            .into_query();
        let version = [workflow::Column::Name, workflow::Column::Version].map(Expr::col);
        let rows = workflow::Entity::find().filter(Expr::tuple(version).in_subquery(newest)).all(self.reader()).await?;
        let mut workflows = rows.into_iter().map(Workflow::try_from).collect::<Result<Vec<_>>>()?;
        workflows.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(workflows)
    }
}

/// Writes a new version.
pub(crate) async fn insert(db: &impl ConnectionTrait, new: &Workflow, now_ms: i64) -> Result<()> {
    let row = workflow::ActiveModel {
        id: Set(new.id.as_uuid()),
        name: Set(new.name.clone()),
        version: Set(new.version.into()),
        graph: Set(json("graph", &new.graph)?),
        slots: Set(json("slots", &new.slots)?),
        description: Set(new.description.clone()),
        created_at: Set(now_ms),
    };
    workflow::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// The newest version's number; 0 when the name is new.
async fn latest_version(tx: &DatabaseTransaction, name: &str) -> Result<u32> {
    let newest: Option<Option<i64>> = workflow::Entity::find()
        .select_only()
        .column_as(workflow::Column::Version.max(), "version")
        .filter(workflow::Column::Name.eq(name))
        .into_tuple()
        .one(tx)
        .await?;
    crate::decode::Row::new("workflows", "of this name").number("version", newest.flatten().unwrap_or(0))
}

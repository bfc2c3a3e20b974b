//! Showcases: the jobs whose pictures show what a style or a render type looks like.
//!
//! A subject has at most two: the newest one that has a picture, which is shown, and one that is being made. Retention
//! leaves them alone as long as their subject exists; whoever deletes a picture takes it off its subject as well.

use std::collections::HashMap;

use hub_core::{
    artifact::{Artifact, MediaKind},
    ids::{JobId, RenderTypeId, StyleId},
    job::Job,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    prelude::Uuid,
    sea_query::{Expr, OnConflict, Query, SelectStatement},
};

use crate::{
    artifacts::CHUNK,
    entity::{job, render_type, showcase, style},
    error::Result,
    pool::Store,
};

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShowcaseOf {
    /// A style.
    Style(StyleId),
    /// A render type.
    RenderType(RenderTypeId),
}

impl ShowcaseOf {
    fn as_uuid(self) -> Uuid {
        match self {
            Self::Style(id) => id.as_uuid(),
            Self::RenderType(id) => id.as_uuid(),
        }
    }
}

/// A job whose picture shows its subject, or is going to.
#[derive(Debug, Clone, PartialEq)]
pub struct Showcase {
    /// The job.
    pub job: Job,
    /// Its pictures, the primary one first; none before it has ended.
    pub pictures: Vec<Artifact>,
    /// What the subject was when the job was asked for, as the engine puts it: another one now means that the picture
    /// is out of date.
    pub look: String,
}

/// Showcases by what they show.
#[derive(Debug, Clone, Default)]
pub struct Showcases(HashMap<Uuid, Vec<Showcase>>);

impl Showcases {
    /// Those of one subject, newest first.
    pub fn of(&self, of: ShowcaseOf) -> &[Showcase] {
        self.0.get(&of.as_uuid()).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Store {
    /// Makes a job one that shows `of`. Earlier ones of it go, except the newest with a picture.
    ///
    /// # Errors
    /// When the database fails; then nothing has changed.
    pub async fn showcase_add(&self, of: ShowcaseOf, job: JobId, look: &str) -> Result<()> {
        let subject = of.as_uuid();
        let tx = self.begin().await?;
        let shown: Option<Uuid> = showcase::Entity::find()
            .select_only()
            .column(showcase::Column::JobId)
            .filter(showcase::Column::Subject.eq(subject))
            .filter(showcase::Column::JobId.in_subquery(with_pictures()))
            .order_by_desc(showcase::Column::CreatedAt)
            .order_by_desc(showcase::Column::JobId)
            .into_tuple()
            .one(&tx)
            .await?;
        showcase::Entity::delete_many()
            .filter(showcase::Column::Subject.eq(subject))
            .filter(showcase::Column::JobId.is_not_in(shown))
            .exec(&tx)
            .await?;
        let row = showcase::ActiveModel {
            job_id: Set(job.as_uuid()),
            subject: Set(subject),
            look: Set(look.to_owned()),
            created_at: Set(self.now_ms()),
        };
        // An identical call finds the job that there is: it is the newest again.
        let again = OnConflict::column(showcase::Column::JobId)
            .update_columns([showcase::Column::Subject, showcase::Column::Look, showcase::Column::CreatedAt])
            .to_owned();
        showcase::Entity::insert(row).on_conflict(again).exec_without_returning(&tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The showcases of one subject, or of all.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn showcases(&self, of: Option<ShowcaseOf>) -> Result<Showcases> {
        let mut query =
            showcase::Entity::find().order_by_desc(showcase::Column::CreatedAt).order_by_desc(showcase::Column::JobId);
        if let Some(of) = of {
            query = query.filter(showcase::Column::Subject.eq(of.as_uuid()));
        }
        let rows = query.all(self.reader()).await?;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.job_id).collect();
        let mut jobs: HashMap<Uuid, Job> = HashMap::new();
        for chunk in ids.chunks(CHUNK) {
            let found = job::Entity::find().filter(job::Column::Id.is_in(chunk.iter().copied()));
            for row in found.all(self.reader()).await? {
                jobs.insert(row.id, Job::try_from(row)?);
            }
        }
        // What a job made is stored together with its end: whoever read the pictures first could find one that ended in
        // between without any.
        let ended: Vec<JobId> = jobs.values().filter(|job| job.state.kind().is_terminal()).map(|job| job.id).collect();
        let mut pictures = self.artifacts_of_many(&ended).await?;
        let mut found = Showcases::default();
        for row in rows {
            // One that was deleted in between is gone with its job.
            let Some(job) = jobs.remove(&row.job_id) else { continue };
            let mut pictures = pictures.remove(&job.id).unwrap_or_default();
            pictures.retain(|picture| picture.kind == MediaKind::Image);
            found.0.entry(row.subject).or_default().push(Showcase { job, pictures, look: row.look });
        }
        Ok(found)
    }

    /// Whether the job's picture is shown for a subject: then everybody may see it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_showcase(&self, job: JobId) -> Result<bool> {
        Ok(showcase::Entity::find_by_id(job.as_uuid()).one(self.reader()).await?.is_some())
    }
}

/// Ids of the jobs that show something that there is.
pub(crate) fn shown_jobs() -> SelectStatement {
    let is_subject = |ids: SelectStatement| Expr::col((showcase::Entity, showcase::Column::Subject)).in_subquery(ids);
    let styles = style::Entity::find().select_only().column(style::Column::Id).into_query();
    let render_types = render_type::Entity::find().select_only().column(render_type::Column::Id).into_query();
    Query::select()
        .column(showcase::Column::JobId)
        .from(showcase::Entity)
        .cond_where(Condition::any().add(is_subject(styles)).add(is_subject(render_types)))
        .take()
}

/// Ids of the jobs that have pictures.
fn with_pictures() -> SelectStatement {
    let jobs = job::Entity::find().select_only().column(job::Column::Id);
    jobs.filter(job::Column::HasImages.eq(true)).into_query()
}

//! Lists of jobs, newest first, in pages of constant cost.
//!
//! Every single filter has an index whose end is the order of the list, so that a page is read from where
//! the one before ended and nothing is sorted. Of several filters one leads and the others are checked row by
//! row. A text is looked for in `job_prompts`, which holds nothing else: a page stops at its last hit, and a
//! text that occurs nowhere costs one pass over that table. Who cannot wait for that has `search`.

mod search;

pub use self::search::SearchBounds;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use hub_core::{
    caller::Caller,
    ids::{JobId, ServerId},
    job::{Job, JobStateKind},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
    sea_query::{Expr, LikeExpr, OnConflict, Query, SelectStatement, UnionType},
};

use crate::{
    cursor::{PageCursor, after},
    decode::{ms, plain},
    entity::{job, job_prompt, job_style},
    error::Result,
    pool::Store,
    together::Change,
};

/// Most rows on one page, whatever is asked for.
pub(crate) const PAGE_MAX_ROWS: u32 = 500;

/// Which jobs to list; the default is all but parts. What is given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In one of these states; empty means any.
    pub states: Vec<JobStateKind>,
    /// Of this caller.
    pub caller: Option<Caller>,
    /// Of this tool, e.g. `generate_image`.
    pub tool: Option<String>,
    /// Whose newest attempt was on this server.
    pub server: Option<ServerId>,
    /// Of this render type, by name.
    pub render_type: Option<String>,
    /// With this style, by name.
    pub style: Option<String>,
    /// Accepted at this time or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Accepted before this time.
    pub created_to: Option<DateTime<Utc>>,
    /// Whose prompt, as asked, holds this text, in upper or lower case.
    pub text: Option<String>,
    /// With a favourite among the results, or without.
    pub favourite: Option<bool>,
    /// With pictures among the results, or without.
    pub has_images: Option<bool>,
    /// Made from this job.
    pub parent: Option<JobId>,
    /// The parts of this job, instead of jobs that are parts of none.
    pub part_of: Option<JobId>,
}

impl JobFilter {
    /// Whether `self` asks for nothing but a time and what `only` takes out of it.
    fn is_only(&self, only: impl FnOnce(&mut Self)) -> bool {
        let mut rest = Self { created_from: None, created_to: None, ..self.clone() };
        only(&mut rest);
        rest == Self::default()
    }

    /// Whether an index leads to nothing but what fits: of all filters at most one is given, and no text.
    fn has_an_index(&self) -> bool {
        let given = [
            !self.states.is_empty(),
            self.caller.is_some(),
            self.tool.is_some(),
            self.server.is_some(),
            self.render_type.is_some(),
            self.style.is_some(),
            self.favourite.is_some(),
            // A favourite is a picture.
            self.has_images.is_some() && !(self.favourite == Some(true) && self.has_images == Some(true)),
        ];
        // Of one job's children and parts there are few.
        let few = self.parent.is_some() || self.part_of.is_some();
        few || (self.text.is_none() && given.into_iter().filter(|given| *given).count() < 2)
    }
}

/// One page of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<Job>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<PageCursor>,
    /// A search that ended before the page was full: nothing older than this was looked at. `None`: the page is full,
    /// or there is nothing more.
    pub searched_to: Option<DateTime<Utc>>,
}

impl Store {
    /// One page of jobs, newest first. `limit` is taken as 1–500.
    ///
    /// # Errors
    /// When the database fails or a row does not decode.
    pub async fn job_list(&self, filter: &JobFilter, cursor: Option<PageCursor>, limit: u32) -> Result<JobPage> {
        let limit = limit.clamp(1, PAGE_MAX_ROWS);
        page_of(newest(filter, cursor, u64::from(limit) + 1).all(self.reader()).await?, limit)
    }
}

/// The page of `rows`, of which one more than `limit` tells that there is a next one.
fn page_of(mut rows: Vec<job::Model>, limit: u32) -> Result<JobPage> {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let last = rows.last().map(|row| PageCursor { created_at_ms: row.created_at, id: row.id });
    let jobs = rows.into_iter().map(Job::try_from).collect::<Result<_>>()?;
    Ok(JobPage { jobs, next: last.filter(|_| more), searched_to: None })
}

/// Records what lists are filtered by and the job's own row does not tell.
pub(crate) fn keep(job: &Job) -> Vec<Change> {
    let created_at = ms(job.times.created_at);
    let prompt = job.request.prompt().map(|prompt| {
        let row = job_prompt::ActiveModel {
            created_at: Set(created_at),
            job_id: Set(job.id.as_uuid()),
            prompt: Set(plain(prompt).to_lowercase()),
        };
        job_prompt::Entity::insert(row).into_query().into()
    });
    let styles = job.recipe.as_ref().and_then(|recipe| keep_styles(job.id, created_at, &recipe.styles));
    prompt.into_iter().chain(styles).collect()
}

/// Records the styles of a job's recipe; `created_at` is the job's, in milliseconds since 1970.
pub(crate) fn keep_styles(job: JobId, created_at: i64, styles: &[String]) -> Option<Change> {
    if styles.is_empty() {
        return None;
    }
    let rows = styles.iter().map(|style| job_style::ActiveModel {
        job_id: Set(job.as_uuid()),
        style: Set(style.clone()),
        created_at: Set(created_at),
    });
    let once = OnConflict::columns([job_style::Column::JobId, job_style::Column::Style]).do_nothing().to_owned();
    Some(job_style::Entity::insert_many(rows).on_conflict(once).into_query().into())
}

/// The rows of a page and one more. With several states the newest of each are taken first: an index
/// yields those in order, where one condition over all of them would have every such job sorted.
fn newest(filter: &JobFilter, cursor: Option<PageCursor>, rows: u64) -> Select<job::Entity> {
    let these = |ids: SelectStatement| sorted(job::Entity::find().filter(job::Column::Id.in_subquery(ids)), rows);
    if let Some(text) = filter.text.as_deref().filter(|_| filter.is_only(|rest| rest.text = None)) {
        return these(ids_with_text(text, filter, None, cursor, rows));
    }
    if let Some(style) = filter.style.as_deref().filter(|_| filter.is_only(|rest| rest.style = None)) {
        return these(ids_with_style(style, filter, cursor, rows));
    }
    let states: BTreeSet<JobStateKind> = filter.states.iter().copied().collect();
    let of = |state: Option<JobStateKind>| job::Entity::find().filter(condition(filter, state, cursor));
    // All states are as good as none.
    if states.len() < 2 || states.len() == JobStateKind::ALL.len() {
        return sorted(of(states.first().copied().filter(|_| states.len() == 1)), rows);
    }
    let mut each = states.into_iter().map(|state| {
        let newest = sorted(of(Some(state)), rows).select_only().column(job::Column::Id).into_query();
        Query::select().column(job::Column::Id).from_subquery(newest, state.as_str()).take()
    });
    let mut ids = each.next().unwrap_or_default();
    for other in each {
        ids.union(UnionType::All, other);
    }
    these(ids)
}

fn sorted(query: Select<job::Entity>, rows: u64) -> Select<job::Entity> {
    query.order_by_desc(job::Column::CreatedAt).order_by_desc(job::Column::Id).limit(rows)
}

/// Ids of the jobs whose prompt holds `text`, of those that `also` lets through.
fn ids_with_text(
    text: &str,
    filter: &JobFilter,
    also: Option<Expr>,
    cursor: Option<PageCursor>,
    rows: u64,
) -> SelectStatement {
    use job_prompt::Column::{CreatedAt, JobId};
    job_prompt::Entity::find()
        .select_only()
        .column(JobId)
        .filter(within(filter, CreatedAt).add_option(cursor.map(|cursor| after(cursor, CreatedAt, JobId))))
        .filter(Condition::all().add(holds(text)).add_option(also))
        .order_by_desc(CreatedAt)
        .order_by_desc(JobId)
        .limit(rows)
        .into_query()
}

fn ids_with_style(style: &str, filter: &JobFilter, cursor: Option<PageCursor>, rows: u64) -> SelectStatement {
    use job_style::Column::{CreatedAt, JobId, Style};
    job_style::Entity::find()
        .select_only()
        .column(JobId)
        .filter(within(filter, CreatedAt).add_option(cursor.map(|cursor| after(cursor, CreatedAt, JobId))))
        .filter(Style.eq(style))
        .order_by_desc(CreatedAt)
        .order_by_desc(JobId)
        .limit(rows)
        .into_query()
}

/// What a row of `jobs` must be like, in one state or any.
fn condition(filter: &JobFilter, state: Option<JobStateKind>, cursor: Option<PageCursor>) -> Condition {
    use job::Column;
    let leads = state.is_some()
        || filter.caller.is_some()
        || filter.tool.is_some()
        || filter.server.is_some()
        || filter.render_type.is_some()
        || filter.favourite.is_some();
    // Most jobs have pictures: an index of those is worth nothing beside any other, and `<>` asks for none.
    let has_images = |has_images: bool| {
        if leads { Column::HasImages.ne(!has_images) } else { Column::HasImages.eq(has_images) }
    };
    within(filter, Column::CreatedAt)
        .add(match filter.part_of {
            Some(whole) => Column::PartOf.eq(whole.as_uuid()),
            None => Column::PartOf.is_null(),
        })
        .add_option(state.map(|state| Column::State.eq(state.as_str())))
        .add_option(filter.caller.as_ref().map(|caller| Column::Caller.eq(caller.as_str())))
        .add_option(filter.tool.as_ref().map(|tool| Column::Tool.eq(tool.as_str())))
        .add_option(filter.server.map(|server| Column::ServerId.eq(server.as_uuid())))
        .add_option(filter.render_type.as_ref().map(|name| Column::RenderType.eq(name.as_str())))
        .add_option(filter.favourite.map(|favourite| Column::Favourite.eq(favourite)))
        .add_option(filter.has_images.map(has_images))
        .add_option(filter.parent.map(|parent| Column::ParentId.eq(parent.as_uuid())))
        .add_option(filter.style.as_deref().map(with_style))
        .add_option(filter.text.as_deref().map(with_text))
        .add_option(cursor.map(|cursor| after(cursor, Column::CreatedAt, Column::Id)))
}

/// The filter's time.
fn within(filter: &JobFilter, created_at: impl ColumnTrait) -> Condition {
    Condition::all()
        .add_option(filter.created_from.map(|from| created_at.gte(ms(from))))
        .add_option(filter.created_to.map(|to| created_at.lt(ms(to))))
}

/// That the job has the style, by the key of `job_styles`.
fn with_style(style: &str) -> Expr {
    let mut row = Query::select();
    row.expr(Expr::value(1)).from(job_style::Entity);
    row.and_where(job_style::Column::JobId.into_expr().equals(job::Column::Id.as_column_ref()));
    row.and_where(job_style::Column::Style.eq(style));
    Expr::exists(row)
}

/// That the job's prompt holds the text, by the key of `job_prompts`.
fn with_text(text: &str) -> Expr {
    let mut row = Query::select();
    row.expr(Expr::value(1)).from(job_prompt::Entity);
    row.and_where(job_prompt::Column::CreatedAt.into_expr().equals(job::Column::CreatedAt.as_column_ref()));
    row.and_where(job_prompt::Column::JobId.into_expr().equals(job::Column::Id.as_column_ref()));
    row.and_where(holds(text));
    Expr::exists(row)
}

/// That a prompt of `job_prompts` holds the text itself, whatever signs are in it.
fn holds(text: &str) -> Expr {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for sign in plain(text).to_lowercase().chars() {
        if matches!(sign, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern.push('%');
    job_prompt::Column::Prompt.like(LikeExpr::new(pattern).escape('\\'))
}

#[cfg(test)]
mod tests;

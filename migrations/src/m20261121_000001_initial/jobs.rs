//! Jobs and their attempts.

use sea_orm_migration::prelude::*;

use super::{index, key, optional, required, table_with_id};

/// Jobs. `attempts` counts them; `attempt` is the number of the one that owns the job now and fences
/// all others, null while none does. `tool`, `prompt`, `render_type` and `workflow_id` repeat what the
/// request and the recipe say, for lists.
pub(super) fn jobs() -> TableCreateStatement {
    table_with_id("jobs")
        .col(required("caller").text())
        .col(required("tool").text())
        .col(required("state").text())
        .col(required("priority").integer())
        .col(required("request").text())
        .col(required("request_digest").text())
        .col(optional("idempotency_key").text())
        .col(optional("prompt").text())
        .col(optional("render_type").text())
        .col(optional("workflow_id").uuid())
        .col(optional("recipe").text())
        .col(optional("text").text())
        .col(required("warnings").text())
        .col(required("excluded").text())
        .col(optional("error").text())
        .col(required("attempts").big_integer())
        .col(optional("attempt").big_integer())
        .col(optional("server_id").uuid())
        .col(optional("prompt_id").uuid())
        .col(required("created_at").big_integer())
        .col(optional("queued_at").big_integer())
        .col(optional("started_at").big_integer())
        .col(optional("finished_at").big_integer())
        .take()
}

/// Tries to run a job.
pub(super) fn attempts() -> TableCreateStatement {
    Table::create()
        .table("attempts")
        .col(required("job_id").uuid())
        .col(required("number").big_integer())
        .col(required("server_id").uuid())
        .col(required("prompt_id").uuid())
        .col(required("created_at").big_integer())
        .col(optional("ended_at").big_integer())
        .col(optional("outcome").text())
        .col(optional("error").text())
        .primary_key(Index::create().name("attempts_job_number").col("job_id").col("number"))
        .foreign_key(
            ForeignKey::create()
                .name("attempts_job")
                .from("attempts", "job_id")
                .to("jobs", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("jobs_created", "jobs", &["created_at", "id"]),
        index("jobs_state", "jobs", &["state", "created_at", "id"]),
        index("jobs_caller", "jobs", &["caller", "created_at", "id"]),
        index("jobs_tool", "jobs", &["tool", "created_at", "id"]),
        index("jobs_repeat", "jobs", &["caller", "request_digest", "created_at"]),
        index("jobs_finished", "jobs", &["finished_at"]).and_where(Expr::col("finished_at").is_not_null()).take(),
        key("jobs_idempotency", "jobs", &["caller", "idempotency_key"])
            .and_where(Expr::col("idempotency_key").is_not_null())
            .take(),
    ]
}

//! Stored files.

use sea_orm_migration::prelude::*;

use super::{index, optional, required, table_with_id};

/// Results and inputs. `seed` holds the 64 bits of an unsigned number. Inputs have no job.
pub(super) fn artifacts() -> TableCreateStatement {
    table_with_id("artifacts")
        .col(optional("job_id").uuid())
        .col(required("role").text())
        .col(required("kind").text())
        .col(required("mime").text())
        .col(required("extension").text())
        .col(required("sha256").text())
        .col(required("size_bytes").big_integer())
        .col(required("width_px").big_integer())
        .col(required("height_px").big_integer())
        .col(optional("seed").big_integer())
        .col(required("position").big_integer())
        .col(optional("node").text())
        .col(required("favourite").boolean())
        .col(required("created_at").big_integer())
        .foreign_key(
            ForeignKey::create()
                .name("artifacts_job")
                .from("artifacts", "job_id")
                .to("jobs", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("artifacts_job", "artifacts", &["job_id", "position"]),
        index("artifacts_sha256", "artifacts", &["sha256"]),
        index("artifacts_created", "artifacts", &["created_at", "id"]),
    ]
}

//! ComfyUI servers, LLM servers and the roles these play.

use sea_orm_migration::prelude::*;

use super::{key, optional, required, table_with_id};

/// ComfyUI servers. A deleted one keeps its row, so that history can name it.
pub(super) fn servers() -> TableCreateStatement {
    table_with_id("servers")
        .col(required("name").text())
        .col(required("base_url").text())
        .col(required("auth").text())
        .col(optional("origin").text())
        .col(required("weight").double())
        .col(optional("group_name").text())
        .col(required("max_in_flight").big_integer())
        .col(required("run_limit_s").big_integer())
        .col(required("stall_limit_s").big_integer())
        .col(required("enabled").boolean())
        .col(required("draining").boolean())
        .col(required("created_at").big_integer())
        .col(optional("deleted_at").big_integer())
        .take()
}

/// LLM servers.
pub(super) fn llm_servers() -> TableCreateStatement {
    table_with_id("llm_servers")
        .col(required("name").text())
        .col(required("base_url").text())
        .col(required("dialect").text())
        .col(optional("api_key").text())
        .col(required("enabled").boolean())
        .col(required("created_at").big_integer())
        .take()
}

/// Which LLM server and model serve a role. The row goes with its server.
pub(super) fn llm_assignments() -> TableCreateStatement {
    Table::create()
        .table("llm_assignments")
        .col(required("role").text().primary_key())
        .col(required("server_id").uuid())
        .col(optional("model").text())
        .foreign_key(
            ForeignKey::create()
                .name("llm_assignments_server")
                .from("llm_assignments", "server_id")
                .to("llm_servers", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}

pub(super) fn indexes() -> Vec<IndexCreateStatement> {
    let live = || Expr::col("deleted_at").is_null();
    vec![
        key("servers_name_key", "servers", &["name"]).and_where(live()).take(),
        key("servers_base_url_key", "servers", &["base_url"]).and_where(live()).take(),
        key("llm_servers_name_key", "llm_servers", &["name"]),
    ]
}

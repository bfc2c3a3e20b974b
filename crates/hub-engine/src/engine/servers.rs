//! What administrators learn and say of servers: tests, alerts, words by hand.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::StreamExt as _;
use hub_core::{
    error::{ErrorCode, UserError},
    ids::ServerId,
    server::{Reach, Server},
};
use tokio::sync::broadcast;

use super::{Engine, admin};
use crate::{Alert, ServerTest, catalogue::Snapshot, pool, refusal::storage};

/// Servers tested at once.
const TESTS_AT_ONCE: usize = 16;

impl Engine {
    /// Tests a server as it is stored, stage by stage. Changes nothing; takes as long as the server does, within
    /// the limits of each stage.
    ///
    /// # Errors
    /// When there is no such server; `storage`. A server that fails its test is an answer, no error.
    pub async fn server_test(&self, id: ServerId) -> Result<ServerTest, UserError> {
        let server = self.store().server_get(id).await.map_err(storage)?;
        let server = server.ok_or_else(|| admin::gone("server", &id.to_string()))?;
        Ok(test(&server, &self.ctx().catalogue.snapshot()).await)
    }

    /// Tests settings that are not stored.
    pub async fn server_test_reach(&self, reach: &Reach) -> ServerTest {
        pool::examine(reach, &self.ctx().catalogue.snapshot()).await
    }

    /// Tests all servers, enabled or not, several at once. Answers them by name.
    ///
    /// # Errors
    /// `storage`.
    pub async fn servers_test_all(&self) -> Result<Vec<ServerTest>, UserError> {
        let servers = self.store().server_list().await.map_err(storage)?;
        let snapshot = self.ctx().catalogue.snapshot();
        let tests = futures_util::stream::iter(servers)
            .map(|server| {
                let snapshot = snapshot.clone();
                async move { test(&server, &snapshot).await }
            })
            .buffered(TESTS_AT_ONCE);
        Ok(tests.collect().await)
    }

    /// Says that a server can (`Some(true)`) or cannot (`Some(false)`) run the workflow of that name, whatever its
    /// inventory says; `None` takes back what was said.
    ///
    /// # Errors
    /// When there is no such server or workflow; `storage`.
    pub async fn server_say(&self, id: ServerId, workflow: &str, compatible: Option<bool>) -> Result<(), UserError> {
        if self.store().server_get(id).await.map_err(storage)?.is_none() {
            return Err(admin::gone("server", &id.to_string()));
        }
        if compatible.is_some() && self.store().workflow_latest(workflow).await.map_err(storage)?.is_none() {
            let known = self.store().workflow_list().await.map_err(storage)?;
            return Err(UserError::argument("workflow", format!("There is no workflow `{workflow}`."))
                .with_valid(known.iter().map(|workflow| workflow.name.as_str())));
        }
        self.store().server_override_set(id, workflow, compatible).await.map_err(storage)?;
        self.inner.background.servers_changed().await
    }

    /// The model files of a server by the input that takes them (`ckpt_name`, `lora_name`, …); empty as long as they
    /// are unknown, and for a server that is not enabled.
    pub fn server_files(&self, id: ServerId) -> BTreeMap<String, Vec<String>> {
        let session = self.inner.background.inner().pool.session(id);
        session.map(|session| session.files()).unwrap_or_default()
    }

    /// Has a server's list of nodes and files read again soon.
    ///
    /// # Errors
    /// `no_server` when the server is not enabled.
    pub fn server_refresh(&self, id: ServerId) -> Result<(), UserError> {
        let session = self.inner.background.inner().pool.session(id);
        let session = session.ok_or_else(|| UserError::new(ErrorCode::NoServer, "The server is not enabled."))?;
        session.refresh();
        Ok(())
    }

    /// Alerts of servers from now on. A reader that is slow misses the oldest.
    pub fn alerts(&self) -> broadcast::Receiver<Alert> {
        self.inner.background.inner().pool.alerts().subscribe()
    }

    /// The newest alerts of servers, oldest first, for readers that come late: subscribe first, then read these,
    /// and skip what was seen by its `sequence`.
    pub fn recent_alerts(&self) -> Vec<Alert> {
        self.inner.background.inner().pool.alerts().recent()
    }
}

async fn test(server: &Server, snapshot: &Arc<Snapshot>) -> ServerTest {
    ServerTest { server: Some(server.id), name: server.name.clone(), ..pool::examine(&server.reach(), snapshot).await }
}

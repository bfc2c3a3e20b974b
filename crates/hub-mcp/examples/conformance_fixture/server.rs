//! The handler: what is listed, and which part answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams, CompleteResult,
        CompletionInfo, GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation,
        JsonObject, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse, RequestStateCodec, ServerCapabilities,
        ServerConfig, SubscriptionFilter, Tool, UpdateTaskParams,
    },
    service::{RequestContext, SubscriptionContext, SubscriptionSink},
    task_manager::TaskManager,
};
use serde_json::{Value, json};

use crate::{asking, content, documents, rounds, work};

/// How long the suite may keep a list.
pub(crate) const TTL_MS: u64 = 60_000;
/// Seals the state of multi-round calls. Public on purpose: a fixture has no secrets.
const STATE_KEY: &[u8] = b"a fixture's key, long enough and public";

/// The suite's counterpart; cheap to clone.
#[derive(Clone)]
pub(crate) struct Fixture(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) tasks: TaskManager,
    pub(crate) sealer: RequestStateCodec,
    listeners: Mutex<BTreeMap<u64, SubscriptionSink>>,
    next_listener: AtomicU64,
    watched: Mutex<BTreeSet<String>>,
}

impl Default for Fixture {
    fn default() -> Self {
        Self(Arc::new(Shared {
            tasks: TaskManager::new(),
            sealer: RequestStateCodec::try_new(STATE_KEY).expect("the key is long enough"),
            listeners: Mutex::default(),
            next_listener: AtomicU64::default(),
            watched: Mutex::default(),
        }))
    }
}

impl Shared {
    /// The streams that listen now.
    pub(crate) fn listeners(&self) -> Vec<SubscriptionSink> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// One tool of a part: name, description, input schema.
pub(crate) type Listed = (&'static str, &'static str, Value);

/// The schema of a tool without arguments.
pub(crate) fn nothing() -> Value {
    json!({"type": "object", "properties": {}})
}

/// A part's way to say that a name is none of its own.
pub(crate) type Answer = Option<Result<CallToolResponse, ErrorData>>;

fn tools() -> Vec<Tool> {
    [content::listed(), asking::listed(), rounds::listed(), work::listed()]
        .into_iter()
        .flatten()
        .map(|(name, description, schema)| Tool::new(name, description, object(schema)))
        .collect()
}

fn object(value: Value) -> JsonObject {
    let Value::Object(map) = value else { unreachable!("schemas are written as objects in this file's parts") };
    map
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        #[expect(deprecated, reason = "the suite's older revision examines logging")]
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_resources_list_changed()
            .enable_completions()
            .enable_logging()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("genimage-conformance-fixture", env!("CARGO_PKG_VERSION")))
            .with_instructions("Answers the conformance suite.")
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        // Only a tool with a mirrored header needs its schema checked by the transport.
        (name == content::HEADER_TOOL).then(|| tools().into_iter().find(|tool| tool.name == name)).flatten()
    }

    async fn list_tools(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools()).with_ttl_ms(TTL_MS).with_cache_scope(CacheScope::Public))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let shared = &self.0;
        if let Some(answer) = rounds::call(shared, &request, &context) {
            return answer;
        }
        if let Some(answer) = work::call(shared, &request, &context).await {
            return answer;
        }
        if let Some(answer) = asking::call(shared, &request, &context).await {
            return answer;
        }
        match content::call(&request, &context).await {
            Some(answer) => answer,
            None => Err(ErrorData::invalid_params(format!("Unknown tool: {}", request.name), None)),
        }
    }

    async fn list_resources(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(documents::resources())
    }

    async fn list_resource_templates(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(documents::templates())
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        documents::read(&request.uri)
    }

    async fn subscribe(
        &self,
        request: rmcp::model::SubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: rmcp::model::UnsubscribeRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner).remove(&request.uri);
        Ok(())
    }

    async fn list_prompts(
        &self,
        _page: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(documents::prompts())
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        match rounds::prompt(&request) {
            Some(answer) => Ok(answer),
            None => documents::prompt(&request),
        }
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let typed = &request.argument.value;
        let values = ["paris", "park", "party"].iter().filter(|word| word.starts_with(typed.as_str()));
        let found = CompletionInfo::with_all_values(values.map(ToString::to_string).collect());
        found.map(CompleteResult::new).map_err(|error| ErrorData::internal_error(error, None))
    }

    #[expect(deprecated, reason = "the suite's older revision examines it")]
    async fn set_level(
        &self,
        _request: rmcp::model::SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let key = self.0.next_listener.fetch_add(1, Ordering::Relaxed);
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).insert(key, context.sink().clone());
        context.cancelled().await;
        self.0.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.0.tasks.get_task(&request.task_id).map(GetTaskResult::new)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.tasks.update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.0.tasks.cancel_task(&request.task_id)
    }
}
